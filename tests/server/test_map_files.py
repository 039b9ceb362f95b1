"""The files of the map: no foreign address, nothing inline, small, and each library known to one file."""

import gzip
import re
from pathlib import Path

import pytest

from echocast.server import pages

STATIC = pages.FOLDER
OURS = sorted(path for path in STATIC.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))
BUDGET = 150_000


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_file_names_another_server(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w", text)


def test_the_page_has_nothing_inline() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_every_file_that_is_named_is_there() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r"__STATIC__/([\w./-]+)", text))
    for path in OURS:
        named |= set(re.findall(r'from "\./([\w.-]+)"', path.read_text(encoding="utf-8")))
    assert len(named) > 20
    assert all((STATIC / name).is_file() for name in named)


def test_the_page_is_small() -> None:
    shown = [*OURS, *(path for path in (STATIC / "vendor").iterdir() if path.suffix in (".js", ".css"))]
    shown = [path for path in shown if not path.name.startswith("rapidoc")]  # which is another page
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in shown) <= BUDGET


@pytest.mark.parametrize(("name", "only"), [("L", "leaflet-map.js"), ("uPlot", "charts.js")])
def test_one_file_knows_each_library(name: str, only: str) -> None:
    users = [path.name for path in OURS if re.search(rf"globalThis\.{name}\b", path.read_text(encoding="utf-8"))]
    assert users == [only]


def test_licences_are_there() -> None:
    for name, words in (("leaflet", "Redistribution and use"), ("uplot", "Permission is hereby granted")):
        assert words in (STATIC / "vendor" / f"{name}.LICENSE.txt").read_text(encoding="utf-8")
