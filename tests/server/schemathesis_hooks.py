"""What schemathesis is told: what is there, and strings of the formats that EDR's parameters have."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

_longitude = st.floats(24.5, 27, allow_nan=False).map(lambda one: f"{one:.4f}")
_latitude = st.floats(62.5, 63.4, allow_nan=False).map(lambda one: f"{one:.4f}")
_place = st.tuples(_longitude, _latitude).map(" ".join)
_ring = st.lists(_place, min_size=3, max_size=6).map(lambda places: f"(({','.join([*places, places[0]])}))")
_points = st.one_of(
    _place.map("POINT({})".format),
    st.lists(_place.map("({})".format), min_size=1, max_size=5).map(lambda some: f"MULTIPOINT({','.join(some)})"),
)
_polygons = st.one_of(_ring.map("POLYGON{}".format), _ring.map("MULTIPOLYGON({})".format))
_box = st.tuples(st.floats(20, 25), st.floats(60, 62.9), st.floats(25.1, 30), st.floats(62.95, 65))
_time = st.sampled_from([f"2026-11-28T05:{minute:02d}:00Z" for minute in range(0, 30, 5)])
_times = st.one_of(
    _time, _time.map("{}/..".format), _time.map("../{}".format), st.lists(_time, min_size=1).map(",".join)
)
_names = st.lists(
    st.sampled_from(["rainfall_rate", "rainfall_rate_p90", "rainfall_amount_10min"]), min_size=1, unique=True
)

schemathesis.openapi.format("wkt-points", _points)
schemathesis.openapi.format("wkt-polygons", _polygons)
schemathesis.openapi.format("bbox", _box.map(lambda one: ",".join(f"{number:.4f}" for number in one)))
schemathesis.openapi.format("edr-datetime", _times)
schemathesis.openapi.format("edr-names", _names.map(",".join))

_THERE = {
    "id": ["20261128T050500Z-1a2b3c4d"],
    "instance": ["20261128T050500Z-1a2b3c4d"],
    "location": ["town", "basin"],
    "layer": ["rate", "rate.p90", "amount.10", "coverage"],
    "lead": [5, 10],
}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Let parameters of paths name what is there, so that more than "not found" is reached; others are tried too."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in _THERE:
                    is_text = parameter["schema"].get("type") == "string"
                    values = _THERE[parameter["name"]]
                    parameter["schema"] = {"enum": [str(one) if is_text else one for one in values]}
