"""Run the code of pages block by block, as a reader would: Python in one process, the shell's lines beside it.

    python docs/extension/run.py docs/tutorials --pictures docs/images

A block whose first line is ``# not run`` is left out, and one whose first line is ``# FILE: name`` is written to that
file. Pictures that a page shows and its code has made are copied to the folder of pictures that the page names.
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

_BLOCK = re.compile(r"^```(python|sh|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# FILE: (\S+)\n")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and code of the blocks that are run or written, in their order."""
    for language, code in _BLOCK.findall(text):
        if not code.startswith("# not run"):
            yield language, code


def python(text: str) -> str:
    """The blocks of Python alone, as one program."""
    return "\n".join(code for language, code in blocks(text) if language == "python")


def script(text: str) -> str:
    """One Python program that does what all blocks of a page say."""
    lines = ["import matplotlib, subprocess as _processes, pathlib as _paths", "matplotlib.use('Agg')"]
    for language, code in blocks(text):
        named = _FILE.match(code)
        if named:
            lines.append(f"_paths.Path({named.group(1)!r}).write_text({code!r})")
        elif language == "sh":
            lines.append(f"_processes.run(['sh', '-e', '-c', {code!r}], check=True)")
        elif language == "python":
            lines.append(code)
    return "\n".join(lines)


def run(page: Path, folder: Path) -> None:
    """Run a page's code in a folder; raises `subprocess.CalledProcessError` if a block fails."""
    program = folder / "page.py"
    program.write_text(script(page.read_text(encoding="utf-8")), encoding="utf-8")
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": commands, "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, program.name], cwd=folder, check=True, env=environment)


def keep_pictures(page: Path, folder: Path, images: Path) -> None:
    """Copy the pictures that a page shows from the folder where it ran to where they belong below `images`.

    Pictures whose folder there does not exist go into `images` itself.
    """
    for shown in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        made, section = folder / Path(shown).name, images / Path(shown).parent.name
        if made.is_file():
            shutil.copyfile(made, (section if section.is_dir() else images) / made.name)


def main(arguments: list[str]) -> None:
    """Run pages, and the pages of folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="where pictures are kept; without it none is")
    given = parser.parse_args(arguments)
    for page in [page for one in given.pages for page in (sorted(one.glob("*.md")) if one.is_dir() else [one])]:
        if not list(blocks(page.read_text(encoding="utf-8"))):
            continue
        began, spent = time.monotonic(), os.times().children_user
        with tempfile.TemporaryDirectory() as folder:
            run(page, Path(folder))
            if given.pictures:
                keep_pictures(page, Path(folder), given.pictures)
        processor = os.times().children_user - spent
        print(f"{page}: {time.monotonic() - began:.0f} s, {processor:.0f} s of processor", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
