"""Real training of a tiny network on a tiny archive."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from tests import example_files
from torch.nn.functional import binary_cross_entropy_with_logits

from echocast import archive
from echocast.errors import DataError, EchocastError, ExperimentError, MissingFrames
from echocast.models import base
from echocast.samples.windows import stack
from echocast.synthetic import moving_mnist
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import open_sources

FIVE = np.timedelta64(5, "m")
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)


def store(folder: Path, name: str, start: np.datetime64 = example_files.TIME, gaps: tuple[int, ...] = ()) -> Path:
    """An archive of 40 frames of a shower, some of them missing."""
    source = folder / f"{name}-files"
    source.mkdir()
    keep = [n for n in range(40) if n not in gaps]
    rain = example_files.blob(40, 16, 24, dx=0.3, dy=0.1)
    run = example_files.field(rain, start=start)[keep]
    for first in range(0, len(keep), 20):
        part = run[first : first + 20].to_dataset().reset_coords("crs")
        part.to_netcdf(source / f"{first:02}.nc", engine="h5netcdf")
    archive.write([source], folder / name)
    return folder / name


def plan(train: Path, validation: Path | None, *settings: str) -> experiments.Experiment:
    tables = {
        "model": {"name": "encoder_forecaster", "hidden_channels": [4], "patch": 4},
        "data": {"train": str(train), "past": 3, "future": 3} | ({"validation": str(validation)} if validation else {}),
        "optimiser": {"warmup": 2},
        "training": {"max_steps": 6, "validation_interval": 2, "batch_size": 2, "accelerator": "cpu"},
    }
    for setting in settings:
        experiments._put(tables, setting)
    if tables["model"]["name"] == "lagrangian":
        del tables["model"]["patch"]  # it has a table of settings for its network
    return experiments.parse(tables)


@pytest.fixture
def archives(tmp_path: Path) -> tuple[Path, Path]:
    return store(tmp_path, "train.zarr"), store(
        tmp_path, "validation.zarr", example_files.TIME + np.timedelta64(1, "D")
    )


def test_a_run_leaves_all_it_promises(archives: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert fit.fit(plan(*archives), out)
    assert {"experiment.toml", "weights.safetensors", "last.ckpt", "metrics.csv", "tensorboard"} <= {
        path.name for path in out.iterdir()
    }
    assert list((out / "tensorboard").glob("events*"))
    lines = (out / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "2", "4", "6"]
    assert experiments.load(out / "experiment.toml") == plan(*archives)
    model = base.load(out / "weights.safetensors")
    assert (model.grid_km, model.time_step_minutes) == (4.0, 5.0)
    assert model.forecast(torch.rand(1, 3, 1, 16, 24), 3).isfinite().all()


def interrupted(whole: experiments.Experiment, out: Path, step: int) -> None:
    """Train until the validation at `step` is saved, then one step more, and stop."""

    class Stop(fit.pl.Callback):
        def on_validation_end(self, trainer: fit.pl.Trainer, pl_module: fit.pl.LightningModule) -> None:
            self.stop = trainer.global_step == step

        def on_train_batch_start(self, *_: object) -> None:
            if getattr(self, "stop", False):
                raise KeyboardInterrupt

    previous = signal.getsignal(signal.SIGINT)
    assert not fit.fit(whole, out, callbacks=(Stop(),))
    signal.signal(signal.SIGINT, previous)


def assert_equal_runs(one: Path, other: Path) -> None:
    ends = [torch.load(run / "last.ckpt", weights_only=False)["state_dict"] for run in (one, other)]
    weights = [base.load(run / "weights.safetensors").state_dict() for run in (one, other)]
    for first, second in (ends, weights):
        assert first.keys() == second.keys()
        for name, value in first.items():
            torch.testing.assert_close(second[name], value, rtol=0, atol=0)


PAPER = (
    "loss.name=cross_entropy",
    "optimiser.name=rmsprop",
    "optimiser.learning_rate=0.01",
    "optimiser.warmup=0",
    "optimiser.decay_fraction=0",
    "optimiser.gradient_clip=0",
    "optimiser.ema_decay=0",
    "data.sampling=uniform",
    "data.flip=false",
    "data.min_wet_fraction=0",
    "data.validation_stride=1",
    "data.validation_windows=7",
    "training.max_sequences=14",
    "training.validations=3",
    "training.keep_best=loss",
    "training.precision=bf16-training",
)
"""The paper's protocol, with a last validation that does not fall on its interval: 7 steps, one every 2."""


@pytest.mark.parametrize(
    "settings", [(), ("model.hidden_channels=[4, 4]", "training.dropout=0.5"), PAPER], ids=["plain", "dropout", "paper"]
)
def test_a_resumed_run_ends_with_the_very_same_weights(
    archives: tuple[Path, Path], tmp_path: Path, settings: tuple[str, ...]
) -> None:
    whole = plan(*archives, *settings)
    fit.fit(whole, tmp_path / "whole")
    interrupted(whole, tmp_path / "parts", 4)
    assert fit.fit(whole, tmp_path / "parts", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


def test_a_run_that_ended_between_two_validations_can_be_made_longer(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    constant = ("optimiser.warmup=0", "optimiser.decay_fraction=0")
    fit.fit(plan(*archives, *constant), tmp_path / "whole")
    fit.fit(plan(*archives, *constant, "training.max_steps=3"), tmp_path / "parts")
    metrics = (tmp_path / "parts/metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in metrics] == ["step", "2", "3"]
    fit.fit(plan(*archives, *constant), tmp_path / "parts", resume=True)
    ends = [torch.load(tmp_path / n / "last.ckpt", weights_only=False)["state_dict"] for n in ("whole", "parts")]
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=0, atol=0)


def test_training_is_a_plain_loop(archives: tuple[Path, Path], tmp_path: Path) -> None:
    """The paper's protocol against its own few lines: every draw, every product, every step of the optimiser."""
    experiment = plan(*archives, *PAPER)
    assert fit.fit(experiment, tmp_path / "run")
    sources = open_sources(experiment.data)
    rain, held = stack(sources.training[0].windows), stack(sources.validation.windows)
    torch.manual_seed(experiment.training.seed)
    model = experiment.make_model(grid_km=4.0, time_step_minutes=5.0)
    means = [torch.zeros_like(weight) for weight in model.parameters()]
    best, kept = math.inf, {}
    for step in range(7):
        rng = np.random.default_rng([experiment.training.seed, step])
        levels = model.scaling.to_network(rain[rng.choice(len(rain), 2, replace=False)])
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(levels[:, :3], 3)
        loss = binary_cross_entropy_with_logits(logits.float(), levels[:, 3:], reduction="sum") / 2
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight, mean in zip(model.parameters(), means, strict=True):
                mean.mul_(0.9).addcmul_(weight.grad, weight.grad, value=1 - 0.9)
                weight.addcdiv_(weight.grad, (mean + 1e-6).sqrt(), value=-0.01)
        if step in (1, 3, 5, 6):
            model.eval()
            with torch.no_grad():
                losses = [
                    binary_cross_entropy_with_logits(model(part[:, :3], 3), part[:, 3:], reduction="sum").item()
                    for part in model.scaling.to_network(held).split(4)
                ]
            if sum(losses) / len(held) < best:
                best, kept = sum(losses) / len(held), {name: w.clone() for name, w in model.state_dict().items()}
    trained = base.load(tmp_path / "run/weights.safetensors").state_dict()
    assert trained.keys() == kept.keys()
    for name, value in kept.items():
        torch.testing.assert_close(trained[name], value, rtol=0, atol=0)
    rows = np.genfromtxt(tmp_path / "run/metrics.csv", delimiter=",", names=True)
    assert rows["step"].tolist() == [2, 4, 6, 7]
    assert rows["validationloss"].min() == pytest.approx(best, rel=1e-5)


def test_it_is_taken_up_again_where_it_stopped_and_not_by_another_experiment(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = plan(*archives)
    fit.fit(whole, tmp_path / "whole")
    interrupted(whole, tmp_path / "parts", 2)
    sources = open_sources(whole.data)
    for _ in range(2):  # the second time it is there already
        model = fit.fit_or_resume(whole, tmp_path / "parts", sources=sources)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert model.grid_km == 4.0
    assert len((tmp_path / "parts/metrics.csv").read_text().splitlines()) == 4
    with pytest.raises(ExperimentError, match="run of another experiment"):
        fit.fit_or_resume(plan(*archives, "training.seed=1"), tmp_path / "parts")


def test_dropout_changes_what_is_learned_and_nothing_of_a_forecast(archives: tuple[Path, Path], tmp_path: Path) -> None:
    two = "model.hidden_channels=[4, 4]"
    models = {}
    for share in (0.0, 0.5):
        fit.fit(plan(*archives, two, f"training.dropout={share}"), tmp_path / str(share))
        models[share] = base.load(tmp_path / str(share) / "weights.safetensors")
    past = torch.from_numpy(example_files.blob(3, 16, 24))[None, :, None]
    made = models[0.5].forecast(past, 3)
    torch.testing.assert_close(models[0.5].forecast(past, 3), made, rtol=0, atol=0)
    ends = [model.state_dict()["encoder.cells.0.weight_h"] for model in models.values()]
    assert (ends[0] - ends[1]).abs().max() > 0
    for wrong in (f"training.dropout={share}" for share in (1.0, -0.1, 0.2)):  # the last: of one layer
        with pytest.raises(ExperimentError, match=r"training\.dropout = "):
            fit.fit(plan(*archives, wrong), tmp_path / wrong)


def test_weights_decay_where_no_gradient_holds_them(archives: tuple[Path, Path], tmp_path: Path) -> None:
    sizes = {}
    for decay in (0.0, 5.0):
        settings = (f"optimiser.weight_decay={decay}", "optimiser.learning_rate=0.01", "optimiser.ema_decay=0")
        fit.fit(plan(*archives, *settings), tmp_path / str(decay))
        state = torch.load(tmp_path / str(decay) / "last.ckpt", weights_only=False)["state_dict"]
        sizes[decay] = sum(float(value.square().sum()) for value in state.values())
    assert sizes[5.0] < 0.95 * sizes[0.0]


def test_one_archive_is_split_by_segments(tmp_path: Path) -> None:
    (train,), validation = open_sources(plan(store(tmp_path, "one.zarr", gaps=(20, 30)), None).data)
    used = [{int(s) + n for s in part.starts for n in range(part.length)} for part in (train, validation)]
    assert used[0]
    assert used[1]
    assert not used[0] & used[1]


def test_shared_frames_are_refused(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="shares 40 frames"):
        fit.fit(plan(archives[0], archives[0]), tmp_path / "run")


def pictures(count: int) -> np.ndarray:
    """Bright squares that move, in 8 bits."""
    frames = np.zeros((count, 6, 8, 8), np.uint8)
    for n in range(count):
        for t in range(6):
            frames[n, t, t // 2 : t // 2 + 3, n % 4 : n % 4 + 3] = 200
    return frames


def test_pictures_are_learned_from_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"train": moving_mnist.as_field(pictures(12)), "validation": moving_mnist.as_field(pictures(4))}

    def training_fields(*, protocol: str = "paper") -> dict[str, example_files.xr.DataArray]:
        return made

    monkeypatch.setattr(moving_mnist, "training_fields", training_fields)
    tables = {
        "model": {"name": "encoder_forecaster", "hidden_channels": [4], "patch": 4, "scaling": {"kind": "image"}},
        "data": {"synthetic": {"name": "moving_mnist"}, "past": 3, "future": 3, "min_wet_fraction": 0}
        | {"sampling": "uniform", "in_memory": False},
        "loss": {"name": "cross_entropy"},
        "optimiser": {"name": "rmsprop", "learning_rate": 0.01, "warmup": 0, "decay_fraction": 0, "ema_decay": 0},
        "training": {"max_sequences": 160, "batch_size": 4, "validations": 4, "accelerator": "cpu"},
    }
    fit.fit(experiments.parse(tables), tmp_path / "run")
    rows = np.genfromtxt(tmp_path / "run/metrics.csv", delimiter=",", names=True)
    assert rows["validationloss"][-1] < 0.6 * 6 * 64 / 2 * math.log(2)
    assert (np.diff(rows["seconds"]) >= 0).all()
    assert "validationcsi" not in rows.dtype.names
    assert base.load(tmp_path / "run/weights.safetensors").time_step_minutes is None
    for table, key, wrong, words in (
        ("data", "sampling", "by_rain", r"holds 'image', not rain: set data\.sampling = 'uniform'"),
        ("data", "synthetic", {"name": "storms"}, "there are: .*moving_mnist"),
        ("data", "synthetic", {"name": "moving_mnist", "protocols": "x"}, "has no key 'protocols'"),
        ("training", "keep_best", "csi", "is for rain"),
        ("model", "scaling", {"kind": "rain"}, "scaling is for 'rainfall_rate'"),
    ):
        with pytest.raises(ExperimentError, match=words):
            fit.fit(experiments.parse(tables | {table: tables[table] | {key: wrong}}), tmp_path / "wrong")


def test_blocks_of_days_are_drawn_as_the_paper_does(tmp_path: Path) -> None:
    data = plan(store(tmp_path, "one.zarr"), None, "data.split=blocks").data
    with pytest.raises(DataError, match="no day has three whole blocks"):
        open_sources(data)


def test_too_little_rain_is_said_so(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(MissingFrames, match=r"min_wet_fraction"):
        fit.fit(plan(*archives, "data.min_wet_fraction=0.99"), tmp_path / "run")


def test_a_run_is_neither_overwritten_nor_resumed_from_nothing(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="holds no last"):
        fit.fit(plan(*archives), tmp_path / "run", resume=True)
    fit.fit(plan(*archives, "training.max_steps=2"), tmp_path / "run")
    with pytest.raises(ExperimentError, match="already holds a run"):
        fit.fit(plan(*archives), tmp_path / "run")


def _hears_ctrl_c() -> None:
    """A shell's background job ignores the signal, and hands that on to its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow  # processes start, train and are ended
def test_ctrl_c_leaves_a_run_that_goes_on(archives: tuple[Path, Path], tmp_path: Path) -> None:
    """A real process, stopped by a real signal once it has saved something."""
    file = tmp_path / "e.toml"
    file.write_text(fit.tomli_w.dumps(plan(*archives, "training.max_steps=100000").table()))
    out = tmp_path / "run"
    line = [sys.executable, "-c", "import sys; from echocast.cli.main import status; sys.exit(status(sys.argv[1:]))"]
    process = subprocess.Popen(
        [*line, "train", str(file), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hears_ctrl_c,
    )
    while not (out / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        output, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, errors.decode()
    assert b"--resume" in output
    assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] >= 2
    base.load(out / "weights.safetensors")


class Poison(pl.Callback):
    """Spoils a weight after the second step."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if trainer.global_step == 2:
            pl_module.network.output.bias.data.fill_(torch.nan)


def test_a_lost_loss_stops_with_its_cause(archives: tuple[Path, Path], tmp_path: Path) -> None:
    words = r"loss is nan at step 2; 1 weights are NaN or infinite, output\.bias first: lower.*learning_rate"
    with pytest.raises(ExperimentError, match=words):
        fit.fit(plan(*archives), tmp_path / "run", callbacks=(Poison(),))


def test_the_lagrangian_forecaster_learns_through_the_same_door(archives: tuple[Path, Path], tmp_path: Path) -> None:
    experiment = plan(*archives, "model.name=lagrangian", "model.hidden_channels=[4]")
    assert fit.fit(experiment, tmp_path / "run")
    trained = base.resolve(tmp_path / "run/weights.safetensors")
    assert type(trained).__name__ == "Lagrangian"
    assert trained.output.weight.any()  # it has left the advection that it started as


def test_what_is_not_named_stays_and_the_uncertainty_is_learned_from_a_start(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    tiny = ("model.name=lagrangian", "model.hidden_channels=[4]")
    first = plan(*archives, *tiny, 'training.trainable=["encoder", "forecaster", "output"]')
    assert fit.fit(first, tmp_path / "first")
    start = tmp_path / "first/weights.safetensors"
    settings = (
        f"training.init_from={start}",
        'training.trainable=["uncertainty_head"]',
        "loss.name=ensemble_crps",
        "loss.pool_sizes=[1, 4]",
    )
    assert fit.fit(plan(*archives, *tiny, *settings), tmp_path / "second")
    before, after = (base.load(path).state_dict() for path in (start, tmp_path / "second/weights.safetensors"))
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed
    assert all(name.startswith("uncertainty_head.") for name in changed)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (('training.trainable=["decoder"]',), r"names no part of the model; it has encoder, forecaster, output"),
        (("loss.name=ensemble_crps",), "EncoderForecaster makes none"),
        (("training.init_from=nowhere.safetensors",), "no such checkpoint"),
    ],
)
def test_wrong_starts_are_refused(
    settings: tuple[str, ...], words: str, archives: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(EchocastError, match=words):
        fit.fit(plan(*archives, *settings), tmp_path / "run")


def test_a_start_of_other_sizes_is_refused(archives: tuple[Path, Path], tmp_path: Path) -> None:
    base.save(base.construct("encoder_forecaster", {"hidden_channels": [5], "patch": 4}), tmp_path / "o.safetensors")
    with pytest.raises(ExperimentError, match="does not fit the model"):
        fit.fit(plan(*archives, f"training.init_from={tmp_path / 'o.safetensors'}"), tmp_path / "run")


TWO_RUNS = """
[model]
name = "encoder_forecaster"
hidden_channels = [4]
patch = 4
[data]
train = "{train}"
validation = "{validation}"
past = 3
future = 3
in_memory = {in_memory}
[training]
max_steps = 6
validation_interval = 2
batch_size = 4
accelerator = "cpu"
"""


def trained(folder: Path, name: str, table: str, *, processes: int) -> str:
    """Train by the command in a process, or in several that `torchrun` starts; what they say on standard error."""
    (folder / f"{name}.toml").write_text(table)
    program = [str(Path(sys.executable).with_name("echocast")), "-v"]
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--no-python", "--nproc-per-node", str(processes)]
    where = ["--rdzv-endpoint", "127.0.0.1:0", "--rdzv-backend", "c10d"]
    line = [*torchrun, *where, *program] if processes > 1 else program
    calm = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    words = ["train", str(folder / f"{name}.toml"), "--out", str(folder / name)]
    done = subprocess.run([*line, *words], capture_output=True, text=True, check=False, env=calm)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def check_alike(folder: Path) -> None:
    """The runs ``one`` and ``two`` have the same losses and weights."""
    one, two = (np.genfromtxt(folder / n / "metrics.csv", delimiter=",", names=True) for n in ("one", "two"))
    assert len(one) == 3
    for column in ("trainloss", "validationloss", "validationcsi"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-5, atol=1e-7, err_msg=column)
    weights = [base.load(folder / name / "weights.safetensors").state_dict() for name in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # two processes start and train
def test_two_processes_have_the_losses_of_one(archives: tuple[Path, Path], tmp_path: Path) -> None:
    table = TWO_RUNS.format(train=archives[0], validation=archives[1], in_memory="true")
    trained(tmp_path, "one", table, processes=1)
    trained(tmp_path, "two", table, processes=2)
    check_alike(tmp_path)


@pytest.mark.slow  # two processes start and train
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_two_processes_learn_from_a_bucket_what_one_learns_from_a_disk(
    archives: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows are read from the server when they are needed, each by the process that learns from it, ahead of time."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    import boto3

    local = TWO_RUNS.format(train=archives[0], validation=archives[1], in_memory="true")
    trained(tmp_path, "one", local, processes=1)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="rain")
    for place in archives:
        for path in (one for one in place.rglob("*") if one.is_file()):
            client.upload_file(str(path), "rain", f"{place.name}/{path.relative_to(place).as_posix()}")
    remote = (f"s3://rain/{place.name}" for place in archives)
    table = TWO_RUNS.format(train=next(remote), validation=next(remote), in_memory="false")
    told = trained(tmp_path, "two", table, processes=2)
    server.stop()
    check_alike(tmp_path)
    waits = re.findall(r"process (\d) of 2: waited ([\d.]+) s of ([\d.]+) s for batches", told)
    assert sorted(rank for rank, _, _ in waits) == ["0", "1"]
    assert all(float(waited) < 0.5 * float(spent) for _, waited, spent in waits), waits
