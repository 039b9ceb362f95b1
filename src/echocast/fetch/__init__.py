"""Downloads from open archives."""
