"""What a configuration lets count, as a checkpoint remembers it."""

from collections.abc import Callable

import msgspec

from exporter.state.failures import Identity
from exporter.state.selection import KYVERNO_SOURCES, Filters, Selection
from exporter.state.tally import OVERFLOW, Labels
from exporter.state.violation_events import CONTROLLERS


class CountingFilters(msgspec.Struct, frozen=True):
    """What counts: of which sources, by which filters, in which shard, within which limits.

    ``failures``: whether failures are read at all; summaries do not hold them. ``limits`` are those
    that decide which failures are kept: results and bytes of a report, failures of a namespace.
    None is for checkpoints of versions that had no limits.
    """

    sources: tuple[str, ...] = KYVERNO_SOURCES
    filters: Filters = Filters()
    controllers: tuple[str, ...] = CONTROLLERS
    failures: bool = True
    shard: tuple[int, int] = (0, 1)
    limits: tuple[int, int, int] | None = None

    def judge(self) -> "CompiledFilters":
        """Compile the filters."""
        return CompiledFilters(self)


class CompiledFilters:
    """Returns for what was counted before whether it would count under a choice."""

    def __init__(self, choice: CountingFilters) -> None:
        self._chosen = Selection(choice.filters, choice.sources, shard=choice.shard)
        self._controllers = {name.removeprefix("kyverno-") for name in choice.controllers}
        self._failures = choice.failures

    def occurrence(self, labels: Labels) -> bool:
        """Judge a row of the counter over Events."""
        return (
            _passes(self._chosen.namespace, labels[0])
            and _passes(self._chosen.kind, labels[1])
            and _passes(self._chosen.policy, labels[2])
            and _passes(self._controllers.__contains__, labels[8])
        )

    def transition(self, labels: Labels) -> bool:
        """Judge a row of the counters of failures that began or ended."""
        namespace, policy, severity, source = labels
        return (
            self._failures
            and _passes(self._chosen.namespace, namespace)
            and _passes(self._chosen.policy, policy)
            and _passes(self._chosen.severity, severity)
            and _passes(self._chosen.source, source)
        )

    def failure(self, identity: Identity, group: Labels) -> bool:
        """Judge a failure; *group* is the row that it counts in."""
        return self.group(identity.kind, group)

    def group(self, kind: str, group: Labels) -> bool:
        """Judge the failures of a kind of resource that count in a row."""
        return _passes(self._chosen.kind, kind) and self.transition(group)


def _passes(chosen: Callable[[str], bool], name: str) -> bool:
    """Whether a filter chooses a value, or a budget folded it."""
    return name == OVERFLOW or chosen(name)
