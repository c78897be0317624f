"""The panel kinds that the dashboards are made of, with the settings that all of them share."""

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.dashboards import palette

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")


def instant(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """Ask for the present only: a headline must not fall back on a point of an hour ago."""
    return _query(expr, ref).instant().legend_format(legend)


def rows(expr: str, ref: str = "A") -> prometheus.Dataquery:
    """Ask for the present, as table rows with a column for each label."""
    return _query(expr, ref).instant().format(PromQueryFormat.TABLE)


def over_time(expr: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """Ask for the whole range."""
    return _query(expr, ref).range().legend_format(legend)


def _query(expr: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(SOURCE).expr(expr).ref_id(ref)


def number(title: str, description: str, expr: str) -> stat.Panel:
    """One number, coloured by its thresholds; three columns wide."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(instant(expr))
        .unit("short")
        .thresholds(palette.neutral())
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .span(3)
        .height(4)
    )


def lines(title: str, description: str) -> timeseries.Panel:
    """Values over time as lines, with their last and highest value in the legend."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
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


def areas(title: str, description: str) -> timeseries.Panel:
    """Parts of a whole over time, stacked."""
    return lines(title, description).fill_opacity(55).line_width(1).stacking(_stacked())


def bars(title: str, description: str) -> timeseries.Panel:
    """Occurrences over time, stacked, one bar for each step."""
    return (
        lines(title, description)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .stacking(_stacked())
        .interval("1m")
    )


def ranking(title: str, description: str, query: prometheus.Dataquery) -> bargauge.Panel:
    """One horizontal bar for each series, longest first."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
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


def states(title: str, description: str) -> statetimeline.Panel:
    """States over time, one line of blocks for each series."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
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


def legend_table(panel: timeseries.Panel) -> timeseries.Panel:
    """Put an open-ended set of series into a table at the right, largest first."""
    return panel.legend(
        _legend(common.LegendPlacement.RIGHT)
        .display_mode(common.LegendDisplayMode.TABLE)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(True)
    )


def painted(panel: timeseries.Panel, colors: dict[str, str]) -> timeseries.Panel:
    """Give each named series its own colour."""
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def fixed(color: str) -> DynamicConfigValue:
    """Return a colour that does not depend on the value."""
    return setting("color", {"mode": "fixed", "fixedColor": color})


def setting(name: str, value: object) -> DynamicConfigValue:
    """Return one setting of an override."""
    return DynamicConfigValue(id_val=name, value=value)


def _stacked() -> StackingConfig:
    return StackingConfig().mode(common.StackingMode.NORMAL).group("A")


def _legend(placement: common.LegendPlacement) -> VizLegendOptions:
    legend = VizLegendOptions().show_legend(True).placement(placement)
    return legend.display_mode(common.LegendDisplayMode.LIST)


def _all_series() -> VizTooltipOptions:
    return (
        VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
