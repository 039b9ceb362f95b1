"""One file format each: a translation to the field and nothing more.

A reader is a module with three names:

- ``SUFFIXES``: the usual file endings, lower case with the dot, such as ``(".pgm", ".pgm.gz")``; for listings only.
- ``recognises(head, path) -> bool``:
  is a file with these first 4096 bytes (decompressed if it is gzip) of this format? An error about damaged data
  means no.
- ``read(path, *, ...) -> xarray.DataArray``:
  the checked field (`echocast.fields`) of one file. Of the options ``variable``, ``units``, ``zr``, ``min_quality``,
  ``interval`` (minutes), ``time_pattern`` and ``missing_value`` (a tuple of the file's numbers) it has those that mean
  something for the format, as keyword arguments.

A reader proves what it claims: that the product is rain (it is in a list of what is), its unit, the interval of an
amount, place and time, and which numbers mean "not observed", "no echo" and "out of range". What it cannot prove it
refuses by name, with the option that tells it. `echocast.io.plausible` looks at every field afterwards.

and where they are of use:

- ``pieces(path, *, ...) -> Iterator[xarray.DataArray]``:
  the same, part by part in time, for what may not fit into memory.
- ``runs(path, *, variable, units) -> list[xarray.DataArray]``:
  the runs of a weather model that a file holds, each a forecast (lead, y, x), with ``member`` first if it has members.
  It keeps when the run began (``forecast_reference_time``), from when on each value holds (``lead_start``) and the
  level (an attribute); rain is the mean rate from there to the lead, of running sums their differences.
- ``of_quantity(path, quantity, *, variable, units) -> xarray.DataArray``:
  the field of a quantity that is no rain (`echocast.fields.QUANTITIES`), for formats whose ``read`` gives rain alone;
  what has no time, such as the height of the ground, is one frame at `echocast.fields.times.NO_TIME`.
- ``COMPANIONS``: patterns of files that lie beside the data and are read with them.
- ``GZIP = True``: it reads files packed by gzip itself; for others they are unpacked (`echocast.io.unpacking`).
- ``PAGE``: the address of its page, for a reader of another project.
- ``GENERAL = True``: asked last, as a reader of a special kind of the same format goes before.

A reader does not name the file in its messages, and does not catch what a library raises about damaged data:
`echocast.io.reading` does both, by the rules of `echocast.io.damage`. It raises `ValueError` for data that contradict
themselves, and `UnreadableFile` (or another `DataError`) with a remedy for a file that is whole but not what is needed.
It checks sizes before it reads, since a lack of memory is not taken for damage.

The first line of its docstring is its line in ``echocast formats``; the whole docstring is shown by ``echocast formats
NAME``. Its page in the documentation is ``docs/formats/NAME.md``.
"""
