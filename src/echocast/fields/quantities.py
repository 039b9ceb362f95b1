"""What a field can hold: each quantity with its one unit inside echocast.

>>> QUANTITIES["rainfall_rate"].units
'mm h-1'
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """A physical quantity, or the numbers of a picture.

    Args:
        name: the name of a field's array.
        units: its unit inside echocast; readers convert to it.
        long_name: what figures and files call it.
        standard_name: its name in the CF conventions, if they have one.
        georeferenced: whether a field of it must say where it lies on Earth.
        whole: whether its numbers are whole, such as the classes of a label map.
    """

    name: str
    units: str
    long_name: str
    standard_name: str = ""
    georeferenced: bool = True
    whole: bool = False

    def attributes(self) -> dict[str, str]:
        """The attributes of a field of this quantity, as CF spells them."""
        standard = {"standard_name": self.standard_name} if self.standard_name else {}
        return standard | {"long_name": self.long_name, "units": self.units}


RAINFALL_RATE = Quantity("rainfall_rate", "mm h-1", "rain rate", "rainfall_rate")

QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        RAINFALL_RATE,
        Quantity("rainfall_amount", "mm", "rain amount", "thickness_of_rainfall_amount"),
        Quantity("reflectivity", "dBZ", "radar reflectivity", "equivalent_reflectivity_factor"),
        Quantity("air_temperature", "K", "air temperature", "air_temperature"),
        Quantity("relative_humidity", "1", "relative humidity", "relative_humidity"),
        Quantity("dew_point_temperature", "K", "dew point", "dew_point_temperature"),
        Quantity("air_pressure", "Pa", "air pressure at mean sea level", "air_pressure_at_mean_sea_level"),
        Quantity("eastward_wind", "m s-1", "eastward wind", "eastward_wind"),
        Quantity("northward_wind", "m s-1", "northward wind", "northward_wind"),
        Quantity("wind_speed", "m s-1", "wind speed", "wind_speed"),
        Quantity("wind_from_direction", "degree", "direction that the wind comes from", "wind_from_direction"),
        Quantity("geopotential", "m2 s-2", "geopotential", "geopotential"),
        Quantity("land_area_fraction", "1", "share of land", "land_area_fraction"),
        Quantity("surface_altitude", "m", "height of the ground", "surface_altitude"),
        Quantity("image", "1", "grey level, from 0 to 1", georeferenced=False),
        Quantity("label", "1", "class number", georeferenced=False, whole=True),
    )
}
"""By name. A field of another quantity is possible: `echocast.fields.make` takes any `Quantity`."""
