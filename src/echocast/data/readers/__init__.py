"""One file format each: a translation to the field and nothing more.

A reader is a module with three names:

- ``SUFFIXES``: the usual file endings, lower case with the dot, such as ``(".pgm", ".pgm.gz")``; for listings only.
- ``recognises(head, path) -> bool``:
  is a file with these first 4096 bytes (decompressed if it is gzip) of this format?
- ``read(path) -> xarray.DataArray``:
  the checked field (`echocast.field`) of one file; raises `UnreadableFile` for anything else.

The first line of its docstring is its line in ``echocast formats``.
"""
