"""One control plane for a whole session; a test that bends it takes one of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.gate import Gate, gate_to
from tests.cluster.harness import ControlPlane, control_plane

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    """A shared control plane with every CRD; use a namespace of your own in it."""
    with control_plane() as plane:
        yield plane


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    """A new namespace with its default ServiceAccount."""
    return cluster.create_namespace(f"test-{next(_numbers)}")


@pytest.fixture
def gate(cluster: ControlPlane) -> Iterator[Gate]:
    """A gate of the test's own before the shared control plane."""
    with gate_to(cluster) as opened:
        yield opened
