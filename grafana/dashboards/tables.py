"""Tables: several queries merged on their labels, one column for each label and value."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    ValueMapping,
)

from grafana.dashboards import palette
from grafana.dashboards.links import NAMESPACE_URL, OVERVIEW_URL, POLICY_URL
from grafana.dashboards.palette import DAY, SEVERITY
from grafana.dashboards.panels import REFS, SOURCE, rows
from grafana.dashboards.promql import SEVERITIES, named

Table: TypeAlias = table.Panel


class Column(NamedTuple):
    """One column: the label or the query that it shows, its heading, and how its cells look."""

    label: str
    title: str
    query: str = ""
    properties: tuple[DynamicConfigValue, ...] = ()

    def having(self, **properties: object) -> "Column":
        """Add Grafana's properties; ``__`` stands for the dot in a name."""
        added = tuple(
            DynamicConfigValue(id_val=name.replace("__", "."), value=value)
            for name, value in properties.items()
        )
        return self._replace(properties=(*self.properties, *added))

    def unit(self, unit: str) -> "Column":
        """Show the number in this unit."""
        return self.having(unit=unit)

    def wide(self, pixels: int) -> "Column":
        """Keep this width; columns without one share the rest."""
        return self.having(custom__width=pixels)

    def words(self, *mappings: ValueMapping) -> "Column":
        """Show values as coloured words."""
        return self.having(mappings=list(mappings), custom__cellOptions={"type": "color-text"})

    def warns(self, thresholds: ThresholdsConfig) -> "Column":
        """Colour the text by thresholds."""
        colored = {"type": "color-text"}
        return self.having(thresholds=thresholds.build(), custom__cellOptions=colored)

    def gauge(self, thresholds: ThresholdsConfig) -> "Column":
        """Show a share as a filled bar."""
        bar = {"type": "gauge", "mode": "basic"}
        limits = self.having(unit="percentunit", min=0, max=1, decimals=1)
        return limits.having(thresholds=thresholds.build(), custom__cellOptions=bar)

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
) -> Table:
    """Return a table whose rows are label sets; the query ``rows_of`` gives rows and no column.

    Sorted by these titles; ``-`` is largest first.
    """
    panel = table.Panel().title(title).datasource(SOURCE)
    queries = [query for query in (rows_of, *(column.query for column in columns)) if query]
    refs = REFS[: len(queries)]
    for ref, query in zip(refs, queries, strict=True):
        panel.with_target(rows(_of_a_cluster(query, columns), ref))
    values = iter([f"Value #{ref}" for ref in refs] if refs[1:] else ["Value"])
    hidden = (*hidden, next(values)) if rows_of else hidden
    fields = [column.label or next(values) for column in columns]
    for column in columns:
        panel.override_by_name(column.title, list(column.properties))
    options: dict[str, object] = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {field: index for index, field in enumerate(fields)},
        "renameByName": {
            field: column.title for field, column in zip(fields, columns, strict=True)
        },
    }
    return (
        panel.unit("short")
        .thresholds(palette.neutral())
        .filterable(True)
        .no_value("-")
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(DataTransformerConfig(id_val="organize", options=options))
        .sort_by([_order(title) for title in sort])
        .span(24)
        .height(9)
    )


def _of_a_cluster(query: str, columns: Sequence[Column]) -> str:
    """Name the cluster of every row: its links set the variable, and All leaves it open."""
    carried = any(column.label == "cluster" for column in columns)
    return named(query, "cluster", "All") if carried else query


def _order(title: str) -> TableSortByFieldState:
    order = TableSortByFieldState().display_name(title.removeprefix("-"))
    return order.desc(title.startswith("-"))


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
    return Column("rank", "Severity").words(palette.words(words)).wide(90)


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
    return value(title, query).unit("s").warns(palette.age(7 * DAY, 30 * DAY)).wide(115)
