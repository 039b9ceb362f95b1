"""Uses the layers where little else than torch is installed; says how long their import takes. For any Python.

    python tests/nn/alone.py

Ends with 1 where a package is found that the layers do without, or where something does not work. It is a script,
so that it needs no pytest: `test_alone.py` runs it in an environment of its own, the workflow in a fresh installation.
"""

import importlib
import sys
import tempfile
import time
from pathlib import Path

ABSENT = (
    "cv2",
    "h5netcdf",
    "h5py",
    "icechunk",
    "jaxtyping",
    "llvmlite",
    "matplotlib",
    "netCDF4",
    "numba",
    "numcodecs",
    "pandas",
    "PIL",
    "pydantic",
    "pyproj",
    "rich",
    "scipy",
    "typer",
    "xarray",
    "zarr",
)
"""What the radar stack imports and the layers do not."""


def found(name: str) -> bool:
    """Whether a module can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def use() -> float:
    """Import, run, train, save and load every layer, and take over weights; gives the seconds of the import."""
    import torch

    began = time.perf_counter()
    from echocast import nn

    spent = time.perf_counter() - began
    torch.manual_seed(0)
    frames = torch.rand(2, 3, 1, 12, 12)
    with tempfile.TemporaryDirectory() as folder:
        for kind in (nn.ConvLSTM, nn.ConvGRU, nn.TrajGRU, nn.STLSTM):
            layer = kind(1, 64, num_layers=2, batch_first=True)  # so large that the fused path would be taken
            output = layer(frames)[0]
            output.sum().backward()
            if any(weight.grad is None for weight in layer.parameters()):
                sys.exit(f"{kind.__name__}: a weight has no gradient")
            nn.save(layer, f"{folder}/layer.safetensors")
            again = nn.load(f"{folder}/layer.safetensors")
            torch.testing.assert_close(again(frames)[0], output)
        plain = torch.nn.LSTM(3, 4)
        torch.save(plain.state_dict(), f"{folder}/lstm.pt")
        if "weight_ih_l0" not in importlib.import_module("echocast.nn.compat.files").read(f"{folder}/lstm.pt"):
            sys.exit("weights of torch.nn.LSTM were not read")
        Path(folder, "keras.h5").write_bytes(b"")
        refused(folder)
    return spent


def refused(folder: str) -> None:
    """What needs more than the layers says what to install."""
    import echocast
    from echocast.errors import MissingDependency
    from echocast.nn.compat import files

    for what, package in ((lambda: files.read(f"{folder}/keras.h5"), "h5py"), (lambda: echocast.read, "")):
        try:
            what()
        except MissingDependency as told:
            if package not in str(told) or "pip install 'echocast[radar]'" not in str(told):
                sys.exit(f"no remedy in: {told}")
        else:
            sys.exit("something of the radar stack worked without it")


if __name__ == "__main__":
    seconds = use()
    there = [name for name in ABSENT if found(name)]
    if there:
        sys.exit(f"installed, and not to be: {', '.join(there)}")
    sys.stdout.write(f"{seconds:.3f}\n")
