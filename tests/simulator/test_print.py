"""Ages, selectors' corner cases and cells, as kubectl prints them."""

import pytest

from exporter.simulator import store


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (149, "2m29s"),
        (599, "9m59s"),
        (660, "11m"),
        (179 * 60, "179m"),
        (180 * 60, "3h"),
        (7.5 * 3600, "7h30m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_an_age_is_printed_as_kubectl_does(seconds: float, printed: str) -> None:
    assert store.duration(seconds) == printed


def test_times_read_back() -> None:
    assert store.parse(store.rfc3339(1_795_435_200.9)) == 1_795_435_200
    assert store.rfc3339_micro(1_795_435_200.25) == "2026-11-23T12:00:00.250000Z"
