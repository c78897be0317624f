"""What a snapshot read, and what it could not: from files or from a cluster."""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from operator import itemgetter
from typing import Final

import msgspec

from exporter.errors import ApiError, Malformed, NotServed, Refused
from exporter.kube.client import KubeClient, Request
from exporter.kube.credentials import find_credentials
from exporter.kube.discovery import cluster_id
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Applied, Init, InitDone, Object, Scope
from exporter.model.policy import PolicyException
from exporter.model.report import Report
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES, Resource
from exporter.settings.file import ConfigFile, Plan
from exporter.settings.flags import Flags
from exporter.snapshot.files import FileObject, read_files
from exporter.state.cluster import ClusterState
from exporter.watch.lists import all_pages

POLICY_EXCEPTIONS: Final = (
    Resource("kyverno.io", "v2", "policyexceptions", "PolicyException", namespaced=True),
    Resource("policies.kyverno.io", "v1", "policyexceptions", "PolicyException", namespaced=True),
)
"""Read for ``--if-enforced`` only; their versions are those that the API server prefers."""
PROGRESS_SECONDS: Final = 0.2
_NOT_FOUND: Final = 404
_UNAUTHORIZED: Final = 401


class Reading:
    """The state that was read, and what is missing from it.

    ``refused`` has the errors by resource, ``served`` the report resources that the API server
    serves (all of them for files), ``skipped`` the complaint about each broken report,
    ``unevaluated`` what the program that wrote a file reports as not evaluated, ``names``
    all that reports name of each: "namespace", "policy" and "kind". ``missing`` are the
    namespaces of ``--namespace`` that do not exist, ``team`` those of ``--team``, None for all.
    ``exceptions`` names the PolicyExceptions of each policy, None where they were not read.
    """

    def __init__(self, config: ConfigFile) -> None:
        self.cluster = ""
        self.cluster_uid = ""
        self.team: frozenset[str] | None = None
        self.events_read = False
        self.exceptions: dict[str, set[str]] | None = None
        self.state = ClusterState(
            config.selection(),
            time.time,
            namespace_labels=config.labels.namespace_labels,
            controllers=config.events.controllers,
            known_policies_only=config.events.known_policies_only,
            shares=config.limits.shares,
            metadata=config.workloads.watch == "metadata",
        )
        self.refused: dict[str, ApiError] = {}
        self.served: set[str] = set()
        self.skipped: list[str] = []
        self.unevaluated: list[str] = []
        self.missing: list[str] = []
        self.names: dict[str, set[str]] = {"namespace": set(), "policy": set(), "kind": set()}

    @property
    def unreadable_reports(self) -> list[str]:
        """The report resources that permission is refused for."""
        return [r.name for r in REPORT_RESOURCES if r.name in self.refused]

    def apply(self, scope: Scope, item: Object) -> None:
        """Take in an object."""
        if isinstance(item, Report):
            self._note_names(item)
        elif scope.resource == EVENTS:
            self.events_read = True
        elif scope.resource in POLICY_RESOURCES:
            prefix = f"{item.namespace}/" if item.namespace else ""
            self.names["policy"].add(prefix + item.name)
        self.state.apply(Applied(scope, item))

    def skip(self, one: FileObject) -> None:
        """Report a broken object; remember it where it is, or may be, a report."""
        if one.is_unevaluated:
            warn(one.complaint)
            self.unevaluated.append(one.complaint)
            return
        warn(f"skipped: {one.complaint}")
        if one.resource is None or one.resource in REPORT_RESOURCES:
            self.skipped.append(one.complaint)

    def count_events(self) -> None:
        """Let every Event count: a snapshot has no before."""
        self.state.apply(Init(Scope(EVENTS)))
        self.state.apply(InitDone(Scope(EVENTS)))

    def choose_team(self, config: ConfigFile, team: str) -> None:
        """Show only the namespaces that have a label, LABEL=VALUE; an empty text shows all."""
        label, _, value = team.partition("=")
        if label:
            index = config.labels.namespace_labels.index(label)
            known = self.state.namespaces.labels.items()
            self.team = frozenset(name for name, values in known if values[index] == value)

    def in_team(self, namespace: str) -> bool:
        """Whether a namespace is one of those to show."""
        return self.team is None or namespace in self.team

    def _note_names(self, report: Report) -> None:
        namespaces, policies, kinds = self.names.values()
        for piece in report.pieces:
            namespaces.add(report.namespace or piece.about.namespace)
            kinds.add(piece.about.kind)
            policies.update(map(itemgetter(0), piece.result_set.raw_results))


def warn(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def read(
    files: Sequence[str], flags: Flags, config: ConfigFile, *, exceptions: bool = False
) -> Reading:
    """Read files, or the cluster where none is named; its PolicyExceptions if they are wanted.

    Raises:
        ConfigError: a file or the access to the cluster cannot be used.
        ApiError: the cluster cannot be reached, or refuses everything.
    """
    reading = Reading(config)
    if files:
        reading.cluster = flags.cluster or config.cluster
        _read_files(reading, files)
    else:
        asyncio.run(_read_cluster(reading, flags, config, exceptions=exceptions))
        reading.state.ledger.oldest.restart()  # the age of a file is not known
    reading.state.ledger.settle()
    return reading


def _read_files(reading: Reading, files: Sequence[str]) -> None:
    """Read files; only what others depend on waits for them, so that reports need no memory."""
    order = {r.name: rank for rank, r in enumerate((*POLICY_RESOURCES, NAMESPACES))}
    waiting: list[tuple[Resource, Object]] = []
    passed_over = count = 0
    reading.served = {resource.name for resource in REPORT_RESOURCES}
    progress = Progress()
    for one in read_files(files, progress.took):
        if one.complaint:
            progress.clear()
            reading.skip(one)
        elif one.resource is None or one.object is None:
            passed_over += 1
        elif one.resource in REPORT_RESOURCES:
            reading.apply(Scope(one.resource), one.object)
            count += 1
        else:
            waiting.append((one.resource, one.object))
        progress.show("files", count + len(waiting))
    progress.clear()
    if passed_over and not count and not waiting:
        warn(
            f"no report, event, policy or namespace found, but {passed_over} objects of other kinds"
        )
    reading.count_events()
    for resource, item in sorted(waiting, key=lambda pair: order.get(pair[0].name, len(order))):
        reading.apply(Scope(resource), item)


class Progress:
    """One line at a terminal: how many objects were read, of how many bytes, in what time."""

    def __init__(self, every_seconds: float = PROGRESS_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._began = self._shown = time.monotonic()
        self._is_there = sys.stderr.isatty()
        self._bytes = 0

    def took(self, count: int) -> None:
        """Count bytes."""
        self._bytes += count

    def show(self, what: str, objects: int) -> None:
        """Write the line, a few times a second at most."""
        now = time.monotonic()
        if self._is_there and now - self._shown >= self._every_seconds:
            self._shown = now
            size = f", {self._bytes / 1e6:.0f} MB" if self._bytes else ""
            seconds = now - self._began
            sys.stderr.write(f"\r{what}: {objects} objects read{size}, {seconds:.0f} s\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._is_there:
            sys.stderr.write("\r\x1b[K")


async def _read_cluster(
    reading: Reading, flags: Flags, config: ConfigFile, *, exceptions: bool
) -> None:
    async with AsyncExitStack() as stack:
        self_metrics = new_self_metrics()
        credentials = find_credentials(flags.kubeconfig, flags.context)
        reading.cluster = flags.cluster or config.cluster or credentials.cluster
        client = await stack.enter_async_context(KubeClient(credentials, self_metrics))
        source = KubeSource(
            client,
            self_metrics,
            summaries=config.reports.detail == "summary",
            limits=config.limits.report,
        )
        scopes = Plan(config, flags.namespaces).scopes()
        policies = [s for s in scopes if s.resource in POLICY_RESOURCES]
        absent: list[NotServed] = []
        for scope in [*policies, *(s for s in scopes if s not in policies)]:
            try:
                await _list(reading, source, scope)
            except NotServed as error:
                absent.append(error)
            except Refused as error:
                _note_refusal(reading, scope, credentials.name, error)
        if len(absent) == len(scopes) and all(each.status == _NOT_FOUND for each in absent):
            text = "not a Kubernetes API server, or a wrong path: it serves no API at all"
            raise ApiError(f"{credentials.name}: {text} ({absent[0]})", absent[0].status)
        _check_refusals(reading, scopes)
        reading.cluster_uid = await _uid(client)
        if exceptions:
            reading.exceptions = await _exceptions(client, source, flags.namespaces)
        reading.missing = [n for n in flags.namespaces if not await _exists(client, n)]


def _note_refusal(reading: Reading, scope: Scope, access: str, error: Refused) -> None:
    if not error.status:
        raise error  # no credentials to ask with: the API server refused nothing
    if error.status == _UNAUTHORIZED:
        hint = "the credentials are refused; log in again, or check the token"
        raise Refused(f"{access}: {error}: {hint}", error.status)
    reading.refused.setdefault(scope.resource.name, error)


def _check_refusals(reading: Reading, scopes: Iterable[Scope]) -> None:
    """Report what is refused: an error where that is every report, else a line."""
    reports = {s.resource.name for s in scopes if s.resource in REPORT_RESOURCES}
    refused = reports & reading.refused.keys()
    if refused and refused >= reports & reading.served:
        first = reading.refused[name := min(refused)]
        hint = f"grant list on {name} with a ClusterRole, or a Role and --namespace"
        raise Refused(f"{first}; {hint}", first.status)
    for name, error in reading.refused.items():
        warn(f"not read: {name}: {error}")


class _Exceptions(msgspec.Struct):
    items: list[PolicyException] = []


async def _exceptions(
    client: KubeClient, source: KubeSource, namespaces: Sequence[str]
) -> dict[str, set[str]] | None:
    """List PolicyExceptions by the policies that they name; None where that is refused."""
    found: dict[str, set[str]] = {}
    for wanted in POLICY_EXCEPTIONS:
        try:
            resource = await source.resolve(wanted)
            for namespace in (namespaces or ("",)) if resource else ():
                path = resource.path(namespace) if resource else ""
                body = await client.get(Request(path, resource=wanted.name, verb="list"))
                for each in msgspec.json.decode(body, type=_Exceptions).items:
                    name = f"{each.metadata.namespace}/{each.metadata.name}"
                    for policy in each.policies:
                        found.setdefault(policy, set()).add(name)
        except NotServed:
            continue
        except (Refused, msgspec.MsgspecError) as error:
            warn(f"not read: {wanted.name}: {error}")
            return None
    return found


async def _uid(client: KubeClient) -> str:
    try:
        return await cluster_id(client)
    except Malformed:
        return ""


async def _exists(client: KubeClient, namespace: str) -> bool:
    """Whether a namespace exists, as far as that may be asked."""
    try:
        path = f"{NAMESPACES.path()}/{namespace}"
        await client.get(Request(path, resource=NAMESPACES.name))
    except Refused:
        return True
    except NotServed:
        return False
    return True


async def _list(reading: Reading, source: KubeSource, scope: Scope) -> None:
    resource = await source.resolve(scope.resource)
    if resource is None:
        return
    if scope.resource in REPORT_RESOURCES:
        reading.served.add(scope.resource.name)
    if scope.resource == EVENTS:
        reading.count_events()
        reading.events_read = True  # also where there is none
    count, progress = 0, Progress()
    async for page in all_pages(source, resource, scope.namespace):
        for rejected in page.rejected:
            if scope.resource in REPORT_RESOURCES:
                reading.skipped.append(rejected.message)
        for item in page.objects:
            reading.apply(scope, item)
        count += len(page.objects)
        progress.show(scope.resource.name, count)
    progress.clear()
