"""The benchmarks run and tell the truth about what they compare; what they measure is no test's business."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.layers_cases import CASES, QUICK, Case, build
from benchmarks.layers_memory import measured
from benchmarks.timing import by_turns, geometric_mean

import benchmarks
from benchmarks import keras_times, layers, layers_loss, prednet, scale_worker
from echocast.models.prednet import PredNet
from echocast.nn import compat


def test_candidates_take_turns_and_the_first_turn_warms_up() -> None:
    order: list[str] = []
    told = iter([9.0, 1.0, 2.0, 4.0])

    def clocked() -> float:
        order.append("clocked")
        return next(told)

    spent = by_turns({"plain": lambda: order.append("plain"), "clocked": clocked}, rounds=3)
    assert order == ["plain", "clocked"] * 4
    assert (spent["clocked"].low, spent["clocked"].median, spent["clocked"].high) == (1.5, 2.0, 3.0)
    assert str(spent["clocked"]) == "2000 (1500-3000)"
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1)


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_the_usual_loop_computes_what_our_layers_do(case: Case) -> None:
    torch.manual_seed(0)
    usual, ours = build(case, "usual"), build(case, "echocast")
    if case.network:
        side = case.size * 4
        frames = torch.rand(case.batch, case.steps // 2, 1, side, side)
        for part in ("encoder", "forecaster"):
            for theirs, mine in zip(getattr(usual.model, part), getattr(ours.model, part).cells, strict=True):
                kernel, inputs = theirs.conv.weight.detach(), theirs.conv.weight.shape[1] - theirs.hidden
                kernel = compat.base.in_order(kernel, "ifog")
                with torch.no_grad():
                    if inputs:
                        mine.weight_x.copy_(kernel[:, :inputs])
                    mine.weight_h.copy_(kernel[:, inputs:])
                    mine.bias.copy_(compat.base.in_order(theirs.conv.bias.detach(), "ifog"))
        ours.model.output.load_state_dict(usual.model.output.state_dict())
    else:
        frames = torch.randn(case.batch, case.steps, case.inputs, case.size, case.size)
        weights = {f"cell_list.0.{name.removeprefix('cell.')}": w for name, w in usual.state_dict().items()}
        ours.layer.load_state_dict(compat.convert("ndrplz", weights).layer().state_dict())
    torch.testing.assert_close(ours(frames), usual(frames), rtol=0, atol=1e-5)


def test_the_cases_are_those_of_the_documents() -> None:
    assert [str(case) for case in CASES] == [
        "T=10 B=4 64->64 3x3 64x64",
        "T=10 B=8 128->64 5x5 16x16",
        "T=10 B=4 1->64 3x3 64x64",
        "T=20 B=16 network 128-64-64 5x5 16x16",
        "T=4 B=1 1->64 3x3 1024x1024",
    ]


@pytest.mark.slow
def test_layers_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keras_times, "BACKENDS", {})  # a process each, for numbers that nobody reads here
    out = tmp_path / "layers.md"
    assert main(["layers", "--quick", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == text.strip()
    for title in ("## Inference", "## Training step", "## The shipped bf16 path", "## Memory"):
        assert title in text
    assert "geometric mean of the ratios" in text


def test_what_cannot_be_measured_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["coffee"])
    assert "invalid choice: 'coffee'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["layers", "--device", "abacus"])
    assert "--device abacus: PyTorch sees no such device here" in capsys.readouterr().err
    files = {path.stem for path in Path(benchmarks.__file__).parent.glob("*.py")}
    assert set(BENCHMARKS) < files


def test_parts_by_themselves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(layers, "only", layers.GROUPS)
    monkeypatch.setattr(keras_times, "BACKENDS", {})
    assert main(["layers", "--quick", "--only", "inference,loss"]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Inference", f"## {layers_loss.TITLE}"]
    assert "`python -m benchmarks layers --quick --only inference,loss`" in text
    for words in (["layers", "--only", "coffee"], ["everyday", "--only", "memory"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "layers has the parts inference, training, loss, memory" in capsys.readouterr().err


def test_bfloat16_is_left_out_where_no_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layers, "only", ("inference",))
    monkeypatch.setattr(keras_times, "BACKENDS", {})
    for capability, told in (("AVX2", 1), ("AVX512", 0)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda name=capability: name)
        assert main(["layers", "--quick"]) == 0
        text = capsys.readouterr().out
        assert text.count("This processor has no instructions for bfloat16") == told
        assert text.count("- bf16: geometric mean") == 1 - told
        assert "- bf16 against the usual loop in fp32: geometric mean" in text


def test_everyday_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["everyday", "--quick"]) == 0
    text = capsys.readouterr().out
    assert "| ConvGRU T=2 B=1 1->4 k3 4x4x4 |" in text
    assert text.count("geometric mean of the ratios") == 2


def test_choices_on_a_gpu_run_dry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers_gpu", "--quick"]) == 0
    text = capsys.readouterr().out
    assert text.count("| T=3 B=1 2->4 3x3 8x8, training | ") == 3
    assert " CPU, 1 turns" in text


@pytest.mark.slow  # writes and reads two stores
def test_archive_reads_windows_and_wants_real_files_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "archive.md"
    assert main(["archive", "--quick", "--rounds", "1", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "| 400 frames |" in text
    assert "| 4000 frames |" in text
    monkeypatch.delenv("ECHOCAST_DATA", raising=False)
    assert main(["archive"]) == 1
    assert "ECHOCAST_DATA names no folder" in capsys.readouterr().err


@pytest.mark.slow  # a cluster starts for each of two archives
def test_scale_tells_time_and_memory_by_length(tmp_path: Path) -> None:
    out = tmp_path / "scale.md"
    assert main(["scale", "--quick", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    for stage in scale_worker.STAGES:
        assert f"| 144 | {stage} |" in text
        assert f"| 288 | {stage} |" in text
    assert "| archive, a frame |" in text


@pytest.mark.slow  # a process starts beside half a gigabyte
def test_a_process_that_is_measured_does_not_count_its_parents_memory() -> None:
    hoard = np.ones(2**27)
    grown = measured(Case(3, 1, 1, 8, 3, 64), "echocast", "fp32", "inference", torch.device("cpu"))
    assert hoard.nbytes > 2**29
    assert 0 < grown < 500


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", ["verify", pytest.param("nowcast", marks=pytest.mark.slow)])
def test_scores_and_nowcasts_are_measured(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    assert main([what, "--quick", "--rounds", "1", "--out", str(tmp_path / "t.md")]) == 0
    rows = [line for line in (tmp_path / "t.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) >= 2
    assert (tmp_path / "t.md").read_text().strip() in capsys.readouterr().out


@pytest.mark.slow  # starts a server and asks it for seconds
def test_serving_is_measured(tmp_path: Path) -> None:
    assert main(["serve", "--quick", "--rounds", "1", "--out", str(tmp_path / "t.md")]) == 0
    text = (tmp_path / "t.md").read_text()
    assert "| tiles never seen | 16 |" in text
    assert "| points as JSON | 16 |" in text


@pytest.mark.parametrize("apart", [False, True])
def test_the_plain_loop_of_prednet_computes_what_ours_does(apart: bool) -> None:
    model, drawn = PredNet(channels=1, hidden_channels=[4, 6]).double(), torch.Generator().manual_seed(0)
    frames = torch.rand(1, 3, 1, 8, 12, generator=drawn, dtype=torch.float64)
    torch.testing.assert_close(prednet.plain_loss(model, frames, apart=apart), model.training_loss(frames, 1))


@pytest.mark.slow  # it trains
def test_prednet_is_measured(tmp_path: Path) -> None:
    assert main(["prednet", "--quick", "--out", str(tmp_path / "t.md")]) == 0
    rows = [line.split(" | ") for line in (tmp_path / "t.md").read_text().splitlines() if line.startswith("| ")]
    assert rows[-2][1:] == rows[-1][1:]  # both learn the same


def test_the_two_sides_of_the_score_benchmark_give_the_same_scores() -> None:
    detcat = pytest.importorskip("pysteps.verification.detcatscores", reason="pysteps is not installed")
    from benchmarks.verify import _rain

    from echocast.verification.scores import contingency

    forecast, observed = _rain((1, 2, 40, 40))
    whole = np.nan_to_num(observed)
    found = contingency.values(contingency.statistics(forecast, whole))["csi"]
    for lead in range(2):
        assert found[lead, 1] == pytest.approx(
            detcat.det_cat_fct(forecast[0, lead], whole[0, lead], 1.0)["CSI"], abs=1e-6
        )
