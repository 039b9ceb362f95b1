"""FMI reflectivity composite of Finland, GeoTIFF of 250 m, every 5 minutes, from FMI's open bucket.

Source: Finnish Meteorological Institute, open data, radar images in AWS S3 (CC BY 4.0); no key is needed.
"""

from collections.abc import Iterator
from datetime import datetime

from echocast.fetch.sources._address import Address, Listing, regular_times

BASE = "https://fmi-opendata-radar-geotiff.s3-eu-west-1.amazonaws.com"
STEP_MINUTES = 5.0

_PRODUCT = "FIN-DBZ-3067-250M"


def addresses(start: datetime, end: datetime, listing: Listing) -> Iterator[Address]:  # noqa: ARG001 (names are regular)
    """One file every five minutes."""
    for time in regular_times(start, end, STEP_MINUTES):
        name = f"{time:%Y%m%d%H%M}_{_PRODUCT}.tif"
        yield Address(f"{time:%Y/%m/%d}/{_PRODUCT}/{name}", name, time)
