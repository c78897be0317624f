"""Failures that a checkpoint knows, by a hash of what identifies them."""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from xxhash import xxh3_64_intdigest

from exporter.state.contribution import Contribution
from exporter.state.failures import Failures, Identity, Remembered, remember, standing
from exporter.state.occurrences import Check
from exporter.state.report_store import ReportKey
from exporter.state.tally import Labels

COMPARED_AT_ONCE: Final = 400
"""Failures that are compared with a checkpoint in one turn: 2 to 5 ms."""


def hash_of(place: ReportKey, identity: Check) -> int:
    """Hash what identifies a failure in the whole cluster, to 64 bits.

    Of 50,000 failures two have the same hash in one of 10 billion checkpoints (n * n / 2**65).
    The two then count as one after a restart: one of them has the other's start time, or is
    not counted when it was opened or closed while the exporter was down.
    """
    return xxh3_64_intdigest("\0".join((*place, *identity)).encode("utf-8", "replace"))


class FailureMemory:
    """When the failures that a checkpoint knows began, and their counters' labels, by hash.

    ``partial`` are the namespaces of which the checkpoint does not have all failures: those that
    it does not know are not new. Where the checkpoint is not *comparable*, because other limits cut
    other failures from the same reports, none is new and none is closed. ``watched`` decides which
    failures the checkpoint would know: others may have begun at any time. None is for all.
    """

    def __init__(
        self,
        known: dict[int, tuple[int, Labels]] | None = None,
        partial: AbstractSet[str] = frozenset(),
        *,
        comparable: bool = True,
        watched: Callable[[Identity, Labels], bool] | None = None,
    ) -> None:
        self.watched = watched
        self._known = known or {}
        self._learned: set[int] = set()
        self._partial = partial
        self._comparable = comparable

    def of(self, place: ReportKey, contribution: Contribution | None) -> Remembered:
        """Return what is known of the failures in a report."""
        if not self._known:
            return {}
        found: Remembered = {}
        for failure in standing(contribution):
            known = self._known.get(hash_of(place, failure.identity))
            if known is not None:
                found[failure.identity] = known
        return found

    def learn(self, place: ReportKey, before: Remembered, after: Remembered) -> None:
        """Take over what changed in a report that is listed for the first time."""
        for identity in before.keys() - after.keys():
            self._known.pop(hash_of(place, identity), None)
        for identity in after.keys() - before.keys():
            mark = hash_of(place, identity)
            if mark not in self._known:
                self._learned.add(mark)
            self._known[mark] = after[identity]

    def unlearn(self, place: ReportKey, identities: Iterable[Identity]) -> None:
        """Forget what was learned of a report that counts no more: it never did, as it turns out.

        A later list contained the report of the other API group, which is newer.
        """
        for identity in identities:
            mark = hash_of(place, identity)
            if mark in self._learned:
                self._known.pop(mark, None)

    def take(self, place: ReportKey, after: Remembered) -> Remembered:
        """Return which of the failures in *after* are known, and forget them."""
        if not self._comparable or place.namespace in self._partial:
            for identity in after:
                self._known.pop(hash_of(place, identity), None)
            return after
        before: Remembered = {}
        for identity in after:
            known = self._known.pop(hash_of(place, identity), None)
            if known is not None:
                before[identity] = known
        return before

    def take_one(self) -> tuple[int, tuple[int, Labels]] | None:
        """Take hash, start and labels of a failure that is left: it is closed. None: none is."""
        return self._known.popitem() if self._comparable and self._known else None


class CheckpointComparison:
    """Counts what began and ended between a checkpoint and now, some failures at a time.

    A report that changes meanwhile is compared before it does, so that the counts are those of
    comparing everything at once when this was made. With *redate*, failures also begin as early as
    the checkpoint knows: the reports were listed before it was read.
    """

    def __init__(self, memory: FailureMemory, failures: Failures, *, redate: bool) -> None:
        self._memory = memory
        self._failures = failures
        self._redate = redate
        self._left = failures.places.copy()
        self._order = iter(list(self._left))
        failures.before_change = self.compare

    def take(self, most: int) -> bool:
        """Compare about *most* failures; False once none is left."""
        while most > 0:
            place = next(self._order, None)
            if place is not None:
                most -= 1 + self.compare(place)
                continue
            self._failures.before_change = None
            closed = self._memory.take_one()
            if closed is None:
                return False
            mark, (since, labels) = closed
            self._failures.close_unknown(mark, since, labels)
            most -= 1
        return True

    def compare(self, place: ReportKey) -> int:
        """Compare a report, unless that was done; return how many failures it has."""
        contribution = self._left.pop(place, None)
        if contribution is None:
            return 0
        memory, failures = self._memory, self._failures
        contribution = failures.places[place]  # for another workload, perhaps
        version, failures.version = failures.version, ""
        if self._redate:
            failures.redate(place, memory.of(place, contribution))
        after = remember(contribution)
        before = memory.take(place, after)
        failures.count(place, (before, after), (None, contribution), memory.watched)
        failures.touch(place)
        failures.version = version
        return len(after)


class Restore:
    """A checkpoint's failures, until it is counted what began and ended since then.

    ``memory`` has them until the first lists are complete, and is None from then on.
    """

    def __init__(self, failures: Failures) -> None:
        self.memory: FailureMemory | None = None
        self._failures = failures
        self._comparison: CheckpointComparison | None = None

    @property
    def is_over(self) -> bool:
        """Whether all is counted, or there was nothing to restore."""
        return self.memory is None and self._comparison is None

    def compare(self, memory: FailureMemory, *, redate: bool) -> None:
        """Begin to count what differs from a checkpoint; see ``CheckpointComparison``."""
        self._comparison = CheckpointComparison(memory, self._failures, redate=redate)

    def finish_some(self) -> bool:
        """Count some of what began and ended; True when more may be left.

        Call it once every list of reports ended: the counts are those of the first call.
        """
        memory, self.memory = self.memory, None
        if memory is not None:
            self.compare(memory, redate=False)
        if self._comparison is not None and not self._comparison.take(COMPARED_AT_ONCE):
            self._comparison = None
        return self._comparison is not None

    def finish(self) -> None:
        """Count all of it at once."""
        while self.finish_some():
            pass
