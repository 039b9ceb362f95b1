"""NOAA MRMS PrecipRate of the USA, every 2 minutes since October 2020, from the open bucket noaa-mrms-pds.

Source: NOAA Open Data Dissemination, registry.opendata.aws/noaa-mrms-pds; no key is needed.
"""

from collections.abc import Iterator
from datetime import datetime

from echocast.fetch.sources._address import Address, Listing, regular_times

BASE = "https://noaa-mrms-pds.s3.amazonaws.com"
STEP_MINUTES = 2.0

_PRODUCT = "PrecipRate_00.00"


def addresses(start: datetime, end: datetime, listing: Listing) -> Iterator[Address]:  # noqa: ARG001 (names are regular)
    """One file every two minutes; some are missing in the archive."""
    for time in regular_times(start, end, STEP_MINUTES):
        name = f"MRMS_{_PRODUCT}_{time:%Y%m%d-%H%M%S}.grib2.gz"
        yield Address(f"CONUS/{_PRODUCT}/{time:%Y%m%d}/{name}", name, time)
