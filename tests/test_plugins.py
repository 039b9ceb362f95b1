"""The modules of a package, and those that other distributions add to it."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from echocast import plugins
from echocast.errors import CheckpointMismatch, PluginError

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"
READERS = "echocast.readers"

Install = Callable[..., None]


def install(folder: Path, name: str, groups: dict[str, dict[str, str]]) -> None:
    """What `pip install` leaves of a distribution: its name and its entry points."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def install_the_example(folder: Path) -> None:
    """The files of the page, as they stand there."""
    files = dict(
        re.findall(r"^`([\w/.]+)`.*?:?.*?```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    install(folder, project["name"], project["entry-points"])
    assert len(files) == 6
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    modules = {module for points in project["entry-points"].values() for module in points.values()}
    assert all((folder / f"{module.replace('.', '/')}.py").exists() for module in modules)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Add a distribution to what this process sees; its modules are given as sources by name."""

    def forget() -> None:
        for cached in (plugins._entry_points, plugins._added, plugins.load_all):
            cached.cache_clear()

    def add(name: str, group: str, points: dict[str, str], **sources: str) -> None:
        install(tmp_path, name, {group: points})
        for module, source in sources.items():
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)
        forget()

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins.log, "disabled", False)
    forget()
    yield add  # type: ignore[misc]
    forget()


def test_names_are_the_modules_of_a_folder() -> None:
    assert {"fmi_pgm", "knmi", "mch_gif", "netcdf"} <= set(plugins.names(READERS))
    assert "base" not in plugins.names("echocast.models")
    assert list(plugins.load_all(READERS)) == plugins.names(READERS)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'netcdf'"):
        plugins.load(READERS, "netcfd")


@pytest.mark.parametrize("package", plugins.GROUPS)
def test_the_modules_of_echocast_have_what_is_asked_of_plugins(package: str) -> None:
    for name in plugins.names(package):
        assert [n for n in plugins._asked(package, name) if not hasattr(plugins.load(package, name), n)] == []


@pytest.mark.slow  # a package is installed and used in processes of its own
def test_every_kind_of_plugin_works_through_the_public_ways(tmp_path: Path) -> None:
    install_the_example(tmp_path / "site")
    work = tmp_path / "work"
    work.mkdir()
    script = Path(__file__).with_name("use_plugins.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "site")],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("every kind of plug-in was used\n")


def test_a_checkpoint_of_a_model_that_is_not_installed_says_so(tmp_path: Path) -> None:
    from echocast import checkpoint
    from echocast.models import base

    path = tmp_path / "m.safetensors"
    checkpoint.write(path, checkpoint.Checkpoint(base.TASK, "acme_fading", {}, {}))
    with pytest.raises(CheckpointMismatch, match=r"'acme_fading' that is not installed; install the distribution"):
        base.load(path)


def test_listing_imports_nothing(installed: Install) -> None:
    installed("acme-radar", "echocast.readers", {"acme": "acme_broken"}, acme_broken='"""ACME radar."""\n1 / 0\n')
    assert "acme" in plugins.names(READERS)
    assert plugins.summary(READERS, "acme") == "ACME radar."
    assert "acme_broken" not in sys.modules


BROKEN = {
    "fails": ({"acme": "acme_fails"}, r"cannot be imported \(ZeroDivisionError: division by zero\)"),
    "is missing": ({"acme": "acme_nowhere"}, "cannot be imported .*No module named 'acme_nowhere'"),
    "lacks names": ({"acme": "acme_lacks"}, "lacks recognises, read, which echocast.readers asks"),
    "is no module": ({"acme": "acme_lacks:Reader"}, "its name must be a Python name and its value a module"),
    "has a name of ours": ({"netcdf": "acme_lacks"}, "has the name of echocast.readers.netcdf"),
}


@pytest.mark.parametrize(("points", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_told_with_its_origin_and_leaves_the_others_alone(
    installed: Install, caplog: pytest.LogCaptureFixture, points: dict[str, str], why: str
) -> None:
    installed("acme-radar", "echocast.readers", points, acme_fails="1 / 0\n", acme_lacks="SUFFIXES = ()\n")
    (name,) = points
    with pytest.raises(PluginError, match=why) as told:
        plugins.load(READERS, name)
    assert f"plug-in {name!r} of the distribution acme-radar (group echocast.readers" in str(told.value)
    assert "upgrade or uninstall acme-radar" in str(told.value)
    assert {"fmi_pgm", "knmi", "zarr"} <= set(plugins.load_all(READERS))
    assert name not in plugins.load_all(READERS)
    assert caplog.text.count("acme-radar (group echocast.readers") == 1


def test_two_plugins_of_one_name_are_both_named(installed: Install) -> None:
    installed("acme-radar", "echocast.readers", {"acme": "acme_a"}, acme_a="")
    installed("acme-other", "echocast.readers", {"acme": "acme_b"}, acme_b="")
    with pytest.raises(
        PluginError, match=r"two plug-ins have one name: .*acme-(radar|other).* and .*acme-(radar|other)"
    ):
        plugins.load(READERS, "acme")


def test_a_model_plugin_without_a_model_is_told(installed: Install) -> None:
    from echocast.models import base

    installed("acme-radar", "echocast.models", {"acme": "acme_empty"}, acme_empty='"""Nothing."""\n')
    assert "acme" in base.names()
    with pytest.raises(PluginError, match=r"distribution acme-radar .* defines no Forecaster"):
        base.resolve("acme")


def make(*, size: int, name: str = "a", ratios: tuple[float, ...] = (1.0,)) -> tuple[int, str, tuple[float, ...]]:
    return size, name, ratios


def test_construct_checks_keys_and_values() -> None:
    assert plugins.construct(make, {"size": 3, "ratios": [1, 2]}, where="[t]") == (3, "a", (1.0, 2.0))
    with pytest.raises(ValueError, match=r"\[t\] has no key 'nam'; did you mean 'name'"):
        plugins.construct(make, {"size": 3, "nam": "b"}, where="[t]")
    with pytest.raises(ValueError, match=r"\[t\] size = 'three'"):
        plugins.construct(make, {"size": "three"}, where="[t]")
    with pytest.raises(ValueError, match=r"\[t\] size.*required"):
        plugins.construct(make, {}, where="[t]")
