"""Whether what is shown is true of the cluster now: one answer for page, API and readiness."""

from collections.abc import Sequence
from typing import Final

from exporter.model.resource import EVENTS, NAMESPACES, OWNED_RESOURCES, REPORT_RESOURCES
from exporter.view.values import ClusterConnection, Watched

REPORT_NAMES: Final = frozenset(resource.name for resource in REPORT_RESOURCES)
_OWNED: Final = frozenset(resource.name for resource in OWNED_RESOURCES)
_ALWAYS_SERVED: Final = frozenset({EVENTS.name, NAMESPACES.name}) | _OWNED
NO_REPORT_API: Final = "No policy report API is served by this cluster"
INSTALL_AN_ENGINE: Final = (
    "Install Kyverno or another engine that writes policy reports. The exporter finds its reports "
    "within a minute and needs no restart."
)
ONBOARDING: Final = (
    "Is an engine such as Kyverno installed, and are there policies (kubectl get clusterpolicies)?",
    "Is the background scan on, and are admission reports (features.policyReports) enabled?",
    "Do filters or sources in the configuration exclude them?",
)
"""What to check where there are no reports."""

_NOT_FOUND: Final = 404


def connection(watched: Sequence[Watched]) -> ClusterConnection:
    """Judge all watched kinds together; the worst that is true of them is what is reported."""
    since = min((each.since for each in watched), default=0.0)
    for judge in (_nothing_served, _refused, _never_connected, _reading, _lost, _partial):
        found = judge(watched)
        if found is not None:
            return found
    if all(each.state == "not served" for each in _reports(watched)):
        return ClusterConnection("no report api", NO_REPORT_API, since, counted=False)
    return ClusterConnection("live", "Connected", since, counted=True)


def _reports(watched: Sequence[Watched]) -> list[Watched]:
    return [each for each in watched if each.resource in REPORT_NAMES]


def _nothing_served(watched: Sequence[Watched]) -> ClusterConnection | None:
    if not watched or any(each.state != "not served" for each in watched):
        return None
    if all(each.resource not in _ALWAYS_SERVED and each.status != _NOT_FOUND for each in watched):
        return None
    message = "Not a Kubernetes API server, or a wrong path: it serves no API at all"
    first = watched[0]
    return ClusterConnection(
        "not kubernetes", message, first.since, counted=False, error=first.error
    )


def _refused(watched: Sequence[Watched]) -> ClusterConnection | None:
    served = [each for each in _reports(watched) if each.state != "not served"]
    if not served or any(each.state != "refused" for each in served):
        return None
    first = served[0]
    kinds = ", ".join(each.resource for each in served)
    what = "Credentials are refused" if first.status == 401 else "Permission is refused"
    message = f"{what} for list and watch of {kinds}"
    counted = any(each.last_sync for each in served)
    as_of = first.since if counted else 0.0
    return ClusterConnection(
        "refused", message, first.since, counted=counted, error=first.error, as_of=as_of
    )


def _never_connected(watched: Sequence[Watched]) -> ClusterConnection | None:
    if any(each.last_sync for each in watched):
        return None
    failing = [each for each in watched if each.error]
    if failing and not any(each.state == "not served" for each in watched):
        first = failing[0]
        return ClusterConnection(
            "unreachable",
            "Not connected to the API server",
            min(each.since for each in failing),
            counted=False,
            error=first.error,
        )
    if not any(each.objects for each in watched) and all(
        each.state in ("waiting", "listing") for each in watched
    ):
        since = min((each.since for each in watched), default=0.0)
        return ClusterConnection("connecting", "Connecting to the API server", since, counted=False)
    return None


def is_known(each: Watched) -> bool:
    """Whether a kind was listed once, or cannot be."""
    return bool(each.last_sync) or each.state in ("not served", "refused")


def _reading(watched: Sequence[Watched]) -> ClusterConnection | None:
    missing = [each for each in _reports(watched) if not is_known(each)]
    if not missing:
        return None
    kinds = ", ".join(each.resource for each in missing)
    errors = [each for each in missing if each.error]
    error = errors[0].error if errors else ""
    since = min(each.since for each in missing)
    message = f"Reading the cluster: {kinds} not listed yet"
    return ClusterConnection("reading", message, since, counted=False, error=error)


def _lost(watched: Sequence[Watched]) -> ClusterConnection | None:
    served = [each for each in watched if each.last_sync and each.state != "not served"]
    down = [each for each in served if not each.up and each.error and each.state != "refused"]
    if not down:
        return None
    first = min(down, key=lambda each: each.since)
    if len(down) == len(served):
        message = "Not connected to the API server"
        return ClusterConnection(
            "lost", message, first.since, counted=True, error=first.error, as_of=first.since
        )
    kinds = ", ".join(each.resource for each in down)
    message = f"Not watched: {kinds}; the numbers that depend on them are outdated"
    reports = [each for each in down if each.resource in REPORT_NAMES]
    as_of = min((each.since for each in reports), default=0.0)
    return ClusterConnection(
        "degraded", message, first.since, counted=True, error=first.error, as_of=as_of
    )


def _partial(watched: Sequence[Watched]) -> ClusterConnection | None:
    refused = [each for each in watched if each.state == "refused"]
    if not refused:
        return None
    first, owned = refused[0], [each.resource for each in refused if each.resource in _OWNED]
    kinds = ", ".join(each.resource for each in refused if each.resource not in _OWNED)
    messages = [f"Not readable: {kinds}; the numbers do not include them"] if kinds else []
    if owned:
        messages.append(f"Not readable: {', '.join(owned)}; workloads are found by names")
    message = ". ".join(messages)
    return ClusterConnection("partial", message, first.since, counted=True, error=first.error)
