"""Files of rules: what is wrong is told with the file, the entry, the key, the value and what to do."""

import json
import re
from pathlib import Path

import pytest
from tests.operations.alerts import made

from echocast.operations.alerts.config import AlertsError, load

CHANNEL = '[[channel]]\nid = "ops"\nkind = "webhook"\n'
PROBABILITY = made.RULE.replace('"rate"', '"probability_rate"')


def test_a_whole_file(tmp_path: Path) -> None:
    rule = (
        'id = "heavy"\nareas = ["*"]\nseverity = "Severe"\nquantity = "probability_amount"\nspan = 60\nthreshold = 20\n'
        'at_least = 0.4\nstatistic = "max"\nleads = [0, 60]\nclear_below = 0.2\nfor = 2\nkeep = 3\nrepeat = "60min"\n'
        'quiet = "22:00-06:00 Europe/Zurich"\nto = ["ops", "cap"]\n'
    )
    more = CHANNEL + 'url = "https://example.org/hook"\nsecret_file = "hook"\n'
    more += '[[channel]]\nid = "cap"\nkind = "cap"\nsender = "nowcast@example.org"\nstatus = "Test"\n'
    found = made.alerts(tmp_path, rule, more=more)
    (one,) = found.rules
    assert (one.layer, one.count, one.keep, one.repeat) == ("prob.amount.60.20", 2, 3, 3600.0)
    assert [place.id for place in found.areas["heavy"]] == ["town"]
    assert set(found.channels) == {"ops", "cap"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            made.text(made.RULE.replace("threshold", "treshold")),
            "rule 'heavy': there is no key 'treshold'; do you mean",
        ),
        (
            made.text(made.RULE.replace("10", '"ten"')),
            "rule 'heavy': threshold = 'ten': input should be a valid number",
        ),
        (made.text(made.RULE.replace("threshold = 10", "")), "needs a threshold, in mm/h"),
        (made.text(made.RULE + "at_least = 0.5"), "at_least is for probabilities and shares"),
        (made.text(PROBABILITY), "at_least is missing"),
        (made.text(made.RULE.replace('"rate"', '"amount"')), "needs a span in minutes"),
        (made.text(made.RULE + "span = 60"), "has no span"),
        (made.text(made.RULE + "clear_below = 11"), "clear_below 11 is above the level of raising, 10"),
        (made.text(made.RULE + 'statistic = "median"'), "statistic = 'median': is not max, mean or share>X"),
        (made.text(made.RULE + "leads = [60, 30]"), "the first is after the last"),
        (made.text(made.RULE + 'quiet = "22-6"'), "is not like '22:00-06:00 Europe/Zurich'"),
        (made.text(made.RULE + 'quiet = "22:00-06:00 Europe/Olten"'), "there is no time zone 'Europe/Olten'"),
        (made.text(made.RULE + 'to = "ops"'), "rule 'heavy': to: there is no channel 'ops'; there are: none"),
        (made.text(made.RULE.replace("*", "city")), "areas: there is no area 'city'; there are: town"),
        (made.text(made.RULE + 'levels = [{severity = "Minor", threshold = 20}]'), "Minor is not worse than Severe"),
        (made.text(made.RULE + 'levels = [{severity = "Extreme", threshold = 5}]'), "must be above that of the rule"),
        (made.text(area='id = "a"\npoint = [47.4, 97.9]\nradius_km = 5'), "longitude comes first"),
        (made.text(area='id = "a"\npoint = [7.9, 47.4]'), "radius_km is missing"),
        (made.text(area='id = "a"'), "give one of point, coordinates and file; it has none of them"),
        (made.text(area='id = "a"\nfile = "b.geojson"\nid_property = "c"'), "cannot be read (No such file"),
        (made.text(area='id = "a"\ncoordinates = [[1, 2], [3, 4]]'), "a ring has three or more different points"),
        (made.text(more=CHANNEL + 'url = "http://a/"\nunsigned = true'), "url is not https"),
        (made.text(more=CHANNEL + 'url = "https://u:p@a/"\nunsigned = true'), "holds a user, a password or a fragment"),
        (made.text(more=CHANNEL + 'url = "https://a/"'), "give secret_file"),
        (made.text(more='[[channel]]\nid = "x"\nkind = "pager"'), "channel 'x': kind = pager: there is no such kind"),
        (made.text(top='languages = ["fi"]'), "there are texts in en, de, fr, it"),
        (made.text(top="languages = 3 3"), "is no TOML"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    with pytest.raises(AlertsError) as bad:
        load(path)
    assert told in str(bad.value)
    assert str(path) in str(bad.value)


def test_features_of_a_file_are_areas(tmp_path: Path) -> None:
    square = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    features = [
        {"properties": {"code": 7, "n": "Aare"}, "geometry": {"type": "Polygon", "coordinates": square}},
        {"properties": {"code": "b"}, "geometry": {"type": "MultiPolygon", "coordinates": [square, square]}},
        {"properties": {"code": "c"}, "geometry": {"type": "Point", "coordinates": [5, 6, 100]}},
    ]
    (tmp_path / "c.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    area = 'id = "river"\nfile = "c.geojson"\nid_property = "code"\nname_property = "n"\nradius_km = 3'
    found = made.alerts(tmp_path, made.RULE.replace("*", "river/[7c]"), area=area)
    assert [(one.id, one.name, one.centre) for one in found.areas["heavy"]] == [
        ("river/7", "Aare", None),
        ("river/c", "c", (5.0, 6.0)),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"features": []}, "is no GeoJSON FeatureCollection"),
        (
            {"features": [{"properties": {"x": 1}}]},
            "feature 1: has no id in the property 'code'; its properties are: x",
        ),
        (
            {"features": [{"properties": {"code": 1}, "geometry": {"type": "LineString"}}]},
            "its geometry is 'LineString'",
        ),
        ({"features": [{}], "crs": {"properties": {"name": "EPSG:2056"}}}, "GeoJSON is in degrees"),
    ],
)
def test_a_wrong_geojson_is_told(tmp_path: Path, content: object, told: str) -> None:
    (tmp_path / "c.geojson").write_text(json.dumps(content))
    with pytest.raises(AlertsError) as bad:
        made.alerts(tmp_path, area='id = "river"\nfile = "c.geojson"\nid_property = "code"')
    assert told in str(bad.value)


DOCS = Path(__file__).parents[3] / "docs"


def test_the_files_of_the_documents_are_right(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "alerts.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "alerts.toml").write_text(text, encoding="utf-8")
    square = [[[7, 47], [8, 47], [8, 48]]]
    features = [{"properties": {"code": "A"}, "geometry": {"type": "Polygon", "coordinates": square}}]
    (tmp_path / "catchments.geojson").write_text(json.dumps({"features": features}))
    assert [one.id for one in load(tmp_path / "alerts.toml").areas["heavy"]] == ["olten", "river/A"]
    assert len(load(DOCS / "examples" / "alerts" / "alerts.toml").places) == 12
