"""The programme for a GPU, run dry on the CPU; and that its file holds what it should."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from echocast.models.lagrangian import Lagrangian
from echocast.synthetic import moving_mnist, storms

ROOT = Path(__file__).parents[1]
PROGRAMME = ROOT / "scripts" / "gpu"


def dry_run(out: Path, *words: str) -> dict[str, dict[str, str]]:
    """Its table, of parts that need no data."""
    command = [sys.executable, str(PROGRAMME), "run", "--out", str(out), "--device", "cpu", "--tiny", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: dict(rows) for name, rows in json.loads((out / "table.json").read_text()).items()}


@pytest.mark.slow  # a minute: it trains, trains on and measures
def test_each_part_runs_and_goes_on_another_day(tmp_path: Path) -> None:
    first = dry_run(tmp_path / "one", "--parts", "checks,nowcast,digits", "--minutes", "60")
    assert float(first["checks"]["ConvLSTM"]) < 1e-4
    assert first["nowcast"]["lagrangian: steps"].endswith("3 in all")
    more = dry_run(tmp_path / "two", "--parts", "nowcast", "--minutes", "60", "--resume", str(tmp_path / "one"))
    assert more["nowcast"]["lagrangian: steps"].endswith("6 in all")
    assert first["digits"]["moving_mnist: steps"].endswith("2 in all")
    assert (tmp_path / "two" / "lagrangian.safetensors").exists()


@pytest.mark.slow  # a process for each figure of memory
def test_layers_are_measured_too(tmp_path: Path) -> None:
    told = dry_run(tmp_path, "--parts", "layers", "--minutes", "60")["layers"]
    assert "channels-last" in told["choices"]
    assert "## Training step" in told["report"]


def test_rates_survive_their_eight_bits(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(PROGRAMME))
    import pack  # type: ignore[import-not-found]

    rates = np.array([0.0, 0.04, 0.05, 0.3, 1.0, 7.7, 199.0, 500.0, np.nan], np.float32)
    back = pack.table()[pack.to_bytes(rates)]
    assert back[:2].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(back[2:7], rates[2:7], rtol=0.017)
    np.testing.assert_allclose(back[7], 200.0, rtol=1e-5)
    assert np.isnan(back[8])


def test_digits_are_drawn_as_the_generator_draws_them(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(PROGRAMME))
    import digits  # type: ignore[import-not-found]

    pool = np.random.default_rng(0).integers(0, 256, (500, 28, 28)).astype(np.uint8)
    chosen, corners = moving_mnist.paper_draws(len(pool))
    drawn = digits.drawn(pool, chosen[10_000:10_005], corners[10_000:10_005].astype(np.uint8), torch.device("cpu"))
    np.testing.assert_array_equal(drawn.numpy(), moving_mnist.paper_set(pool, "validation")[:5])


def test_an_archive_is_packed_and_read_back(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(PROGRAMME))
    import pack

    import nowcast  # type: ignore[import-not-found]

    field = storms.generate(frames=30, size=64, seed=3)
    pack.write(tmp_path / "data.npz", {f"storms/{k}": v for k, v in pack.packed(field).items()})
    archive = nowcast._archive(np.load(tmp_path / "data.npz"), "storms", torch.device("cpu"))
    assert archive.context.time_step_minutes == 5
    assert archive.starts.tolist() == [0, 1, 2]
    rain, motion = archive.windows(archive.starts[:1], 0, 0)
    wet = field.values[:28] >= 0.05
    np.testing.assert_allclose(rain[0, :, 0].numpy()[wet], field.values[:28][wet], rtol=0.017)
    estimated = Lagrangian().motion(torch.from_numpy(field.values[None, :10, None]))
    assert (motion - estimated).abs().mean() < 0.1 * estimated.abs().mean()
