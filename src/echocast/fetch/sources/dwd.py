"""DWD RADOLAN RY of Germany, rain of 5 minutes, of the last days, from the open data server.

The names are taken from the server's own listing, as their compression has changed over the years.

Source: Deutscher Wetterdienst, opendata.dwd.de (GeoNutzV); no key is needed.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from echocast.fetch.sources._address import Address, Listing

BASE = "https://opendata.dwd.de/weather/radar/radolan"
STEP_MINUTES = 5.0

_NAME = re.compile(r'href="(raa01-ry_10000-(\d{10})-dwd---bin(?:\.gz|\.bz2)?)"')


def addresses(start: datetime, end: datetime, listing: Listing) -> Iterator[Address]:
    """The files that the server lists between the two times."""
    for name, stamp in sorted(set(_NAME.findall(listing("ry/")))):
        time = datetime.strptime(stamp, "%y%m%d%H%M")
        if start <= time <= end:
            yield Address(f"ry/{name}", name, time, listed=True)
