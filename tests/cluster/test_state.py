"""State in a ConfigMap of a real API server: Pods and API servers go, counts and ages stay."""

import pytest

from tests.cluster.harness import ControlPlane
from tests.cluster.state import Kept

pytestmark = pytest.mark.tier("cluster")


@pytest.fixture
def kept(cluster: ControlPlane, namespace: str) -> Kept:
    return Kept(cluster, namespace)


def test_a_new_pod_with_nothing_but_the_object_goes_on(kept: Kept) -> None:
    kept.fail("web", "api")
    with kept.pod("first") as first:
        first.until_ready()
        first.until("checkpoint_writer", 1)
        kept.block(3)
        first.shows(3)
        before = first.ages()
        seen = first.seen
    kept.block(2)
    with kept.pod("second") as second:
        second.seen = seen
        second.shows(5)
        kept.block()
        second.shows(6)
        assert second.ages() == before != {}
    assert (seen.total, seen.falls) == (6, [])
