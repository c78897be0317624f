"""Objects that a real Kyverno 1.14.4 wrote about the tests' own policies, read without it."""

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.kyverno.series import EVENTS, RESULTS

OBJECTS = Path(__file__).parent / "kyverno-1.14.4.json"


def rows(family: str) -> list[tuple[dict[str, str], float]]:
    """Return the series of a family that are not 0, as a snapshot prints them."""
    command = (sys.executable, "-m", "exporter", "snapshot", "--output", "prometheus")
    text = subprocess.check_output((*command, str(OBJECTS)), text=True, stdin=subprocess.DEVNULL)
    samples = (s for each in text_string_to_metric_families(text) for s in each.samples)
    return [(dict(s.labels), s.value) for s in samples if s.name == family and s.value]


def test_results_of_policies_in_cel_have_no_rule() -> None:
    found = {(row["policy"], row["rule"], row["result"], row["source"]) for row, _ in rows(RESULTS)}
    assert found == {
        ("few-replicas", "", "pass", "KyvernoValidatingPolicy"),
        ("name-the-stage", "", "fail", "KyvernoValidatingPolicy"),
    }


def test_a_block_is_counted_and_a_scans_event_that_names_no_resource_is_not() -> None:
    """The note of such an Event begins with " : [] fail;", and it has no related resource."""
    [(row, count)] = rows(EVENTS)
    assert (row["policy"], row["outcome"], count) == ("no-host-network", "blocked", 1)
