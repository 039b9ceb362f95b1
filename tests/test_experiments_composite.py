"""The experiments on the LSTM composite and PredRNN run from end to end, in little."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.mark.data
@pytest.mark.slow  # it draws 10,000 sequences and trains
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lstm_composite", {"floor", "reconstruction", "future", "composite", "untrained"}),
        ("moving_mnist_openstl", {"convlstm", "predrnn", "copy"}),
    ],
)
def test_in_little(name: str, expected: set[str], tmp_path: Path, data_kit: Path) -> None:
    line = [sys.executable, str(EXPERIMENTS / f"{name}.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "results.json").read_text())) == expected
    assert (tmp_path / "table.md").read_text() in done.stdout
    assert (tmp_path / "examples.png").stat().st_size > 1000
