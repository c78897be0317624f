"""Tables: several queries merged on their labels, one column for each label and value."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from grafana.classic import JsonDict
from grafana.dashboards import palette
from grafana.dashboards.links import NAMESPACE_URL, OVERVIEW_URL, POLICY_URL
from grafana.dashboards.palette import DAY, SEVERITY
from grafana.dashboards.panels import REFS, Panel, rows
from grafana.dashboards.promql import SEVERITIES, named


class Column(NamedTuple):
    """One column: the label or the query that it shows, its heading, and how its cells look."""

    label: str
    title: str
    query: str = ""
    properties: Mapping[str, object] = MappingProxyType({})

    def having(self, **properties: object) -> "Column":
        """Add Grafana's properties; ``__`` is the dot in a name."""
        added = {name.replace("__", "."): value for name, value in properties.items()}
        return self._replace(properties={**self.properties, **added})

    def wide(self, pixels: int) -> "Column":
        """Keep this width; columns without one share the rest."""
        return self.having(custom__width=pixels)

    def words(self, words: palette.Words) -> "Column":
        """Show values as coloured words."""
        colored = {"type": "color-text"}
        return self.having(mappings=[palette.words(words)], custom__cellOptions=colored)

    def warns(self, thresholds: JsonDict) -> "Column":
        """Colour the text by thresholds."""
        colored = {"type": "color-text"}
        return self.having(thresholds=thresholds, custom__cellOptions=colored)

    def gauge(self, thresholds: JsonDict) -> "Column":
        """Show a share as a filled bar."""
        bar = {"type": "gauge", "mode": "basic"}
        limits = self.having(unit="percentunit", min=0, max=1, decimals=1)
        return limits.having(thresholds=thresholds, custom__cellOptions=bar)

    def link(self, title: str, url: str) -> "Column":
        """Open another dashboard by a click on the cell."""
        return self.having(links=[{"title": title, "url": url}])


def table_of(
    title: str,
    columns: Sequence[Column],
    *,
    rows_of: str = "",
    sort: Sequence[str],
    hidden: Sequence[str] = (),
) -> Panel:
    """Return a table whose rows are label sets; the query ``rows_of`` gives rows and no column.

    Sorted by these titles; ``-`` is largest first.
    """
    queries = [query for query in (rows_of, *(column.query for column in columns)) if query]
    refs = REFS[: len(queries)]
    asked = [rows(_of_a_cluster(q, columns), ref) for ref, q in zip(refs, queries, strict=True)]
    values = iter([f"Value #{ref}" for ref in refs] if refs[1:] else ["Value"])
    hidden = (*hidden, next(values)) if rows_of else hidden
    fields = {column.label or next(values): column.title for column in columns}
    organize: JsonDict = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {field: index for index, field in enumerate(fields)},
        "renameByName": fields,
    }
    steps = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    order = [{"displayName": t.removeprefix("-"), "desc": t.startswith("-")} for t in sort]
    panel = Panel("table", title, asked).settings(transformations=steps).options(sortBy=order)
    for column in columns:
        panel.override(column.title, column.properties)
    return panel.having(thresholds=palette.neutral())


def _of_a_cluster(query: str, columns: Sequence[Column]) -> str:
    """Name the cluster of every row: its links set the variable, and All leaves it open."""
    carried = any(column.label == "cluster" for column in columns)
    return named(query, "cluster", "All") if carried else query


def namespace() -> Column:
    """Return the namespace, leading to its dashboard."""
    column = Column("namespace", "Namespace").link("Open the namespace", NAMESPACE_URL)
    return column.having(mappings=[palette.empty_is("(cluster)")])


def policy() -> Column:
    """Return the policy, leading to its dashboard."""
    return Column("policy", "Policy").link("Open the policy", POLICY_URL)


def cluster() -> Column:
    """Return the cluster, which every link of the row carries."""
    return Column("cluster", "Cluster").link("Open the cluster", OVERVIEW_URL).wide(110)


def mode() -> Column:
    """Return what the policy does with a violation."""
    return Column("mode", "Mode").words(palette.colored(palette.MODE)).wide(90)


def severity() -> Column:
    """Severity from the label ``rank``, so that the column sorts by weight and not by letter."""
    words = {str(rank): (name, SEVERITY[name]) for rank, name in enumerate(SEVERITIES, 1)}
    return Column("rank", "Severity").words(words).wide(90)


def result() -> Column:
    """Return the result in its colour."""
    return Column("result", "Result").words(palette.colored(palette.RESULT)).wide(90)


def value(title: str, query: str) -> Column:
    """Return the number that a query gives for the row."""
    return Column("", title, query)


def count(title: str, query: str, color: str = "text") -> Column:
    """Return a number whose zeros step back."""
    return value(title, query).warns(palette.some(color)).wide(95)


def age(title: str, query: str) -> Column:
    """Return how long something has failed, in seconds."""
    return value(title, query).having(unit="s").warns(palette.age(7 * DAY, 30 * DAY)).wide(115)
