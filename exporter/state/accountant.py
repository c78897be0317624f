"""Turns reports into contributions, within the budget of each namespace."""

from collections.abc import Iterable, Sequence
from sys import intern

from exporter.model.ownership import Member, member_of
from exporter.model.report import Piece, Reference, Report, ResultSet, clip
from exporter.state.contribution import (
    BY_UID,
    Contribution,
    Group,
    KnownOwners,
    Owned,
    ReportPart,
    Subject,
    controlled_in,
    expected,
    group_of,
    parts,
)
from exporter.state.profile import Profile, Profiles, failing_messages
from exporter.state.selection import Selection
from exporter.state.shares import Budget, Room, Usage
from exporter.state.tally import NOTHING, OVERFLOW

_OwnedBy = dict[tuple[str, Member | None] | None, Owned]
"""Owned resources by namespace and member; that of a report which is named after it by None."""


class Accountant:
    """Turns reports into contributions; keeps the groups in use, one for each distinct one."""

    def __init__(self, selection: Selection, usage: Usage) -> None:
        self.profiles = Profiles(selection)
        self.budget = Budget()
        self._selection = selection
        self._usage = usage
        self._groups: dict[tuple[str, str, str, Profile, bool], Group] = {}

    def account(
        self,
        report: Report,
        held: Contribution | None = None,
        unlisted: Contribution | None = None,
    ) -> Contribution | None:
        """Return what a report contributes to the totals.

        None: the filters exclude the report; ``()``: only all its resources. Else a Group (nothing
        fails), a ReportPart, or a tuple of these for a report about several resources.

        *held* is its contribution so far; *unlisted* is that instead if the list under way has not
        contained the report yet. Where nothing or only messages changed, returns *held*, updated.
        The workload stays; for a new report, ``Ledger.settle_workloads`` resolves it.

        Resources, failures and messages that exceed the share of the namespace are folded.
        ``since`` of each part has the timestamps of the results; ``Failures.replace`` corrects it
        where an earlier start is known.
        """
        metadata, scope = report.metadata, report.scope
        old = unlisted if held is None else held
        if not metadata.namespace:
            return self._clusterwide(report, old)
        if held is None and not self._selection.namespace(metadata.namespace):
            return None
        if scope is None:
            return self._scattered(report, old)
        piece = report.pieces[0]
        if piece.apart:
            piece, profile = self._scoped(report)
        else:
            profile = self.profiles.of(piece.result_set, report.summary, report.source)
        if not profile.failures and scope.uid == metadata.name:
            # Nearly every report ends here, and most often it is what it was.
            if isinstance(held, Group) and held.profile is profile and held.kind == scope.kind:
                group: Group | None = held
            else:
                controlled = controlled_in(old) if old else expected(scope)
                group = self._find(metadata.namespace, scope.kind, controlled, profile, direct=True)
            if group is not None:
                return group
        elif isinstance(held, ReportPart) and held.says(scope, profile):
            messages = failing_messages(piece.result_set, profile)
            if messages != held.messages:
                messages = self._usage.room(metadata.namespace, held).fitting(messages)
                self._usage.reword(metadata.namespace, held.messages, messages)
                held.messages = messages
            return held
        room = self._usage.room(metadata.namespace, old)
        return self._part(report, piece, profile, KnownOwners(old), room) or ()

    def owned(self, contribution: Contribution, owned: Iterable[Owned]) -> Contribution:
        """Let resources of a contribution belong to their workloads, in one pass over its parts.

        Returns the same object where nothing changes.
        """
        if isinstance(contribution, Group):  # of a report that is named after its resource
            for each in owned:
                if each.direct:
                    return self._twin(contribution, each.controlled)
            return contribution
        found: _OwnedBy = {None if each.direct else each[:2]: each for each in owned}
        if not isinstance(contribution, tuple):
            return self._owned(contribution, found)
        changed = tuple([self._owned(part, found) for part in contribution])
        return contribution if changed == contribution else changed

    def _owned(self, part: Group | ReportPart, found: "_OwnedBy") -> Group | ReportPart:
        group, owned = group_of(part), None
        if group.direct or not isinstance(part, ReportPart):
            owned = found.get(None)
        else:
            if part.subject is not None:
                owned = found.get((group.namespace, (BY_UID, part.subject[1])))
            owned = owned or found.get((group.namespace, member_of(group.kind, part.name)))
        if owned is None or owned.direct != group.direct:
            return part
        workload, controlled = owned.workload, owned.controlled
        if not isinstance(part, ReportPart):
            return self._twin(group, controlled)
        if group.controlled == controlled and part.workload == workload:
            return part
        return part.of(self._twin(group, controlled), workload)

    def _twin(self, group: Group, controlled: str) -> Group:
        """Find the group of the same results with another owner."""
        if group.controlled == controlled:
            return group
        key, direct = (group.namespace, group.kind, controlled, group.profile), group.direct
        return self._find(*key, direct=direct) or self._group(*key, direct=direct)

    def release(self, group: Group) -> None:
        """Forget a group that no report is in any more."""
        namespace, kind, profile = group.namespace, group.kind, group.profile
        controlled = group.controlled
        if self._find(namespace, kind, controlled, profile, direct=group.direct) is not group:
            return
        if profile.cache is group:
            profile.cache = None
        else:
            del self._groups[namespace, kind, controlled, profile, group.direct]
        self.budget.give_back(namespace, kind, group.outcomes)
        profile.users -= 1
        self._let_go(profile)

    def _let_go(self, profile: Profile) -> None:
        if not profile.users:
            self.profiles.release(profile)

    def _clusterwide(self, report: Report, old: Contribution | None) -> Contribution | None:
        """Account for a report of no namespace, which may speak of resources in any."""
        if report.scope is None:
            contribution = self._scattered(report, old)
        else:
            piece, profile = self._scoped(report)
            room = self._usage.room("", old)
            contribution = self._part(report, piece, profile, KnownOwners(old), room) or ()
        if not parts(contribution) and not self._selection.namespace(""):
            return None
        return contribution

    def _scoped(self, report: Report) -> tuple[Piece, Profile]:
        """Work out what a report on one resource amounts to."""
        piece = report.pieces[0]
        current = piece.current()
        beyond = None
        if current is not piece:
            beyond = self.profiles.not_itemised(report.summary, [piece.result_set])
        profile = self.profiles.of(
            current.result_set, report.summary, report.source, not_itemised=beyond
        )
        return current, profile

    def _scattered(self, report: Report, old: Contribution | None) -> Contribution:
        """Account for a report whose results name resources.

        Its summary goes with the first of them whose results count; what the summary has beyond
        the results is of no resource that is known.
        """
        known, kept = KnownOwners(old), list[Group | ReportPart]()
        room = self._usage.room(report.metadata.namespace, old)
        summary, sets = report.summary, [piece.result_set for piece in report.pieces]
        beyond = self.profiles.not_itemised(summary, sets)
        for piece in self._fewer(report.pieces, room.named) or [Piece.of(Reference(), ())]:
            current = piece.current()
            mine = NOTHING if current.about.key else beyond
            profile = self.profiles.of(
                current.result_set, summary, report.source, not_itemised=mine
            )
            part = self._part(report, current, profile, known, room)
            if profile.allowed:
                summary = None
                beyond = beyond if mine is NOTHING else NOTHING
            if part is not None:
                kept.append(part)
        if beyond is not NOTHING and summary is None:
            nameless = Piece.of(Reference(), ())
            profile = self.profiles.of(nameless.result_set, None, not_itemised=beyond)
            part = self._part(report, nameless, profile, known, room)
            kept += [] if part is None else [part]
        return kept[0] if len(kept) == 1 else tuple(kept)

    def _fewer(self, pieces: Sequence[Piece], room: int) -> Sequence[Piece]:
        """Keep the first *room* resources, and merge the others to one without a name."""
        kept, rest = pieces[: max(room, 0)], pieces[max(room, 0) :]
        if not rest:
            return pieces
        self.budget.folded += 1
        return (*kept, _together(rest))

    def _part(
        self,
        report: Report,
        piece: Piece,
        profile: Profile,
        known: KnownOwners,
        room: Room,
    ) -> Group | ReportPart | None:
        # A report speaks only for its own namespace; a cluster report for any.
        resource = piece.about
        namespace = report.namespace or resource.namespace
        chosen = self._selection
        if chosen.own_namespace and not namespace and resource.kind == "Namespace":
            namespace = resource.name
        if not (chosen.namespace(namespace) and chosen.kind(resource.kind)):
            self._let_go(profile)
            return None
        direct = resource is report.scope and resource.uid != "" and resource.uid == report.name
        controlled, workload = known.of(resource, direct=direct)
        kind = clip(resource.kind)
        if not room.take(len(profile.failures)):
            kind, profile = OVERFLOW, self._folded(profile)
        group = self._group(clip(namespace), kind, controlled, profile, direct=direct)
        if direct and not profile.failures:
            return group
        profile = group.profile
        subject = None if direct or not resource.key else _subject(namespace, resource)
        name = OVERFLOW if profile.key.folded else clip(resource.name)
        messages = room.fitting(failing_messages(piece.result_set, profile))
        part = ReportPart(group, name, subject, messages, workload)
        stamps = piece.stamps
        part.since = tuple([int(stamps[f.position]) for f in profile.failures])
        return part

    def _group(
        self, namespace: str, kind: str, controlled: str, profile: Profile, *, direct: bool
    ) -> Group:
        namespace, kind = intern(namespace), intern(kind)
        group = self._find(namespace, kind, controlled, profile, direct=direct)
        if group is None:
            group = Group(namespace, kind, controlled, profile, direct=direct)
            if not self.budget.take(namespace, kind, group.outcomes):
                folded = self._folded(profile)
                return self._group(namespace, OVERFLOW, controlled, folded, direct=direct)
            if profile.cache is None:
                profile.cache = group
            else:
                self._groups[namespace, kind, controlled, profile, direct] = group
            profile.users += 1
        return group

    def _folded(self, profile: Profile) -> Profile:
        folded = self.profiles.folded(profile)
        self._let_go(profile)
        self.budget.folded += 1
        return folded

    def _find(
        self, namespace: str, kind: str, controlled: str, profile: Profile, *, direct: bool
    ) -> Group | None:
        """Look a group up: one of a profile is noted there, as many have no other."""
        cache = profile.cache
        if (
            isinstance(cache, Group)
            and cache.kind == kind
            and cache.namespace == namespace
            and cache.controlled == controlled
            and cache.direct == direct
        ):
            return cache
        return self._groups.get((namespace, kind, controlled, profile, direct))


def _subject(namespace: str, resource: Reference) -> Subject:
    return (namespace, clip(resource.uid or f"{resource.kind}/{resource.name}"))


def _together(pieces: Sequence[Piece]) -> Piece:
    """Merge the results of several resources into those of one without a name."""
    sets = [piece.result_set for piece in pieces]
    raw_results = tuple(raw_result for each in sets for raw_result in each.raw_results)
    messages = tuple(m for f in sets for m in f.messages or ("",) * len(f.raw_results))
    stamps = tuple(stamp for piece in pieces for stamp in piece.stamps)
    newest = max(piece.newest for piece in pieces)
    result_set = ResultSet(raw_results, messages, sets[0].cut)
    return Piece(Reference(OVERFLOW, OVERFLOW), result_set, newest, stamps)
