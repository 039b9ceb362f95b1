"""kill -9 between judging and sending: no message is lost, and one that comes twice has the same id."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.operations.alerts import kill_me, made

CHANNELS = "".join(f'[[channel]]\nid = "{name}"\nkind = "file"\npath = "{name}.jsonl"\n' for name in ("one", "two"))
RULE = made.RULE + 'to = ["one", "two"]'
AREAS = "\n[[area]]\n".join(
    f'id = "a{n}"\npoint = [{made.place(n, 3)[0]}, {made.place(n, 3)[1]}]\nradius_km = 0' for n in range(3)
)


@pytest.fixture(scope="module")
def nursery() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(Path(kill_me.__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate()


def run(nursery: "subprocess.Popen[str]", root: Path, folder: Path, where: str = "", let_through: int = 0) -> int:
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{root}\t{folder}\t{where}\t{let_through}\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


@pytest.mark.parametrize("where", kill_me.PLACES)
@pytest.mark.parametrize("let_through", [0, 1])
def test_no_message_is_lost(tmp_path: Path, nursery: "subprocess.Popen[str]", where: str, let_through: int) -> None:
    made.alerts(tmp_path, RULE, area=AREAS, more=CHANNELS)
    (tmp_path / "live").mkdir()
    issue = made.published(tmp_path, 0, {"rate": [12.0]})
    folder = tmp_path / issue.id
    assert run(nursery, tmp_path, folder, where, let_through) == -9
    assert run(nursery, tmp_path, folder) == 0
    ids = set()
    for name in ("one", "two"):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        by_id = {line["id"]: line for line in lines}
        assert {line["area"]["id"] for line in by_id.values()} == {"a0", "a1", "a2"}
        assert len(by_id) == 3  # more lines only if one came twice,
        assert all(line == by_id[line["id"]] for line in lines)  # and then it is the same in all
        assert len(lines) <= 3 + 1
        ids |= set(by_id)
    assert len(ids) == 3
    assert list((tmp_path / "live" / "alerts" / "outbox").iterdir()) == []
    assert run(nursery, tmp_path, folder) == 0  # and nothing more after another start
    assert len((tmp_path / "one.jsonl").read_text().splitlines()) <= 4
