"""The sums of the blocks that are done, one file each, so that a stopped verification can go on.

>>> kept = KeptSums(Path("report/.unfinished"), job.fingerprint())  # doctest: +SKIP
>>> sums = kept.read(blocks)  # doctest: +SKIP
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from echocast.atomic import atomic_write
from echocast.errors import DataError
from echocast.evaluation.config import BootstrapBlock
from echocast.evaluation.result import BlockSums


class KeptSums:
    """A folder of the sums of one job.

    Args:
        folder: made if it does not exist; the sums of another job in it are removed.
        fingerprint: of the job.

    Raises:
        DataError: the folder cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        about = folder / "job.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not about.exists() or json.loads(about.read_text(encoding="utf-8")).get("job") != fingerprint:
                self._clear()
                with atomic_write(about) as partial:
                    partial.write_text(json.dumps({"job": fingerprint}), encoding="utf-8")
        except (OSError, ValueError) as bad:
            raise DataError(f"{folder}: cannot be written ({bad}); is the disk full, or --out read-only?") from bad

    def read(self, blocks: Sequence[BootstrapBlock]) -> dict[str, BlockSums]:
        """By name, the sums of those blocks that are done."""
        found = {}
        for block in blocks:
            path = self._path(block)
            if path.exists():
                with np.load(path, allow_pickle=False) as stored:
                    found[block.name] = BlockSums.from_arrays({name: stored[name] for name in stored.files})
        return found

    def write(self, block: BootstrapBlock, sums: BlockSums) -> None:
        """Keep the sums of a block; raises `DataError` if the disk is full."""
        with atomic_write(self._path(block)) as partial:
            np.savez_compressed(partial, **sums.to_arrays())  # type: ignore[arg-type]  # numpy's stubs want no keywords

    def remove(self) -> None:
        """Remove the folder and all that was kept."""
        self._clear()
        self.folder.rmdir()

    def _path(self, block: BootstrapBlock) -> Path:
        return self.folder / f"{block.name}.npz"

    def _clear(self) -> None:
        for path in [*self.folder.glob("*.npz"), *self.folder.glob(".*.partial.*"), self.folder / "job.json"]:
            path.unlink(missing_ok=True)
