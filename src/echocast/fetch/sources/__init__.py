"""Open archives, one in each module: the addresses of their files.

A source is a module with three names:

- ``BASE``: the address of the archive, without a slash at its end.
- ``STEP_MINUTES``: the time step of its files.
- ``addresses(start, end, listing) -> Iterator[Address]``: the files between two times (UTC), both included; `listing`
  downloads a page below the base as text, for archives whose file names must be looked up.

The first line of its docstring says what it is.
"""

from echocast.fetch.sources._address import Address, Listing, regular_times

__all__ = ["Address", "Listing", "regular_times"]
