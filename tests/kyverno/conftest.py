"""One cluster with a Kyverno for a whole session; the seed page's story begins with it."""

from collections.abc import Iterator

import pytest

from tests.cluster.harness import control_plane
from tests.kyverno import seed
from tests.kyverno.exposed import Exporter
from tests.kyverno.harness import APISERVER_FLAGS, Kyverno
from tests.kyverno.keeper import keeping
from tests.kyverno.world import World

NAMESPACES = ("strict", "lenient", "cel", "changes", "images", "native", "scans", "leaving")
POLICIES = ("patterns", "cel", "changes", "images", "native", "scans")
TEAMS = ("strict", "cel", "catalog")
DONE: list[World] = []


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A cluster under every policy of the tests."""
    with control_plane(APISERVER_FLAGS, crds=False) as plane, keeping(plane):
        kyverno = Kyverno(plane, plane.directory)
        kyverno.install()
        exporter = Exporter(plane.directory / "exporter", plane.kubeconfig, "--state.dir=state")
        here = World(plane, kyverno, exporter)
        DONE.append(here)
        for name in (*NAMESPACES, *seed.NAMESPACES):
            plane.create_namespace(name, {"team": f"of-{name}"} if name in TEAMS else {})
        try:
            exporter.start()
            seed.before_kyverno(here)
            kyverno.start()
            for file in POLICIES:
                here.apply(f"{file}.yaml")
            seed.story(here)
            yield here
        finally:
            exporter.stop()
            kyverno.stop()
            here.api.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was recounted."""
    for here in DONE:
        terminalreporter.line(
            f"kyverno: {len(here.recounts)} recounts, {len(here.refused)} refused requests"
        )
