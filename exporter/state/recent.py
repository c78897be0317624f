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

    Later blocks have a larger *number*, after a restart too. *claimed* marks a CEL
    policy's block of which only the Event is known, not the policy: Kyverno may be wrong.
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
    claimed: bool = False

    @property
    def labels(self) -> Labels:
        """Give the labels of policyviolation_recent_block_timestamp_seconds."""
        return (self.namespace, self.kind, self.name, self.policy, self.rule)


class RecentBlocks:
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
        """Add a block, and pass it to the listeners if it has just happened."""
        block = block._replace(number=self._next())
        self._keep(block)
        self.expire()
        self._tell(block)

    def go_on_from(self, former: "RecentBlocks", chosen: Callable[[Block], bool]) -> None:
        """Take over the blocks of *former* with their numbers.

        Blocks that only this one has get the numbers after them.
        """
        self._number = max(self._number, former._number)  # noqa: SLF001 - of the same class
        known: dict[Block, list[Block]] = {}
        for block in self.blocks:
            known.setdefault(_unnamed(block), []).append(block)
        for block in filter(chosen, former.blocks):
            same = known.get(_unnamed(block))
            if same:
                self._renumber(same.pop(), block.number)
            else:
                self._keep(block)
                self._tell(block)
        for block in (block for left in known.values() for block in left):
            self._renumber(block, self._next())
        self.expire()

    def expire(self) -> None:
        """Forget what is older than an hour or more than a hundred."""
        oldest = self._clock() - SECONDS
        while self.blocks and self.blocks[0].seconds < oldest:
            self._forget(0)
        while len(self.blocks) > MOST:
            self._forget(self._least_missed())

    def _keep(self, block: Block) -> None:
        insort(self.blocks, block)
        self.gauge.put(block.labels, max(block.seconds, self.gauge.rows.get(block.labels, 0)))

    def _tell(self, block: Block) -> None:
        for listener in self.listeners:
            listener(block)

    def _renumber(self, block: Block, number: int) -> None:
        self.blocks.remove(block)
        insort(self.blocks, block._replace(number=number))

    def _next(self) -> int:
        # Our clock in microseconds goes on where the last process ended, and stays below 2**53.
        self._number = max(self._number + 1, int(self._clock() * 1_000_000))
        return self._number

    def _least_missed(self) -> int:
        """Choose the oldest block of the namespace with most of them: none drives others out."""
        [(crowded, _)] = Counter(block.namespace for block in self.blocks).most_common(1)
        return next(at for at, b in enumerate(self.blocks) if b.namespace == crowded)

    def _forget(self, at: int) -> None:
        gone = self.blocks.pop(at)
        if self.gauge.rows.get(gone.labels) == gone.seconds:
            self.gauge.put(gone.labels, None)


def _unnamed(block: Block) -> Block:
    """Leave out what can differ between two exporters for the same block."""
    return block._replace(severity="", message="", number=0, claimed=False)
