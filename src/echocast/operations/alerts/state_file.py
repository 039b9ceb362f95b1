"""alerts-state.json: the states of all rules and the messages that they led to, replaced in one step.

After a kill at any moment the file is that before an issue or that after it. What it hands to the outbox stands in it
until the outbox has it, so no message is lost; one that was sent just before may be sent again, with the same id.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echocast.atomic import sync_folder, write_bytes
from echocast.errors import DataError
from echocast.operations.alerts import messages, states
from echocast.operations.alerts.evaluation import Key
from echocast.operations.alerts.messages import Message
from echocast.operations.alerts.states import Record
from echocast.operations.disk import disk_errors

log = logging.getLogger(__name__)

VERSION = "1.0"
Handed = tuple[Message, tuple[str, ...]]


@dataclass
class State:
    """What is remembered from one issue to the next.

    Args:
        issue: the id of the newest issue that was judged.
        time: of that issue, in seconds since 1970.
        records: of each rule in each area.
        handed: the messages of the newest issue and their channels, until the outbox has them.
        recent: the messages of the last day, newest first, as plain values.
    """

    issue: str = ""
    time: float = 0.0
    records: dict[Key, Record] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    recent: list[dict[str, Any]] = field(default_factory=list)


def save(path: Path, state: State) -> None:
    """Replace the file; it is on the disk when this returns. Raises `DiskTrouble`."""
    content = {
        "version": VERSION,
        "issue": state.issue,
        "time": state.time,
        "records": [[*key, states.to_json(record)] for key, record in state.records.items()],
        "handed": [{"message": one.to_json(), "channels": list(to)} for one, to in state.handed],
        "recent": state.recent,
    }
    with disk_errors(path):
        write_bytes(path, json.dumps(content, ensure_ascii=False).encode() + b"\n", sync=True)
        sync_folder(path.parent)


def read(path: Path) -> State:
    """The state in the file; an empty one where there is none. What is damaged is set aside and told.

    Raises:
        DataError: it is of another version, or cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        return _state(path, content)
    except FileNotFoundError:
        return State()
    except OSError as bad:
        raise DataError(f"{path}: cannot be read ({bad.strerror}); make it readable") from bad
    except DataError:
        raise
    except (ValueError, KeyError, TypeError) as bad:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.warning("%s: is damaged (%s) and was set aside as %s; all rules begin anew", path, bad, aside.name)
        return State()


def _state(path: Path, content: dict[str, Any]) -> State:
    version = str(content["version"])
    if version.partition(".")[0] != VERSION.partition(".")[0]:
        raise DataError(f"{path}: is of version {version}, this program writes {VERSION}; remove it to begin anew")
    records = {(str(rule), str(area)): states.from_json(one) for rule, area, one in content["records"]}
    handed: Sequence[dict[str, Any]] = content["handed"]
    return State(
        issue=str(content["issue"]),
        time=float(content["time"]),
        records=records,
        handed=[(messages.from_json(one["message"]), tuple(one["channels"])) for one in handed],
        recent=list(content["recent"]),
    )
