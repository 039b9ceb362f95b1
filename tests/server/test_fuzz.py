"""Schemathesis asks all that /openapi.json describes, in good ways and bad; every check must hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.edr.folder import publish, served
from tests.server.edr.test_routes import PLACES

ROOT = Path(__file__).parents[2]


def fuzz(root: Path, *options: str) -> str:
    """What schemathesis says; an empty text if all is well."""
    publish(root)
    (root / "places.geojson").write_text(json.dumps(PLACES))
    line = [str(Path(sys.executable).with_name("schemathesis")), "run", "--checks", "all", "--seed", "1", "--no-color"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.server.schemathesis_hooks",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with served(root, locations=root / "places.geojson") as port:
        address = f"http://127.0.0.1:{port}/openapi.json"
        done = subprocess.run(
            [*line, *options, address], capture_output=True, text=True, cwd=root, env=environment, check=False
        )
    assert "Selected: " in done.stdout, done.stdout + done.stderr
    return "" if done.returncode == 0 else done.stdout


def test_a_few_requests_of_every_kind(tmp_path: Path) -> None:
    assert fuzz(tmp_path, "--phases", "examples,fuzzing", "--max-examples", "2") == ""


@pytest.mark.slow  # 200 examples of each address
def test_many_requests_of_every_kind(tmp_path: Path) -> None:
    assert fuzz(tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "200") == ""
