"""The files that run the service: units, container, proxy, dashboards; each checked by the tool that will read it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from echocast.operations.measures import FAMILIES
from echocast.operations.settings import read_settings
from echocast.server import settings as server_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = DEPLOY.parent / "docs" / "operations.md"
SERVE = {"http_requests_total", "http_request_seconds", "served_issue_timestamp_seconds"}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def run(*command: str, folder: Path | None = None) -> str:
    """What a tool says; skips the test where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_sound_and_closed(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/echocast/bin/echocast", "/bin/true"))
    run("systemd-analyze", "verify", "--man=no", str(copy))
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= 2.5


def test_the_watchdog_waits_longer_than_the_loop_is_silent() -> None:
    text = (DEPLOY / "systemd" / "echocast-watch.service").read_text()
    assert "Type=notify" in text
    assert "WatchdogSec=2min" in text  # signs of life come every 5 s, also while a forecast is computed
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text


def test_the_file_of_settings_is_read() -> None:
    chosen = read_settings({"out": "live"}, file=DEPLOY / "systemd" / "echocast.toml")
    assert (chosen.members, chosen.keep_netcdf, chosen.metrics) == (20, 7 * 86_400, "127.0.0.1:9464")
    served = server_settings.read_settings({"folder": "live"}, file=DEPLOY / "systemd" / "echocast.toml")
    assert (served.stale, served.bind) == (chosen.stale, "127.0.0.1:8080")


def test_prometheus_takes_the_rules_and_they_fire_as_told() -> None:
    folder = DEPLOY / "monitoring"
    run("promtool", "check", "config", "prometheus.yml", folder=folder)
    run("promtool", "test", "rules", "alerts.test.yml", folder=folder)


def expressions() -> dict[str, str]:
    """All expressions of the rules and of the dashboard, by what they are for."""
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.prometheus.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((DEPLOY / "monitoring" / "grafana.json").read_text())
    for panel in board["panels"]:
        found |= {f"{panel['title']}_{target['refId']}": target["expr"] for target in panel["targets"]}
    return found


def test_rules_and_dashboard_ask_only_for_what_is_measured() -> None:
    known = {f"{name}_total" if family.kind == "counter" else name for name, family in FAMILIES.items()}
    known |= {f"echocast_{name}" for name in SERVE}
    for where, expression in expressions().items():
        for name in re.findall(r"echocast_\w+", expression):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in known, (where, name)
        for name, labels in re.findall(r"(echocast_\w+)\{([^}]*)\}", expression):
            family = FAMILIES.get(re.sub(r"_(total|bucket|sum|count)$", "", name))
            for label, values in re.findall(r'(\w+)=~?"([\w|]+)"', labels) if family else ():
                assert set(values.split("|")) <= set(family.known.get(label, values.split("|"))), (where, label)


def test_the_dashboards_expressions_are_read_by_prometheus(tmp_path: Path) -> None:
    rules = [
        {"record": f"a:{number}", "expr": expression.replace("$instance", ".*")}
        for number, expression in enumerate(expressions().values())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    run("promtool", "check", "rules", str(tmp_path / "rules.yml"))


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((DEPLOY / "monitoring" / "grafana.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        taken |= cells


def test_each_alert_has_its_place_on_the_page() -> None:
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.prometheus.yml").read_text())
    page = PAGE.read_text(encoding="utf-8")
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert f"### {rule['alert']}\n" in page
            assert rule["annotations"]["runbook"].endswith(f"#{rule['alert'].lower()}")


def test_the_containers_can_write_nothing_but_their_data() -> None:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())
    for name in ("watch", "serve"):
        service = content["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001"
    assert "data:/data:ro" in content["services"]["serve"]["volumes"]
    image = (DEPLOY / "container" / "Containerfile").read_text()
    for line in ("STOPSIGNAL SIGTERM", "USER 10001:10001", "VOLUME /data", "--only-binary=:all:", "/readyz"):
        assert line in image


def test_nginx_takes_the_example(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "1",
        "-keyout", str(key), "-out", str(certificate))  # fmt: skip
    example = (DEPLOY / "proxy" / "nginx.conf").read_text()
    example = re.sub(r"/etc/ssl/\S+fullchain.pem", str(certificate), example)
    example = re.sub(r"/etc/ssl/\S+privkey.pem", str(key), example)
    example = example.replace("/var/cache/nginx/echocast", str(tmp_path / "cache"))
    around = f"events {{}}\npid {tmp_path}/pid;\nerror_log stderr;\nhttp {{\naccess_log off;\n{example}\n}}\n"
    (tmp_path / "nginx.conf").write_text(around)
    run("nginx", "-t", "-q", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path))
