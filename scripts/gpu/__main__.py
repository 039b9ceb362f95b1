"""Everything that wants a GPU, as one prepared programme for a machine that has little else and no network.

    python scripts/gpu pack data.npz --archive taasrad19=archives/train.zarr --validation archives/validation.zarr
    python scripts/gpu run data.npz --out results --minutes 12           on the machine with the GPU
    python scripts/gpu run data.npz --out results --minutes 12 --resume results      another day, further on
    python scripts/gpu run --out /tmp/dry --device cpu --tiny            a dry run: a few steps of each part

`pack` needs echocast with all it depends on. `run` needs PyTorch, NumPy, jaxtyping and safetensors (h5py for the part
`layers`), and the source tree around this folder. It compares layers and models with the CPU, measures the layers
against the plain loop, trains the nowcast, and trains the best network of the ConvLSTM paper on Moving MNIST at full
width. Each part has a share of the time and ends in it; what was trained is saved every minute and can be gone on with.
A part that fails is told in the table, and the next begins.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "src"), str(Path(__file__).resolve().parents[2])]


def main() -> int:
    """Pack, or run the parts."""
    given = _arguments()
    if given.verb == "pack":
        from pack import pack

        pack(given.data, given.archive, given.validation, digits=given.digits)
        return 0
    from parts import run

    return run(given, began=time.monotonic())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python scripts/gpu", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("pack", help="put archives, their motion and Moving MNIST into one small file")
    one.add_argument("data", type=Path, help="the file to write, .npz")
    one.add_argument(
        "--archive", action="append", default=[], metavar="NAME=STORE", help="to learn from; may be repeated"
    )
    one.add_argument("--validation", type=Path, help="the archive that chooses the best weights")
    one.add_argument("--digits", default="auto", help="where MNIST's digits are from (default: auto)")
    two = verbs.add_parser("run", help="run the parts on this machine")
    two.add_argument("data", type=Path, nargs="?", help="what `pack` wrote; made up for --tiny if left out")
    two.add_argument("--out", type=Path, required=True, help="folder for the table, weights and checkpoints")
    two.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu (default: cuda)")
    two.add_argument("--minutes", type=float, default=12.0, help="for all parts together (default: 12)")
    two.add_argument("--parts", default="checks,layers,nowcast,digits", help="which, in which order")
    two.add_argument("--resume", type=Path, help="folder of an earlier run whose checkpoints to go on from")
    two.add_argument("--hidden", default="128,128", help="hidden channels of the nowcast's layers (default: 128,128)")
    two.add_argument("--batch", type=int, default=64, help="windows of a batch of the nowcast (default: 64)")
    two.add_argument("--tiny", action="store_true", help="a few steps of each part on small networks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
