"""The catalogue as a document for people and for tools."""

from collections.abc import Iterator, Sequence

import msgspec

from exporter.metrics.catalogue import CATALOGUE, Family
from exporter.metrics.self_catalogue import OWN

_TITLES = {
    "reports": "From reports",
    "events": "From events",
    "policies": "From policies",
    "namespaces": "From namespaces",
}
_INTRODUCTION = """\
# Metrics

<!-- Made by `make docs` from the catalogue in exporter/metrics; a test keeps it current. -->

`namespace` is the namespace of the violating resource, empty for cluster-scoped ones, and never
that of the exporter; a ServiceMonitor therefore sets `honorLabels: true`. A label that does not
apply is empty, a missing severity or category is `none`, label values are cut at 128 characters.
Labels of namespaces that `labels.namespace_labels` names stand behind `namespace` on the families
from reports and from events.

Before its resources were listed completely a family is absent, not 0. New counter series are shown
at 0 first and take their value 35 seconds (`birth_hold`) later, so that increase() counts their
first occurrence. Above its limit (`max_series`) a family folds label sets of the largest namespaces
into series of their namespace whose labels are `__overflow__`, except severity, result, status and
outcome: sums stay exact, and other namespaces keep their series. Of the contents of reports and
Events at most 10,000 combinations in one namespace are counted separately; see
[security.md](security.md).
"""


def as_markdown() -> str:
    """Write docs/metrics.md."""
    return "\n".join(_lines()) + "\n"


def as_json() -> str:
    """Write the catalogue as JSON: name, type, help and labels of each family."""
    families = [
        {"name": name, "type": type_, "help": text, "labels": labels}
        for name, type_, text, labels in _rows()
    ]
    return msgspec.json.format(msgspec.json.encode(families)).decode() + "\n"


def _rows() -> Iterator[tuple[str, str, str, Sequence[str]]]:
    for family in CATALOGUE:
        yield family.name, family.type, family.help, family.labels
    for self_metrics in OWN:
        yield self_metrics.full_name, self_metrics.type, self_metrics.help, self_metrics.labels


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.rstrip()
    for kinds, title in _TITLES.items():
        yield from _section(title, [f for f in CATALOGUE if f.kinds == kinds])
    yield from ("", "## About the exporter itself", "", *_HEAD)
    for self_metrics in OWN:
        yield _row(
            self_metrics.full_name, self_metrics.type, self_metrics.labels, self_metrics.help
        )
    yield from ("", "prometheus-client adds its `process_*` and `python_*` families.")


_HEAD = ("| family | type | labels | meaning |", "|---|---|---|---|")


def _section(title: str, families: list[Family]) -> Iterator[str]:
    yield from ("", f"## {title}", "", *_HEAD)
    for family in families:
        yield _row(family.name, family.type, family.labels, family.help)


def _row(name: str, type_: str, labels: Sequence[str], text: str) -> str:
    return f"| `{name}` | {type_} | {', '.join(labels)} | {text} |"
