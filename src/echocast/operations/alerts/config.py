"""alerts.toml: areas, rules and channels, read and checked.

>>> load(Path("alerts.toml")).rules[0].id  # doctest: +SKIP
'heavy'
"""

import difflib
import fnmatch
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from echocast.operations.alerts import places, quiet
from echocast.operations.alerts.channel_config import Channel
from echocast.operations.alerts.places import Place
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.wording import LANGUAGES, Language
from echocast.operations.settings import SettingsError


class AlertsError(SettingsError):
    """A file of alert rules that is wrong: the message names the file, the key and its value, and says what to do."""


class _File(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    languages: Annotated[list[Language], Field(min_length=1)] = ["en"]
    time_zone: str = "UTC"
    area: Annotated[list[places.Area], Field(min_length=1)]
    rule: Annotated[list[Rule], Field(min_length=1)]
    channel: list[Channel] = []

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, name: str) -> str:
        quiet.zone_of(name)
        return name


@dataclass(frozen=True)
class Alerts:
    """What a file of alert rules says.

    Args:
        path: the file.
        digest: of its text.
        rules: the rules, in order.
        areas: the areas of each rule, by the rule's id.
        channels: by their ids.
        languages: of the messages.
        zone: of the times in them.
    """

    path: Path
    digest: str
    rules: tuple[Rule, ...]
    areas: dict[str, tuple[Place, ...]]
    channels: dict[str, Channel]
    languages: tuple[Language, ...]
    zone: ZoneInfo

    @property
    def places(self) -> dict[str, Place]:
        """All areas that a rule uses, by their ids."""
        return {place.id: place for found in self.areas.values() for place in found}


def load(path: Path) -> Alerts:
    """Read and check a file of alert rules and the files that it names.

    Raises:
        AlertsError: it cannot be read, is no TOML, or holds a key or value that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as bad:
        raise AlertsError(f"{path}: cannot be read ({bad.strerror}); give a file of alert rules") from bad
    except ValueError as bad:
        raise AlertsError(f"{path}: is no TOML ({bad}); see docs/alerts.md for an example") from bad
    try:
        file = _File(**content)
    except ValidationError as bad:
        raise AlertsError("; ".join(_told(path, content, error) for error in bad.errors())) from bad
    return _resolved(path, text, file)


def _resolved(path: Path, text: str, file: _File) -> Alerts:
    """The areas of each rule, read from their files; every name that is used must exist."""
    for kind, entries in (("area", file.area), ("rule", file.rule), ("channel", file.channel)):
        _refuse_doubles(path, kind, [one.id for one in entries])
    known = _read_places(path, file.area)
    channels = {one.id: one for one in file.channel}
    areas = {}
    for rule in file.rule:
        areas[rule.id] = _matching(path, rule, known)
        for name in rule.to:
            if name not in channels:
                raise AlertsError(_unknown(path, rule, "to", name, "channel", list(channels)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    zone = quiet.zone_of(file.time_zone)
    return Alerts(path, digest, tuple(file.rule), areas, channels, tuple(file.languages), zone)


def _read_places(path: Path, areas: Sequence[places.Area]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for area in areas:
        try:
            for place in places.places_of(area, path.parent):
                if place.id in found:
                    raise ValueError(f"two areas have the id {place.id!r}; give each an id of its own")
                found[place.id] = place
        except ValueError as bad:
            raise AlertsError(f"{path}: area {area.id!r}: {bad}") from bad
    return found


def _matching(path: Path, rule: Rule, known: dict[str, Place]) -> tuple[Place, ...]:
    found: dict[str, Place] = {}
    for pattern in rule.areas:
        names = [name for name in known if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            raise AlertsError(_unknown(path, rule, "areas", pattern, "area", list(known)))
        found |= {name: known[name] for name in names}
    return tuple(found.values())


def _refuse_doubles(path: Path, kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise AlertsError(f"{path}: two entries [[{kind}]] have the id {name!r}; give each an id of its own")


def _unknown(path: Path, rule: Rule, key: str, value: str, kind: str, known: list[str]) -> str:
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") or "none"
    return f"{path}: rule {rule.id!r}: {key}: there is no {kind} {value!r}; there are: {shown}"


def _told(path: Path, content: dict[str, Any], error: Any) -> str:
    """One error of the file: where it is, what stands there, and what to do."""
    where, key = _where(content, error["loc"])
    if error["type"] == "extra_forbidden":
        known = _keys_at(where)
        near = difflib.get_close_matches(key, known, 1)
        hint = f"; do you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}" if known else ""
        return f"{path}: {where}there is no key {key!r}{hint}"
    if error["type"] == "missing":
        return f"{path}: {where}{key} is missing; add it"
    if error["type"] == "union_tag_invalid":
        return (
            f"{path}: {where}kind = {error['ctx']['tag']}: there is no such kind; give {error['ctx']['expected_tags']}"
        )
    if error["type"] == "union_tag_not_found":
        return f"{path}: {where}kind is missing; add it"
    if error["type"] == "literal_error" and "languages" in key:
        return f"{path}: {key} = {error['input']!r}: there are texts in {', '.join(LANGUAGES)}"
    what = str(error["msg"]).removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    shown = f"{key} = {_short(error['input'])}: " if key else ""
    return f"{path}: {where}{shown}{what}"


def _where(content: Any, loc: tuple[Any, ...]) -> tuple[str, str]:
    """The entry that an error is in, as ``rule 'heavy': ``, and the key within it."""
    if len(loc) < 2 or loc[0] not in ("area", "rule", "channel") or not isinstance(loc[1], int):
        return "", ".".join(str(part) for part in loc)
    kind, number, *rest = loc
    entry = content[kind][number]
    name = entry.get("id") if isinstance(entry, dict) else None
    title = f"{kind} {name!r}: " if name else f"{kind} number {number + 1}: "
    if kind == "channel" and rest and isinstance(entry, dict) and rest[0] == entry.get("kind"):
        rest = rest[1:]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest).lstrip(".")
    return title, key


def _keys_at(where: str) -> list[str]:
    kind = where.partition(" ")[0]
    if kind == "channel":
        kinds = get_args(get_args(Channel)[0])
        return sorted({field.alias or name for one in kinds for name, field in one.model_fields.items()})
    models: dict[str, type[BaseModel]] = {"area": places.Area, "rule": Rule}
    model = models.get(kind, _File)
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
