"""The last requests that were blocked, for a live table and a live page."""

from bisect import insort
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.state.tally import Gauge, Labels

MOST: Final = 100
SECONDS: Final = 3600.0


class Block(NamedTuple):
    """One blocked request; *seconds* is Unix time by the API server's clock.

    Each that is heard of later has a larger *number*, over restarts too.
    """

    seconds: float
    namespace: str
    kind: str
    name: str
    policy: str
    rule: str
    severity: str
    message: str
    number: int = 0

    @property
    def labels(self) -> Labels:
        """Give the labels of policyviolation_recent_block_timestamp_seconds."""
        return (self.namespace, self.kind, self.name, self.policy, self.rule)


class Recent:
    """At most the last 100 blocks of the last hour, oldest first.

    Above that the namespace that has most of them loses its oldest.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.gauge = Gauge()
        self.blocks: list[Block] = []
        self.listeners: list[Callable[[Block], None]] = []
        self._number = 0
        self._clock = clock

    def add(self, block: Block) -> None:
        """Remember a block, and tell whoever listens when it has just happened."""
        # Our clock in microseconds goes on where the last process ended, and stays below 2**53.
        self._number = max(self._number + 1, int(self._clock() * 1_000_000))
        block = block._replace(number=self._number)
        insort(self.blocks, block)
        self.gauge.put(block.labels, max(block.seconds, self.gauge.rows.get(block.labels, 0)))
        self.expire()
        for listener in self.listeners:
            listener(block)

    def expire(self) -> None:
        """Forget what is older than an hour or more than a hundred."""
        oldest = self._clock() - SECONDS
        while self.blocks and self.blocks[0].seconds < oldest:
            self._forget(0)
        while len(self.blocks) > MOST:
            self._forget(self._least_missed())

    def _least_missed(self) -> int:
        """Choose the oldest block of the namespace with most of them: none drives others out."""
        [(crowded, _)] = Counter(block.namespace for block in self.blocks).most_common(1)
        return next(at for at, b in enumerate(self.blocks) if b.namespace == crowded)

    def _forget(self, at: int) -> None:
        gone = self.blocks.pop(at)
        if self.gauge.rows.get(gone.labels) == gone.seconds:
            self.gauge.put(gone.labels, None)
