"""The families that the exporter exposes about itself."""

from typing import Final, NamedTuple

from exporter.metrics.catalogue import Stability

PREFIX: Final = "policyreport_exporter_"


class OwnFamily(NamedTuple):
    """A family about the exporter or its process; *name* lacks the prefix."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    stability: Stability = "stable"
    prefix: str = PREFIX

    @property
    def full_name(self) -> str:
        """The name as exposed."""
        return self.prefix + self.name


_RESOURCE: Final = ("resource",)
_TARGET: Final = ("alertmanager",)

OWN: Final = (
    OwnFamily(
        "build_info",
        "gauge",
        "Version of the exporter and of Python; always 1.",
        ("version", "revision", "python"),
    ),
    OwnFamily(
        "config_last_reload_successful",
        "gauge",
        "Whether the last reload of the configuration succeeded.",
    ),
    OwnFamily(
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the configuration was last loaded successfully.",
    ),
    OwnFamily(
        "watch_up",
        "gauge",
        "Whether the resource is currently watched; absent while it is not served.",
        _RESOURCE,
    ),
    OwnFamily(
        "synced",
        "gauge",
        "Whether a complete list of the resource has been read; absent while it is not served.",
        _RESOURCE,
    ),
    OwnFamily("objects", "gauge", "Current objects of the resource.", _RESOURCE),
    OwnFamily(
        "served",
        "gauge",
        "Whether the API server serves the resource; 0 if its CRD is absent.",
        _RESOURCE,
    ),
    OwnFamily(
        "last_sync_timestamp_seconds",
        "gauge",
        "When a complete list of the resource was last read; absent before the first.",
        _RESOURCE,
    ),
    OwnFamily(
        "last_change_timestamp_seconds",
        "gauge",
        "When the last change of the resource was received; absent before the first.",
        _RESOURCE,
    ),
    OwnFamily(
        "watch_changes_total",
        "counter",
        "Objects received from a watch (added, modified, deleted) or a list (listed).",
        ("resource", "change"),
    ),
    OwnFamily(
        "relists_total",
        "counter",
        "Repeated lists, by reason.",
        ("resource", "reason"),
    ),
    OwnFamily(
        "watch_restarts_total",
        "counter",
        "Watch restarts, by reason.",
        ("resource", "reason"),
    ),
    OwnFamily(
        "api_requests_total",
        "counter",
        "Requests to the API server; code is the HTTP status, or 0 without a response.",
        ("verb", "code"),
    ),
    OwnFamily(
        "api_request_duration_seconds",
        "histogram",
        "Time until the API server responds; for a watch, until it sends headers.",
        ("verb",),
        stability="experimental",
    ),
    OwnFamily(
        "objects_skipped_total",
        "counter",
        "Objects that were skipped because they could not be used, by reason.",
        ("resource", "reason"),
    ),
    OwnFamily(
        "results_left_out",
        "gauge",
        "Results in current reports that no other family counts, because their source is "
        "not configured (source) or their result is unknown (word).",
        ("reason", "source"),
        stability="experimental",
    ),
    OwnFamily(
        "results_not_itemised",
        "gauge",
        "Results that only the summaries of current reports count: the report's list was cut, is "
        "absent, or is too long.",
        ("result",),
        stability="experimental",
    ),
    OwnFamily(
        "reports_cut",
        "gauge",
        "Current reports above limits.report_results or limits.report_bytes; "
        "results_not_itemised has the rest.",
        stability="experimental",
    ),
    OwnFamily(
        "events_ignored_total",
        "counter",
        "Violation Events that are not counted, by reason: unknown text (grammar), a namespace "
        "that Kyverno does not write to (namespace), another controller (controller), or a policy "
        "that does not exist (unknown_policy).",
        ("reason",),
        stability="experimental",
    ),
    OwnFamily("series", "gauge", "Exposed series, by family.", ("family",)),
    OwnFamily(
        "series_limit",
        "gauge",
        "Maximum number of series of a family; series above it are folded.",
        ("family",),
    ),
    OwnFamily(
        "series_folded_total",
        "counter",
        "Series that were folded because their family was at its limit.",
        ("family",),
    ),
    OwnFamily(
        "render_duration_seconds",
        "gauge",
        "Time to render the last complete exposition.",
        stability="experimental",
    ),
    OwnFamily("exposition_bytes", "gauge", "Size of the last complete scrape before compression."),
    OwnFamily(
        "checkpoint_last_success_timestamp_seconds",
        "gauge",
        "When a checkpoint was last written durably.",
        stability="experimental",
    ),
    OwnFamily(
        "checkpoint_bytes",
        "gauge",
        "Size of the last checkpoint; compressed if it is in a ConfigMap.",
        stability="experimental",
    ),
    OwnFamily(
        "checkpoint_left_out",
        "gauge",
        "Open failures and counters that did not fit into the last checkpoint.",
        ("content",),
        stability="experimental",
    ),
    OwnFamily(
        "checkpoint_writer",
        "gauge",
        "Whether this process writes the checkpoint; 0 if another replica writes it.",
        stability="experimental",
    ),
    OwnFamily(
        "checkpoint_conflicts_total",
        "counter",
        "Checkpoints that were not written because another process had written one before.",
        stability="experimental",
    ),
    OwnFamily(
        "part_restarts_total",
        "counter",
        "Restarts of a part of the exporter after it failed unexpectedly.",
        ("part",),
        stability="experimental",
    ),
    OwnFamily("checkpoint_failures_total", "counter", "Checkpoints that could not be written."),
    OwnFamily(
        "event_gap_seconds_total",
        "counter",
        "Time in which Events may have expired without being counted.",
    ),
    OwnFamily(
        "counter_resets_total",
        "counter",
        "Times that counters could not continue from a checkpoint, by reason.",
        ("reason",),
    ),
    OwnFamily(
        "journal_lines_total",
        "counter",
        "Lines written to the journal, by event_name; replayed counts lines that were written "
        "again after a restart, in case they were lost.",
        ("event_name",),
        stability="experimental",
    ),
    OwnFamily(
        "journal_dropped_total",
        "counter",
        "Lines that were not written to the journal, by reason: writing was too slow (full), "
        "too many lines of one namespace waited (share), one Event has too many violations "
        "(repeats).",
        ("reason",),
        stability="experimental",
    ),
    OwnFamily(
        "journal_pending_bytes",
        "gauge",
        "Size of the journal lines that wait in memory for a checkpoint or for the file.",
        stability="experimental",
    ),
    OwnFamily("alerts_active", "gauge", "Alerts that are currently firing."),
    OwnFamily("alerts_sent_total", "counter", "Alerts accepted by an Alertmanager.", _TARGET),
    OwnFamily(
        "alerts_failed_total",
        "counter",
        "Alerts that an Alertmanager did not accept, by reason.",
        (*_TARGET, "reason"),
    ),
    OwnFamily(
        "alerts_dropped_total",
        "counter",
        "Alerts that were not sent because of a limit, by reason.",
        ("reason",),
    ),
    OwnFamily(
        "alertmanager_up",
        "gauge",
        "Whether the last delivery to the Alertmanager succeeded.",
        _TARGET,
    ),
    OwnFamily(
        "alertmanager_last_success_timestamp_seconds",
        "gauge",
        "When a delivery to the Alertmanager last succeeded.",
        _TARGET,
    ),
    OwnFamily(
        "alertmanager_clock_skew_seconds",
        "gauge",
        "The Alertmanager's clock minus the exporter's, from its Date header.",
        _TARGET,
    ),
    OwnFamily(
        "event_loop_lag_seconds",
        "gauge",
        "Longest delay of the event loop in the last ten seconds.",
        stability="experimental",
    ),
)

_PROCESS: Final = "process_"
PROCESS: Final = (
    OwnFamily(
        "cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        prefix=_PROCESS,
    ),
    OwnFamily("resident_memory_bytes", "gauge", "Resident memory size in bytes.", prefix=_PROCESS),
    OwnFamily("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", prefix=_PROCESS),
    OwnFamily(
        "start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        prefix=_PROCESS,
    ),
    OwnFamily("open_fds", "gauge", "Number of open file descriptors.", prefix=_PROCESS),
    OwnFamily("max_fds", "gauge", "Maximum number of open file descriptors.", prefix=_PROCESS),
    OwnFamily(
        "info",
        "gauge",
        "Python platform information",
        ("implementation", "major", "minor", "patchlevel", "version"),
        prefix="python_",
    ),
)
"""What the client libraries of Prometheus expose of every process, under their names."""
