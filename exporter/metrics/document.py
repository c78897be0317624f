"""The catalogue as a document for people and for tools."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from exporter.metrics.catalogue import CATALOGUE, Family
from exporter.metrics.self_catalogue import OWN, PROCESS, OwnFamily

_TITLES: Final = {
    "reports": "From reports",
    "events": "From events",
    "policies": "From policies",
    "namespaces": "From namespaces",
}
_INTRODUCTION: Final = """\
# Metrics

<!-- Made by `make docs` from the catalogue in exporter/metrics; a test keeps it current. -->

`namespace` is the namespace of the violating resource, not of the exporter. A ServiceMonitor must
therefore set `honorLabels: true`. The label is empty for cluster-scoped resources. A label that
does not apply is empty, and a missing severity or category is `none`. Label values have at most 128
characters; longer values are cut and end with a hash. Families from reports and Events also have
the labels of namespaces that `labels.namespace_labels` lists.

A family is absent, not 0, until its resources have been listed completely. A new counter series
stays at 0 for 35 seconds (`birth_hold`), so that increase() counts its first occurrence. Above its
limit (`max_series`), a family folds series of the largest namespaces into overflow series of these
namespaces. All labels of an overflow series are `__overflow__`, except namespace, severity, result,
status and outcome. Sums stay exact, and other namespaces keep their series. In each namespace, at
most 10,000 combinations of labels from reports and Events are counted separately: see
[security.md](security.md).

Stable families keep their name, labels and meaning within a major version. Experimental families
can change in a minor version; CHANGELOG.md then contains the query to use instead.
"""


def as_markdown() -> str:
    """Write docs/metrics.md."""
    return "\n".join(_lines()) + "\n"


def as_json() -> str:
    """Write the catalogue as JSON: name, type, help, labels and stability of each family."""
    families = [
        {
            "name": _name(family),
            "type": family.type,
            "help": family.help,
            "labels": family.labels,
            "stability": family.stability,
        }
        for family in (*CATALOGUE, *OWN, *PROCESS)
    ]
    return msgspec.json.format(msgspec.json.encode(families)).decode() + "\n"


def _name(family: Family | OwnFamily) -> str:
    return family.full_name if isinstance(family, OwnFamily) else family.name


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.rstrip()
    for kinds, title in _TITLES.items():
        yield from _section(title, [f for f in CATALOGUE if f.kinds == kinds])
    yield from _section("About the exporter itself", OWN)
    yield from _section("About its process", PROCESS)


_HEAD: Final = (
    "| family | type | labels | stability | meaning |",
    "|---|---|---|---|---|",
)


def _section(title: str, families: Iterable[Family | OwnFamily]) -> Iterator[str]:
    yield from ("", f"## {title}", "", *_HEAD)
    for family in families:
        labels = ", ".join(family.labels)
        cells = (f"`{_name(family)}`", family.type, labels, family.stability, family.help)
        yield f"| {' | '.join(cells)} |"
