"""W42: after an hour of everything that can fail, the numbers are those of the cluster."""

import pytest

from exporter.watch.lists import NamespaceLists, ReflectorOptions
from tests.virtual_time import run
from tests.watch.chaos import Chaos, numbers

pytestmark = pytest.mark.tier("simulator")


STREAM_OR_PAGES = ReflectorOptions(page_objects=20)
IN_PARALLEL = ReflectorOptions(page_objects=20, stream=False, lists=NamespaceLists)


@pytest.mark.parametrize(
    ("seed", "options"), [(0, STREAM_OR_PAGES), (1, STREAM_OR_PAGES), (2, IN_PARALLEL)]
)
def test_w42_after_an_hour_of_chaos_the_numbers_are_the_cluster_s(
    seed: int, options: ReflectorOptions
) -> None:
    chaos = Chaos(seed, stretch=3600, options=options)
    run(chaos.run())
    assert numbers(chaos.seen) == numbers(chaos.account)
    assert chaos.crowded == []
    assert chaos.struck.total() > 60
