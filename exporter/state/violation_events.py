"""Violations that happened, each counted once."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.model.changes import Scope
from exporter.model.event import Event, Violation, unread, violation
from exporter.model.metadata import version_number
from exporter.model.report import clip, fold_rule
from exporter.state.occurrences import ViolationCounted
from exporter.state.policy_index import PolicyIndex
from exporter.state.recent import Block, RecentBlocks
from exporter.state.selection import Selection
from exporter.state.tally import OVERFLOW, Counters, Gauge, Labels, fit

CLASSIC_POLICIES: Final = ("ClusterPolicy", "Policy")
"""Kinds whose Events are right about whether the request was blocked; see ``_outcome``."""

CONTROLLERS: Final = ("kyverno-admission", "kyverno-scan")
MAX_SEEN_DELETED: Final = 20_000
_LONGEST_INSTANT: Final = 64

Key = tuple[str, str, str]
"""An Event's namespace, name and first time: unlike its uid they survive being re-created."""


class CountedEvent(NamedTuple):
    """A row that an Event was counted in, by how much, and the Event's resourceVersion."""

    scope: Scope
    version: int
    labels: Labels
    amount: int


class SeenEvent(NamedTuple):
    """A live Event: how many violations of it are counted, and its row among the live ones.

    ``grows``: the recorder of Kyverno 1.11 and earlier increases its count for later violations.
    """

    violations: int
    live: Labels
    grows: bool


class ViolationEvents:
    """Counters over violations' Events.

    The number of violations that an Event represents never decreases here: when the API server
    deletes it (after about an hour), it only leaves the live ones. Events in the first list
    happened before this exporter watched and do not count, unless ``watermarks`` show that they are
    newer than the checkpoint.

    Its methods write what others read: the gauges ``last`` and ``live``, ``recent`` (the last
    blocks), ``ignored`` (by reason, Events that do not count although no filter excludes them) and
    ``listing`` (scopes of which a list is incomplete). Others write as well:

    - ``total``: the counter. Checkpoints restore, publish and raise its rows.
    - ``watermarks``: by scope, the resourceVersion up to which Events are counted. Checkpoints and
      their ``survey`` set it; app.exporter removes it if the cluster was restored from a backup.
    - ``seen_deleted``: how many violations each deleted Event represented, the latest last.
      Checkpoints restore it.
    - ``overruled``: live Events that claim a block and were counted as allowed, because their
      policy blocked nothing then. Checkpoints restore it: the policy may be changed later.
    - ``on_counted``: called with each violation that is counted; ClusterState sets it.
    - ``uncommitted``: where it is not None, what was counted since the last durable checkpoint.
      Only checkpoint.follow sets it and removes from it.
    - ``counted_elsewhere``: by scope, the resourceVersion up to which another process has counted:
      such Events do not count again. Only checkpoint.capture sets it.
    """

    def __init__(
        self,
        selection: Selection,
        register: PolicyIndex,
        clock: Callable[[], float],
        *,
        controllers: tuple[str, ...] = CONTROLLERS,
        known_policies_only: bool = False,
        limit: int = 200_000,
    ) -> None:
        self.total = Counters(limit, kept={5, 6})  # outcome and severity
        self.last = Gauge()
        self.live = Gauge()
        self.recent = RecentBlocks(clock)
        self.watermarks: dict[Scope, int] = {}
        self.ignored: Counter[str] = Counter()
        self.listing: set[Scope] = set()
        self.seen_deleted: OrderedDict[Key, int] = OrderedDict()
        self.overruled: set[Key] = set()
        self.on_counted: Callable[[ViolationCounted], None] | None = None
        self.uncommitted: list[CountedEvent] | None = None
        self.counted_elsewhere: dict[Scope, int] = {}
        self._seen: dict[Key, SeenEvent] = {}
        self._unlisted: dict[Key, SeenEvent] = {}
        self._listed_once: set[Scope] = set()
        self._selection = selection
        self._register = register
        self._clock = clock
        self._controllers = frozenset(controllers)
        self._sizes: Counter[str] = Counter()
        self._known_only = known_policies_only
        self._limit = limit

    @property
    def live_objects(self) -> int:
        """How many counted Events the API server keeps."""
        return len(self._seen) + len(self._unlisted)

    def apply(self, scope: Scope, event: Event) -> None:
        """Count the violations of an Event that are not counted yet."""
        parsed = self._accepted(event)
        if parsed is None:
            return
        key = _key(event)
        seen = self._unlisted.pop(key, None) or self._seen.get(key)
        before = seen.violations if seen else self.seen_deleted.pop(key, 0)
        outcome = seen.live[2] if seen else self._outcome(parsed, event)
        new = self._news(scope, event, before)
        if seen is None:
            self.live.add((parsed.namespace, parsed.policy, outcome), 1)
        # What a checkpoint counted is still worth showing; what a stale list repeats is not.
        if event.violations > before or (seen is None and scope not in self._listed_once):
            self._note(parsed, event, outcome)
        live = seen.live if seen else (parsed.namespace, parsed.policy, outcome)
        self._seen[key] = SeenEvent(max(event.violations, before), live, _grows(event))
        if new > 0:
            self._count(scope, event, parsed, (self._labels(parsed, outcome), new))

    def delete(self, scope: Scope, event: Event) -> None:
        """Count what the last state of a deleted Event adds, then remove it from the live ones."""
        self.apply(scope, event)
        self._mark_deleted(_key(event))

    def begin_list(self, scope: Scope) -> None:
        """Start a list of *scope*: its Events leave the live ones unless the list has them."""
        self.listing.add(scope)
        gone = [k for k in self._seen if not scope.namespace or k[0] == scope.namespace]
        for key in gone:
            self._unlisted[key] = self._seen.pop(key)

    def end_list(self, scope: Scope) -> None:
        """End a list: Events that it did not contain leave the live ones."""
        for key in [k for k in self._unlisted if not scope.namespace or k[0] == scope.namespace]:
            self._seen[key] = self._unlisted.pop(key)
            self._mark_deleted(key)
        self._listed_once.add(scope)
        self.listing.discard(scope)
        self.overruled = {
            k for k in self.overruled if k in self._seen or scope.namespace not in ("", k[0])
        }

    def repeated(self) -> list[tuple[Key, int]]:
        """List the Events that represent several violations, as a checkpoint must keep them.

        This includes live ones that can grow: a restart must not count their first violation again.
        """
        live = [(k, s.violations) for k, s in self._seen.items() if s.grows or s.violations > 1]
        return live + [(k, n) for k, n in self.seen_deleted.items() if n > 1]

    def go_on_from(self, former: "ViolationEvents") -> None:
        """Take over the last blocks and Event times of *former* that the filters allow here."""
        for labels, seconds in former.last.rows.items():
            if self._chooses(labels[0], labels[1]) and seconds > self.last.rows.get(labels, 0):
                self.last.put(fit(labels, self.last.rows, self._sizes, self._limit), seconds)
        chosen = self._selection.kind
        self.recent.go_on_from(
            former.recent, lambda b: self._chooses(b.namespace, b.policy) and chosen(b.kind)
        )

    def _chooses(self, namespace: str, policy: str) -> bool:
        """Return whether the filters allow both; ``__overflow__`` is always allowed."""
        chosen = self._selection
        return (namespace == OVERFLOW or chosen.namespace(namespace)) and (
            policy == OVERFLOW or chosen.policy(policy)
        )

    def _count(
        self, scope: Scope, event: Event, parsed: Violation, news: tuple[Labels, int]
    ) -> None:
        version, (labels, amount) = version_number(event.version), news
        if version and version <= self.counted_elsewhere.get(scope, 0):
            return
        self.total.add(labels, amount)
        if self.uncommitted is not None:
            self.uncommitted.append(CountedEvent(scope, version, labels, amount))
        if self.on_counted is not None:
            ordinals = range(event.violations - amount + 1, event.violations + 1)
            where, what = (clip(parsed.name), clip(parsed.uid)), (event.seconds, parsed.message)
            counted = (_key(event), ordinals, labels)
            self.on_counted(ViolationCounted(scope, version, *counted, *where, *what))

    def _news(self, scope: Scope, event: Event, before: int) -> int:
        """Return how many violations of this Event are not counted yet."""
        if scope in self._listed_once or before:
            return event.violations - before
        covered = self.watermarks.get(scope)
        if covered is None:
            return 0
        return event.violations if version_number(event.version) > covered else 0

    def _accepted(self, event: Event) -> Violation | None:
        parsed = violation(event)
        if parsed is None:
            self._ignore(unread(event))
            return None
        if parsed.controller not in self._controllers:
            self._ignore("controller")
            return None
        chosen = self._selection
        if not (chosen.namespace(parsed.namespace) and chosen.policy(parsed.policy)):
            return None
        if not chosen.kind(parsed.kind):
            return None
        if self._known_only and self._register.find(parsed.policy, parsed.policy_kind) is None:
            self._ignore("unknown_policy")
            return None
        return parsed._replace(
            namespace=clip(parsed.namespace), kind=clip(parsed.kind), policy=clip(parsed.policy)
        )

    def _ignore(self, reason: str) -> None:
        if reason:
            self.ignored[reason] += 1

    def _outcome(self, parsed: Violation, event: Event) -> str:
        """Judge whether the request was blocked or allowed, by the policy's mode at that time.

        For a CEL policy Kyverno claims a block when any policy in the same webhook call denies
        (kyverno issues 16841 and 17180), so the policy's own actions decide where they are known:
        not those of a policy that changed since the Event.
        """
        if not parsed.claims_blocked:
            return "allowed"
        if parsed.policy_kind in CLASSIC_POLICIES:
            return "blocked"
        key = _key(event)
        policy_info = self._register.find(parsed.policy, parsed.policy_kind)
        if policy_info is None or policy_info.blocks or event.seconds < policy_info.changed:
            return "allowed" if key in self.overruled else "blocked"
        self.overruled.add(key)
        return "allowed"

    def _labels(self, parsed: Violation, outcome: str) -> Labels:
        policy_info = self._register.find(parsed.policy, parsed.policy_kind)
        return (
            parsed.namespace,
            parsed.kind,
            parsed.policy,
            parsed.policy_kind,
            clip(fold_rule(parsed.rule)),
            outcome,
            policy_info.severity if policy_info else "none",
            policy_info.category if policy_info else "none",
            parsed.controller.removeprefix("kyverno-"),
        )

    def _note(self, parsed: Violation, event: Event, outcome: str) -> None:
        seconds = min(event.seconds, self._clock())
        labels: Labels = (parsed.namespace, parsed.policy, outcome)
        labels = fit(labels, self.last.rows, self._sizes, self._limit)
        if seconds > self.last.rows.get(labels, 0):
            self.last.put(labels, seconds)
        if outcome == "blocked":
            policy_info = self._register.find(parsed.policy, parsed.policy_kind)
            severity = policy_info.severity if policy_info else "none"
            rule = clip(fold_rule(parsed.rule))
            where = (parsed.namespace, parsed.kind, clip(parsed.name), parsed.policy, rule)
            claimed = policy_info is None and parsed.policy_kind not in CLASSIC_POLICIES
            self.recent.add(Block(seconds, *where, severity, parsed.message, claimed=claimed))

    def _mark_deleted(self, key: Key) -> None:
        seen = self._seen.pop(key, None)
        if seen is None:
            return
        self.live.add(seen.live, -1)
        self.overruled.discard(key)
        self.seen_deleted[key] = seen.violations
        if len(self.seen_deleted) > MAX_SEEN_DELETED:
            self.seen_deleted.popitem(last=False)


def _key(event: Event) -> Key:
    return (event.namespace, event.name, event.first[:_LONGEST_INSTANT])


def _grows(event: Event) -> bool:
    return bool(event.count or event.deprecated_count or event.series)
