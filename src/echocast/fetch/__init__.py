"""Downloads from open archives of radar files."""
