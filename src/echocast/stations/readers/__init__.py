"""One format of station files each: a translation to the station series (`echocast.stations`) and nothing more.

A reader is a module with three names:

- ``SUFFIXES``: the usual file endings, lower case with the dot; for listings only.
- ``recognises(head, path) -> bool``: is a file with these first 4096 bytes (decompressed if it is gzip) of this format?
- ``read(path, *, ...) -> xarray.DataArray``: the station series. Of the options of `echocast.stations.files.Options` it
  has those that mean something for the format, as keyword arguments.

A reader proves quantity, unit, interval, place and time; what it cannot prove it refuses by name, with the option that
tells it. It never guesses a time zone. It does not name the file in its messages: `echocast.stations.files` does.
"""
