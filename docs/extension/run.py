"""Run the code of pages: blocks of Python in one process, those of the shell beside it, in the order of the page.

    python docs/extension/run.py docs/tutorials --pictures docs/images

A block that begins with ``# not run`` is left out. Pictures that a page shows and its code makes are put where the page
looks for them.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^```(python|sh|toml|json)(?: ([\w./-]+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PYTHON = "import matplotlib; matplotlib.use('Agg')\n"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and code of the blocks that are run or written, in their order."""
    for language, _, code in _BLOCK.findall(text):
        if not code.startswith("# not run"):
            yield language, code


def script(text: str) -> str:
    """One Python script that does what the blocks of a page say.

    A block of TOML or Python whose first line is ``# FILE: name`` is written to that file.
    """
    lines = [_PYTHON, "import subprocess as _sub, pathlib as _path"]
    for language, code in blocks(text):
        named = re.match(r"# FILE: (\S+)\n", code)
        if named:
            lines.append(f"_path.Path({named.group(1)!r}).write_text({code!r})")
        elif language == "sh":
            lines.append(f"_sub.run({'set -e\n' + code!r}, shell=True, check=True)")
        elif language == "python":
            lines.append(code)
    return "\n".join(lines)


def run(page: Path, folder: Path) -> None:
    """Run a page's code in a folder; raises `subprocess.CalledProcessError` if a block fails."""
    text = page.read_text(encoding="utf-8")
    source = folder / ".page.py"
    source.write_text(script(text), encoding="utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([sys.executable, source.name], cwd=folder, check=True, env=environment)


def pictures(page: Path) -> list[str]:
    """The pictures that a page shows, relative to it."""
    return re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> None:
    """Run pages and folders of pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="where new pictures go; without it none is kept")
    given = parser.parse_args(arguments)
    pages = [page for one in given.pages for page in (sorted(one.glob("*.md")) if one.is_dir() else [one])]
    for page in pages:
        if not list(blocks(page.read_text(encoding="utf-8"))):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run(page, Path(folder))
            for picture in pictures(page) if given.pictures else []:
                made = Path(folder) / Path(picture).name
                if made.is_file():
                    target = (page.parent / picture).resolve()
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(made, target)
        print(f"{page}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
