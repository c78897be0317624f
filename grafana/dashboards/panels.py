"""The panel kinds that the dashboards are made of, with the settings that all of them share."""

from collections.abc import Mapping
from typing import TypeAlias

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.dashboards import palette

BarGauge: TypeAlias = bargauge.Panel
Stat: TypeAlias = stat.Panel
StateTimeline: TypeAlias = statetimeline.Panel
TimeSeries: TypeAlias = timeseries.Panel

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
# How Grafana names the queries of a panel.
REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def instant(expr: str, legend: str = "") -> prometheus.Dataquery:
    """Ask for the present only: a headline must not fall back on a point of an hour ago."""
    return _query(expr, "A").instant().legend_format(legend)


def rows(expr: str, ref: str) -> prometheus.Dataquery:
    """Ask for the present, as table rows with a column for each label."""
    return _query(expr, ref).instant().format(PromQueryFormat.TABLE)


def _query(expr: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(SOURCE).expr(expr).ref_id(ref)


def number(title: str, expr: str, thresholds: ThresholdsConfig | None = None) -> Stat:
    """One number, coloured by its thresholds; three columns wide."""
    return (
        stat.Panel()
        .title(title)
        .datasource(SOURCE)
        .with_target(instant(expr))
        .unit("short")
        .thresholds(thresholds or palette.neutral())
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .span(3)
        .height(4)
    )


def lines(title: str, queries: Mapping[str, str]) -> TimeSeries:
    """Values over time as lines; the queries by the names of their series in the legend."""
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit("short")
        .line_width(2)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend(common.LegendPlacement.BOTTOM))
        .tooltip(_all_series())
        .span(12)
        .height(8)
    )
    return _over_time(panel, queries)


def areas(title: str, queries: Mapping[str, str]) -> TimeSeries:
    """Parts of a whole over time, stacked."""
    return lines(title, queries).fill_opacity(55).line_width(1).stacking(_stacked())


def bars(title: str, queries: Mapping[str, str]) -> TimeSeries:
    """Occurrences over time, stacked, one bar for each step."""
    panel = lines(title, queries).draw_style(common.GraphDrawStyle.BARS)
    return panel.fill_opacity(80).line_width(0).stacking(_stacked()).interval("1m")


def ranking(title: str, query: prometheus.Dataquery) -> BarGauge:
    """One horizontal bar for each series, longest first."""
    return (
        bargauge.Panel()
        .title(title)
        .datasource(SOURCE)
        .with_target(query)
        .unit("short")
        .min(0)
        .thresholds(palette.steps("blue"))
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .name_placement(common.BarGaugeNamePlacement.TOP)
        .show_unfilled(False)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .span(6)
        .height(8)
    )


def states(title: str, queries: Mapping[str, str]) -> StateTimeline:
    """States over time, one line of blocks for each series."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit("short")
        .show_value(common.VisibilityMode.NEVER)
        .fill_opacity(75)
        .line_width(0)
        .row_height(0.85)
        .legend(VizLegendOptions().show_legend(False).display_mode(common.LegendDisplayMode.LIST))
        .span(12)
        .height(8)
    )
    return _over_time(panel, queries)


def legend_table(panel: TimeSeries) -> TimeSeries:
    """Put an open-ended set of series into a table at the right, largest first."""
    return panel.legend(
        _legend(common.LegendPlacement.RIGHT)
        .display_mode(common.LegendDisplayMode.TABLE)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(True)
    )


def painted(panel: TimeSeries, colors: Mapping[str, str]) -> TimeSeries:
    """Give each named series its own colour."""
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def dashed(panel: TimeSeries, *names: str) -> TimeSeries:
    """Draw what is compared with, such as a target, as a dashed line."""
    for name in names:
        style = setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})
        panel.override_by_name(name, [style])
    return panel


def fixed(color: str) -> DynamicConfigValue:
    """Return a colour that does not depend on the value."""
    return setting("color", {"mode": "fixed", "fixedColor": color})


def setting(name: str, value: object) -> DynamicConfigValue:
    """Return one setting of an override."""
    return DynamicConfigValue(id_val=name, value=value)


def _over_time(panel: TimeSeries, queries: Mapping[str, str]) -> TimeSeries:
    for ref, (legend, expr) in zip(REFS, queries.items(), strict=False):
        panel.with_target(_query(expr, ref).range().legend_format(legend))
    return panel


def _stacked() -> StackingConfig:
    return StackingConfig().mode(common.StackingMode.NORMAL).group("A")


def _legend(placement: common.LegendPlacement) -> VizLegendOptions:
    legend = VizLegendOptions().show_legend(True).placement(placement)
    return legend.display_mode(common.LegendDisplayMode.LIST)


def _all_series() -> VizTooltipOptions:
    tooltip = VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    return tooltip.sort(common.SortOrder.DESCENDING)
