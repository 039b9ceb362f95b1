"""Which parameters of GRIB are rain: rates, amounts and reflectivities, NOAA MRMS' own and those of WMO and others.

Source: NOAA MRMS GRIB2 tables (nssl.noaa.gov/projects/mrms/operational/tables.php; the same as GDAL's); WMO manual on
codes I.2, code table 4.2; names of the ECMWF parameter database.
"""

from dataclasses import dataclass, replace

from echocast import fields
from echocast.errors import WrongUnits
from echocast.readers._eccodes import Message

_HOURS = (1.0, 3.0, 6.0, 12.0, 24.0, 48.0, 72.0)
_QPE = ("RadarOnly", "GaugeCorr", "GaugeOnly", "MountainMapper", "MultiSensor Pass1", "MultiSensor Pass2")
MRMS_AMOUNT_HOURS = {(6, 2 + 7 * n + i): hours for n in range(len(_QPE)) for i, hours in enumerate(_HOURS)}
MRMS_AMOUNT_HOURS |= {(6, 45): 0.25}
"""The hours of MRMS' amounts by category and number: seven lengths of six analyses, and RadarOnly of 15 minutes."""
MRMS_RATES = {(6, 1)}
MRMS_REFLECTIVITY = {(3, 57), (3, 58), (8, 8), (9, 0), (9, 1), (10, 0), (10, 2), (10, 4), (10, 9)}
MRMS_REFLECTIVITY |= {(11, number) for number in range(4)}
MRMS_ALOFT = {(3, number) for number in range(52, 57)} | {(10, 5), (10, 6), (10, 8)}
"""Reflectivity of ice aloft, which is no rain at the ground: read only when it is named."""

RAIN = (
    *("prate", "tprate", "avg_tprate", "mtpr", "rprate", "irrate"),
    *("tp", "twatp", "tirf", "rdp", "estp"),
    *("bref", "refc", "refd", "rare", "dbz", "dbz_cmax"),
)
"""Short names of what is rain, the ones that are taken first before the others."""
QUANTITIES = {
    **dict.fromkeys(("t", "2t"), ("air_temperature", 1.0)),
    **dict.fromkeys(("2d", "dpt"), ("dew_point_temperature", 1.0)),
    **dict.fromkeys(("r", "2r"), ("relative_humidity", 0.01)),
    **dict.fromkeys(("msl", "prmsl"), ("air_pressure", 1.0)),
    **dict.fromkeys(("u", "10u"), ("eastward_wind", 1.0)),
    **dict.fromkeys(("v", "10v"), ("northward_wind", 1.0)),
    **dict.fromkeys(("ws", "10si"), ("wind_speed", 1.0)),
    **dict.fromkeys(("wdir", "10wdir"), ("wind_from_direction", 1.0)),
    "z": ("geopotential", 1.0),
    "lsm": ("land_area_fraction", 1.0),
    **dict.fromkeys(("h", "orog"), ("surface_altitude", 1.0)),
}
"""Short names of what models hold beside rain: the quantity, and by what the numbers are multiplied to be in its unit.

It is read only when it is named.
"""
_SPELLED = {"dB": "dBZ"}
_WMO = {
    "0.1.7": ("prate", "kg m-2 s-1"),
    "0.1.8": ("tp", "kg m-2"),
    "0.1.49": ("twatp", "kg m-2"),
    "0.1.52": ("tprate", "kg m-2 s-1"),
    "0.1.65": ("rprate", "kg m-2 s-1"),
    "0.15.1": ("bref", "dBZ"),
    "0.16.4": ("rare", "dBZ"),
    "0.16.5": ("refc", "dBZ"),
    **{f"table {version} 59": ("prate", "kg m-2 s-1") for version in (1, 2, 3)},
    **{f"table {version} 61": ("tp", "kg m-2") for version in (1, 2, 3)},
}
"""WMO's own numbers, which a decoder may not know of every centre and version of tables: short name and unit."""


@dataclass(frozen=True)
class Parameter:
    """What a message holds.

    Args:
        name: ``MRMS 6.1``, a short name such as ``tp``, or the numbers of a parameter that ecCodes does not know.
        units: as the decoder or MRMS' table knows it; empty if nobody does.
        is_rain: it is in the list of what is rain.
        hours: of an amount whose interval its number tells.
        mrms: it is one of MRMS' own, with MRMS' special numbers.
    """

    name: str
    units: str
    is_rain: bool
    hours: float | None = None
    mrms: bool = False

    @property
    def quantity(self) -> str | None:
        """The quantity of `echocast.fields` that it is, if it is known and not rain."""
        return QUANTITIES.get(self.name, (None,))[0]

    @property
    def factor(self) -> float:
        """By what its numbers are multiplied to be in the unit of that quantity."""
        return QUANTITIES[self.name][1] if self.name in QUANTITIES else 1.0

    @property
    def kind(self) -> str:
        """``rate``, ``amount``, ``reflectivity``, or nothing if its unit is none of rain."""
        try:
            return fields.kind_of_unit(self.units)
        except WrongUnits:
            return ""


def parameter(message: Message, units: str | None) -> Parameter:
    """What a message holds; `units` is for where nobody knows the unit, and must not contradict one that is known."""
    if message.whole("edition") == 2 and message.whole("discipline") == 209:
        found = _mrms((message.whole("parameterCategory"), message.whole("parameterNumber")))
        return replace(found, units=fields.agreed_unit(found.units, units) if found.is_rain else found.units)
    name, known = message.text("shortName"), message.text("units")
    if name == "unknown":
        numbers = _numbers(message)
        name, known = _WMO.get(numbers, (numbers, units or ""))
    known, is_rain = _SPELLED.get(known, known), name.lower() in RAIN
    return Parameter(name, fields.agreed_unit(known, units) if is_rain else known, is_rain=is_rain)


def _mrms(key: tuple[int, int]) -> Parameter:
    name = f"MRMS {key[0]}.{key[1]}"
    if key in MRMS_RATES:
        return Parameter(name, "mm h-1", is_rain=True, mrms=True)
    if key in MRMS_AMOUNT_HOURS:
        return Parameter(name, "mm", is_rain=True, hours=MRMS_AMOUNT_HOURS[key], mrms=True)
    reflectivity = key in MRMS_REFLECTIVITY | MRMS_ALOFT
    return Parameter(name, "dBZ" if reflectivity else "", is_rain=key in MRMS_REFLECTIVITY, mrms=True)


def _numbers(message: Message) -> str:
    if message.whole("edition") == 1:
        return f"table {message.whole('table2Version')} {message.whole('indicatorOfParameter')}"
    return ".".join(str(message.whole(key)) for key in ("discipline", "parameterCategory", "parameterNumber"))
