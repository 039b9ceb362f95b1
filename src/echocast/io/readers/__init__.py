"""One file format each: a translation to the field and nothing more.

A reader is a module with three names:

- ``SUFFIXES``: the usual file endings, lower case with the dot, such as ``(".pgm", ".pgm.gz")``; for listings only.
- ``recognises(head, path) -> bool``:
  is a file with these first 4096 bytes (decompressed if it is gzip) of this format?
- ``read(path, *, ...) -> xarray.DataArray``:
  the checked field (`echocast.fields`) of one file; raises `UnreadableFile` for anything else. Of the keywords
  ``variable``, ``units``, ``zr`` and ``least_quality`` it takes those that mean something for the format.

and where they are of use:

- ``pieces(path, *, ...) -> Iterator[xarray.DataArray]``:
  the same, a stretch of time at once, for what may not fit memory.
- ``COMPANIONS``: patterns of files that lie beside the data and are read with them.
- ``GENERAL = True``: asked last, as a reader of a special kind of the same format goes before.

The first line of its docstring is its line in ``echocast formats``.
"""
