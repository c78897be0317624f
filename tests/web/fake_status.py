"""A cluster to look at: as large as one likes, and with names that try to be markup."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from exporter.view.values import (
    SEVERITIES,
    BlockedRequest,
    Counts,
    FailingPage,
    FailingResult,
    NamedCounts,
    Overview,
    Query,
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
    made: int = 0
    queries: list[Query] = field(default_factory=list)

    def overview(self, most: int) -> Overview:
        counts = [Counts(9 * n, 7 * n, n, n // 3, 2) for n in range(60, 0, -7)]
        named = [NamedCounts(name, each) for name, each in zip(NAMESPACES, counts, strict=False)]
        told = self.policies or dict(zip(POLICIES, counts, strict=False))
        policies = [NamedCounts(name, each) for name, each in told.items()]
        return Overview(
            version="1.0.0",
            started=self.now - 7200,
            ready=self.ready,
            watched=(
                Watched("policyreports.wgpolicyk8s.io", "synced", True, 98_732,
                        self.now - 7100, self.now - 3),
                Watched("reports.openreports.io", "not served", False),
                Watched("events.events.k8s.io", "retrying", False, 17, self.now - 70, self.now - 9),
            ),
            resources=Counts(81_203, 14_021, 800, 12, 2_000),
            results=Counts(900_123, self.failures, 1200, 40, 9_000),
            failing_by_severity=(
                {"critical": 12, "high": 4_031, "medium": 61_200, "low": 34_797}
                if self.whole else None
            ),
            namespaces=tuple(named[:most]),
            policies=tuple(policies[:most]) if self.whole else None,
        )  # fmt: skip

    async def failing(self, query: Query) -> FailingPage:
        self.queries.append(query)
        if not self.whole:
            return FailingPage((), None)
        end = min(query.offset + query.limit, self.failures)
        rows = tuple(map(self._failing, range(query.offset, end)))
        return FailingPage(rows, self.failures)

    def _failing(self, n: int) -> FailingResult:
        self.made += 1
        return FailingResult(
            namespace=NAMESPACES[n % len(NAMESPACES)],
            kind=("Deployment", "Pod", "ReplicaSet")[n % 3],
            name=f"carts-{n}" if n % 5 else EVIL,
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
