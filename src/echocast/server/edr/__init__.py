"""OGC API - Environmental Data Retrieval 1.2 over the published issues.

One collection, ``nowcast``; each published issue is an instance of it, and without an instance the newest is asked.
Queries: position, area, cube and locations. A request is read and its answer's size computed before any value is read.

::

    request -> wkt, times, parameters -> cells of the grid -> block file -> coverage -> a file
"""

from echocast.server.edr.routes import add

__all__ = ["add"]
