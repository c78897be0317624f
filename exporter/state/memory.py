"""Failures that a checkpoint knows, by a hash of what identifies them."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from xxhash import xxh3_64_intdigest

from exporter.state.contribution import Contribution
from exporter.state.failures import Identity, Remembered, standing
from exporter.state.report_store import ReportKey
from exporter.state.tally import Labels


def hash_of(place: ReportKey, identity: Identity) -> int:
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
    other failures from the same reports, none is new and none is closed.
    """

    def __init__(
        self,
        known: dict[int, tuple[int, Labels]] | None = None,
        partial: AbstractSet[str] = frozenset(),
        *,
        comparable: bool = True,
    ) -> None:
        self._known = known or {}
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
            self._known[hash_of(place, identity)] = after[identity]

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

    def rest(self) -> Iterable[tuple[int, tuple[int, Labels]]]:
        """Return hash, start and labels of each failure that was not taken: it is closed."""
        return self._known.items() if self._comparable else ()
