"""A cluster to look at: as large as one likes, and with names that try to be markup."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from exporter.view.values import (
    DEFAULT_COUNT,
    SEVERITIES,
    BlockedRequest,
    ClusterConnection,
    Counts,
    FailingPage,
    FailingResult,
    Ignored,
    LeftOut,
    NamedCounts,
    Overview,
    Query,
    Unrenewed,
    Watched,
)

EVIL = "<script>alert(1)</script>\"'&amp;"
NAMESPACES = ("carts", "catalog", "checkout", "default", "orders", "ui", "", "kube-system", EVIL)
POLICIES = (
    "restrict-image-registries",
    "baseline-policy",
    "require-labels",
    "disallow-latest-tag",
    EVIL,
)
LIVE = ClusterConnection("live", "Connected", 1.0, counted=True)
MESSAGE = (
    "validation error: Unknown Image registry. rule validate-registries failed at path "
    "/spec/containers/0/image/"
)


@dataclass
class FakeStatus:
    """Makes up its rows when they are asked for, and remembers how many it had to make."""

    now: float
    failures: int = 100_000
    blocks: list[BlockedRequest] = field(default_factory=list)
    listeners: list[Callable[[BlockedRequest], None]] = field(default_factory=list)
    policies: dict[str, Counts] = field(default_factory=dict)
    ready: bool = True
    whole: bool = True
    cluster: str = "prod"
    reports: int = 98_732
    connection: ClusterConnection = LIVE
    left_out: tuple[LeftOut, ...] = ()
    cut_reports: int = 0
    unknown: tuple[str, ...] = ()
    made: int = 0
    queries: list[Query] = field(default_factory=list)
    not_stored: dict[str, int] = field(default_factory=dict)
    newest_age: float = 60
    events: bool = True
    ignored: tuple[Ignored, ...] = ()
    unrenewed: tuple[Unrenewed, ...] = ()
    nothing_counts: bool = False

    def overview(self, most: int, count: str = DEFAULT_COUNT) -> Overview:
        counts = [Counts(9 * n, 7 * n, n, n // 3, 2) for n in range(60, 0, -7)]
        named = [NamedCounts(name, each) for name, each in zip(NAMESPACES, counts, strict=False)]
        given = self.policies or dict(zip(POLICIES, counts, strict=False))
        policies = [NamedCounts(name, each) for name, each in given.items()]
        errors = 40 if self.failures else 0
        results = Counts(900_123, self.failures, 1200, errors, 9_000)
        if self.nothing_counts:
            results = Counts()
        counted = self.connection.counted
        return Overview(
            version="1.0.0",
            cluster=self.cluster,
            time=self.now,
            started=self.now - 7200,
            ready=self.ready,
            connection=self.connection,
            watched=(
                Watched("policyreports.wgpolicyk8s.io", "synced", True, 98_732,
                        self.now - 7100, self.now - 3, True, self.now - 7100),
                Watched("reports.openreports.io", "not served", False, since=self.now - 7100),
                Watched("policies.kyverno.io", "failing", True, 17, self.now - 70, self.now - 9,
                        False, self.now - 60, EVIL, 503),
                Watched("events.events.k8s.io", "synced" if self.events else "refused", True, 17,
                        self.now - 70, self.now - 9, self.events, self.now - 60),
            ),
            detail="full" if self.whole else "summary",
            scope="",
            count=count,
            reports=self.reports if counted else None,
            compliance=results.compliance if counted else None,
            resources=Counts(81_203, 14_021, 800, 12, 2_000) if counted else None,
            results=results if counted else None,
            not_itemised=Counts() if counted and self.whole else None,
            cut_reports=self.cut_reports,
            left_out=self.left_out,
            ignored=self.ignored,
            newest_result=self.now - self.newest_age,
            failing_by_severity=(
                {"critical": 12, "high": 4_031, "medium": 61_200, "low": 34_797}
                if self.whole and counted else None
            ),
            namespaces=tuple(named[:most]) if counted else None,
            policies=tuple(policies[:most]) if self.whole and counted else None,
            blocked=len(self.blocked()) if counted else None,
            blocked_capped=len(self.blocked()) >= 100,
            unrenewed=self.unrenewed,
            unrenewed_policies=len(self.unrenewed),
            not_stored=self.not_stored,
        )  # fmt: skip

    async def failing(self, query: Query) -> FailingPage:
        self.queries.append(query)
        if not self.whole or not self.connection.counted:
            return FailingPage((), None)
        end = min(query.offset + query.limit, self.failures)
        rows = tuple(map(self._failing, range(query.offset, end)))
        return FailingPage(rows, self.failures, self.unknown)

    def _failing(self, n: int) -> FailingResult:
        self.made += 1
        return FailingResult(
            namespace=NAMESPACES[n % len(NAMESPACES)],
            kind=("Deployment", "Pod", "ReplicaSet")[n % 3],
            name=f"carts-{n}" if n % 5 else EVIL,
            controlled="false" if n % 3 == 0 else "true",
            workload_kind="Deployment",
            workload=f"carts-{n}" if n % 5 else EVIL,
            policy=POLICIES[n % len(POLICIES)],
            rule="validate-registries",
            result="fail" if n % 9 else "error",
            severity=SEVERITIES[n % len(SEVERITIES)],
            source="kyverno",
            since=self.now - 60 * n,
            message=MESSAGE if n % 7 else EVIL * 40,
        )

    def blocked(self) -> Sequence[BlockedRequest]:
        return list(islice(reversed(self.blocks), 100))

    def subscribe(self, listener: Callable[[BlockedRequest], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def block(self, name: str = "nginx-public", message: str = MESSAGE) -> BlockedRequest:
        """Let a request be blocked now."""
        number = len(self.blocks) + 1
        block = BlockedRequest(
            number, self.now, NAMESPACES[number % len(NAMESPACES)], "Pod", name,
            POLICIES[number % len(POLICIES)], "validate-registries",
            SEVERITIES[number % len(SEVERITIES)], message,
        )  # fmt: skip
        self.blocks.append(block)
        for listener in list(self.listeners):
            listener(block)
        return block
