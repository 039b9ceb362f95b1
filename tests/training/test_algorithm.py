"""Training on algorithms: lengths grow with what is learned, and a resumed run goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echocast.algorithms.base import REGISTRY
from echocast.errors import EchocastError
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.tasks import algorithm

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)

TABLES: dict[str, Any] = {
    "task": "algorithm",
    "model": {"name": "neural_gpu", "maps": 6, "height": 2, "relaxations": 2},
    "data": {"algorithm": "reverse", "start_bits": 1, "max_bits": 3, "interval": 2, "max_error": 1.1}
    | {"validation_bits": [2, 5], "validation_sequences": 4},
    "optimiser": {"warmup": 0, "decay_fraction": 0, "ema_decay": 0},
    "training": {"max_steps": 6, "batch_size": 4, "validation_interval": 2, "accelerator": "cpu"},
}


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    whole = experiments.parse(TABLES)
    fit.fit(whole, tmp_path / "whole")
    half = experiments.parse(TABLES | {"training": TABLES["training"] | {"max_steps": 4}})
    fit.fit(half, tmp_path / "halves")
    fit.fit(whole, tmp_path / "halves", resume=True)
    ends = [torch.load(tmp_path / run / "last.ckpt", weights_only=False)["state_dict"] for run in ("whole", "halves")]
    assert int(ends[0]["longest"]) == 3, "1 bit, and one more after each interval up to the most"
    assert float(ends[0]["pull"]) == pytest.approx(5e-4 * 1.2**3)
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=0, atol=0)
    rows = np.genfromtxt(tmp_path / "whole/metrics.csv", delimiter=",", names=True)
    assert {"validationright_at_2_bits", "validationright_at_5_bits", "trainlongest_bits"} <= set(rows.dtype.names)
    assert REGISTRY.load(tmp_path / "whole/weights.safetensors").maps == 6


def built(**data: Any) -> algorithm.AlgorithmModule:
    experiment = experiments.parse(TABLES | {"data": TABLES["data"] | data})
    return algorithm.module(experiment, experiment.data)


def test_lengths_stay_within_what_is_learned_but_for_some() -> None:
    module = built(start_bits=3, max_bits=12, longer_fraction=0.25)
    first = algorithm.training_batches(module.data, size=4, seed=1, rank=0, world=2)[0]
    assert len(first) == 2
    drawn = [module.varied(first, np.random.default_rng(n)) for n in range(400)]
    lengths = np.array([batch.inputs.shape[1] for batch in drawn])
    assert [batch.within for batch in drawn] == (lengths <= 3).tolist()
    assert 0.12 < (lengths > 3).mean() < 0.25  # 9 of 12 lengths of a quarter of all batches
    assert lengths.max() == 12
    always = [built(longer_fraction=0.0).varied(first, np.random.default_rng(n)).inputs.shape[1] for n in range(20)]
    assert set(always) == {1}


@pytest.mark.parametrize(("wrong", "bits"), [(1, 4), (3, 3)])
def test_the_curriculum_moves_where_few_are_wrong(wrong: int, bits: int) -> None:
    module = built(start_bits=3, max_bits=9, max_error=0.15)
    module.get_buffer("wrong_of").copy_(torch.tensor([float(wrong), 16.0]))
    module._look_back()
    assert int(module.get_buffer("longest")) == bits
    assert not module.get_buffer("wrong_of").any()


def test_a_strong_pull_unites() -> None:
    module = built()
    module.get_buffer("pull").fill_(0.2)
    module.get_buffer("wrong_of").copy_(torch.tensor([0.0, 16.0]))
    module._look_back()
    spread = module.network.spread()
    assert spread is not None
    assert float(spread.detach()) < 1e-9


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"data": {"algorithm": "sorting"}}, "algorithm = 'sorting'"),
        ({"data": {"algorithm": "reverse", "start_bits": 9, "max_bits": 3}}, "data.start_bits = 9 must lie between 1"),
        ({"loss": {"name": "mse"}}, "algorithms have 'cross_entropy'"),
        ({"loss": {"name": "cross_entropy", "push": 1}}, "has no key 'push'"),
        ({"model": {"name": "neural_cpu"}}, "there is no algorithm 'neural_cpu'"),
    ],
)
def test_wrong_tables_are_refused(table: dict[str, Any], words: str) -> None:
    def read() -> None:
        experiment = experiments.parse(TABLES | table)
        experiment.make_loss()
        experiment.make_model()

    with pytest.raises(EchocastError, match=words):
        read()
