"""Files in, fields out, and back: where data lie, readers, the Zarr store, forecast files."""
