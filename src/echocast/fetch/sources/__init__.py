"""One open archive each: where its files lie, and nothing more.

A source is a module with three names:

- ``BASE``: the address of the archive, without a slash at its end.
- ``STEP_MINUTES``: how often it has a file.
- ``addresses(start, end, listing) -> Iterator[Address]``: the files between two times (UTC), both included; `listing`
  fetches a page below the base as text, for archives whose names cannot be told without looking.

The first line of its docstring says what it is.
"""

from echocast.fetch.sources._address import Address, Listing

__all__ = ["Address", "Listing"]
