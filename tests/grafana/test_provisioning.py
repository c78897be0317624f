"""The compose file's parts fit together, and the real programs accept their configuration."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from tests.grafana.boards import BOARDS, ROOT
from tests.servers import alertmanager, prometheus
from tests.tools import eventually, tool


class Service(msgspec.Struct):
    """One service of the compose file."""

    command: list[str] = []
    volumes: list[str] = []
    ports: list[str] = []


class Compose(msgspec.Struct):
    """The compose file."""

    services: dict[str, Service]


def load(path: str) -> object:
    loaded: object = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return loaded


COMPOSE = msgspec.convert(load("compose.yaml"), Compose)
MOUNTS = {
    inside: outside
    for service in COMPOSE.services.values()
    for outside, inside, _ in (volume.split(":") for volume in service.volumes)
}


@pytest.mark.parametrize("outside", MOUNTS.values(), ids=MOUNTS)
def test_what_is_mounted_exists(outside: str) -> None:
    assert (ROOT / outside).exists()


def test_every_port_is_on_loopback_only() -> None:
    ports = [port for service in COMPOSE.services.values() for port in service.ports]
    assert len(ports) == len(COMPOSE.services)
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_files_that_prometheus_names_are_mounted_there() -> None:
    text = (ROOT / "grafana/compose/prometheus.yml").read_text(encoding="utf-8")
    named = re.findall(r"- (/etc/prometheus/\S+)", text)
    assert named
    assert set(named) <= set(MOUNTS)


def test_hosts_that_are_talked_to_are_services() -> None:
    files = [ROOT / "compose.yaml", *(ROOT / "grafana/compose").iterdir()]
    files += (ROOT / "grafana/provisioning").rglob("*.yaml")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    hosts = set(re.findall(r"(?:http://|\")([a-z]+):\d+", text)) - {"localhost"}
    assert hosts
    assert hosts <= set(COMPOSE.services)


def test_the_provider_finds_every_dashboard() -> None:
    (provider,) = msgspec.convert(
        load("grafana/provisioning/dashboards/policy.yaml"), _Providers
    ).providers
    mounted = {inside for inside in MOUNTS if Path(inside).parent == Path(provider.options.path)}
    assert {Path(inside).name for inside in mounted} == set(BOARDS)


class _Options(msgspec.Struct):
    path: str


class _Provider(msgspec.Struct):
    options: _Options


class _Providers(msgspec.Struct):
    providers: list[_Provider]


def local(path: str, tmp_path: Path) -> str:
    """Return a configuration with the container's paths replaced by ours."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for inside, outside in MOUNTS.items():
        text = text.replace(inside, str((ROOT / outside).resolve()))
    (tmp_path / "config.yml").write_text(text, encoding="utf-8")
    return text


@pytest.mark.tier("monitoring")
def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    local("grafana/compose/prometheus.yml", tmp_path)
    argv = [str(tool("promtool")), "check", "config", str(tmp_path / "config.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.tier("monitoring")
def test_prometheus_runs_with_the_configuration(tmp_path: Path) -> None:
    with prometheus(local("grafana/compose/prometheus.yml", tmp_path)) as server:
        targets = eventually(server.targets, what="the target is known")
        assert [target.scrape_url for target in targets] == ["http://demo:10480/metrics"]
        assert {rule.name for group in server.rules() for rule in group.rules}


@pytest.mark.tier("monitoring")
def test_alertmanager_runs_with_the_configuration(tmp_path: Path) -> None:
    with alertmanager(local("grafana/compose/alertmanager.yml", tmp_path)) as server:
        assert server.alerts() == []
