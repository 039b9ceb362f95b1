"""What Keras 3 itself makes of layers, on its PyTorch backend, in one process: Keras takes long to start.

Each script runs in a fork of that process, with the settings of Keras untouched by the others, and writes into the
folder that is its first word.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

RUN = """
import json, os, sys, traceback
import keras
for name, code, *words in json.load(sys.stdin):
    child = os.fork() if hasattr(os, "fork") else 0
    if child == 0:
        sys.argv = [name, *words]
        try:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"the script {name} failed")
"""

LAYERS = """
import json, sys
import numpy as np
import keras

keras.config.set_floatx("float64")
folder, cases = sys.argv[1], json.loads(sys.argv[2])
for name, case in cases.items():
    keras.utils.set_random_seed(3)
    dims = case.pop("dims")
    make = {1: keras.layers.ConvLSTM1D, 2: keras.layers.ConvLSTM2D, 3: keras.layers.ConvLSTM3D}[dims]
    shape = (5, *(9, 8, 6)[:dims], 3)
    layer = make(4, return_sequences=True, return_state=True, **case)
    x = np.random.default_rng(0).normal(size=(2, *shape))
    layer.build((2, *shape))
    layer.set_weights([0.5 * np.random.default_rng(k).normal(size=w.shape) for k, w in enumerate(layer.get_weights())])
    output, h, c = (np.array(keras.ops.convert_to_numpy(part)) for part in layer(x))
    names = ["kernel", "recurrent_kernel", "bias"]
    np.savez(f"{folder}/{name}.npz", x=x, output=output, c=c, **dict(zip(names, layer.get_weights())))
    if name == "plain":
        keras.Sequential([keras.Input(shape), make(4, **case), keras.layers.Flatten()]).save(f"{folder}/model.keras")
"""

LAYER_CASES: dict[str, dict[str, Any]] = {
    "plain": {"dims": 2, "kernel_size": 3},
    "same": {"dims": 2, "kernel_size": [3, 5], "padding": "same"},
    "strided": {"dims": 2, "kernel_size": 3, "strides": 2},
    "dilated": {"dims": 2, "kernel_size": 3, "dilation_rate": 2},
    "hard": {"dims": 2, "kernel_size": 3, "recurrent_activation": "hard_sigmoid", "padding": "same"},
    "relu": {"dims": 2, "kernel_size": 3, "activation": "relu", "padding": "same"},
    "no_bias": {"dims": 2, "kernel_size": 3, "use_bias": False, "padding": "same"},
    "line": {"dims": 1, "kernel_size": 3, "padding": "same"},
    "volume": {"dims": 3, "kernel_size": 3, "padding": "same"},
}

MODEL = """
import sys
import numpy as np
import keras

folder = sys.argv[1]
keras.utils.set_random_seed(3)
keras.mixed_precision.set_dtype_policy("mixed_float16")
inner = keras.Sequential([keras.layers.ConvLSTM2D(4, 3, padding="same", activation="linear", name="inside")])
layers = [
    keras.layers.ConvLSTM2D(3, 3, padding="same", recurrent_activation="hard_sigmoid", return_sequences=True, name="a"),
    keras.layers.BatchNormalization(),
    keras.layers.Bidirectional(keras.layers.ConvLSTM2D(2, (1, 3), return_sequences=True), name="both"),
    keras.layers.ConvLSTM2D(4, 3, dilation_rate=2, padding="same", go_backwards=True, return_sequences=True, name="c"),
    inner,
    keras.layers.Dense(2, dtype="float32"),
]
model = keras.Sequential([keras.Input((3, 6, 7, 2)), *layers])
model.compile("adam", "mse")
model.fit(np.zeros((2, 3, 6, 7, 2)), np.zeros((2, 6, 5, 2)), verbose=0)
model.save(f"{folder}/model.keras")
model.save(f"{folder}/model.h5")
both = model.get_layer("both")
sources = {
    "a": model.get_layer("a"), "both": both.forward_layer, "both_back": both.backward_layer,
    "c": model.get_layer("c"), "inside": inner.layers[-1],
}
arrays = {}
keras.mixed_precision.set_dtype_policy("float32")
for name, layer in sources.items():
    config = layer.get_config() | {"return_sequences": True, "dtype": "float32", "go_backwards": False}
    same = keras.layers.ConvLSTM2D.from_config(config)
    weights = layer.get_weights()
    x = np.random.default_rng(0).normal(size=(2, 4, 8, 9, weights[0].shape[-2])).astype("float32")
    same.build(x.shape)
    same.set_weights(weights)
    arrays[f"{name}.x"] = x
    arrays[f"{name}.y"] = np.array(keras.ops.convert_to_numpy(same(x)))
np.savez(f"{folder}/expected.npz", **arrays)
"""

FILE = """
import sys
import numpy as np
import keras

path, out = sys.argv[1:]
model = keras.saving.load_model(path, compile=False)
arrays = {}
for layer in model.layers:
    if isinstance(layer, keras.layers.ConvLSTM2D):
        same = keras.layers.ConvLSTM2D.from_config(layer.get_config() | {"return_sequences": True, "dtype": "float32"})
        weights = layer.get_weights()
        x = np.random.default_rng(0).normal(size=(1, 5, 12, 13, weights[0].shape[-2])).astype("float32")
        same.build(x.shape)
        same.set_weights(weights)
        arrays[f"{layer.name}.x"] = x
        arrays[f"{layer.name}.y"] = np.array(keras.ops.convert_to_numpy(same(x)))
np.savez(out, **arrays)
"""

SHORTEST = "convlstm_v0_clean_masked_seed42"
"""The smaller of the two real files of Keras."""


def run(*scripts: tuple[str, ...]) -> None:
    """Run scripts, each a name, the code and its words; skips where there is no Keras."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed: it comes with the extra test")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    together = [scripts] if hasattr(os, "fork") else [(one,) for one in scripts]
    for some in together:
        done = subprocess.run(
            [sys.executable, "-c", RUN], input=json.dumps(some), env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``layers/``, ``model/`` and, where there are real files, the numbers of `SHORTEST`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "keras"
    with FileLock(f"{folder}.lock"):  # the first process that wants it makes it for all
        if not (folder / "done").exists():
            for name in ("layers", "model"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            kit = Path(os.environ.get("ECHOCAST_DATA", "")) / "weights" / f"{SHORTEST}.keras"
            real = [("file", FILE, str(kit), str(folder / f"{SHORTEST}.npz"))] if kit.is_file() else []
            layers = ("layers", LAYERS, str(folder / "layers"), json.dumps(LAYER_CASES))
            run(layers, ("model", MODEL, str(folder / "model")), *real)
            (folder / "done").touch()
    return folder
