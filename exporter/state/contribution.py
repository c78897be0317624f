"""What one report puts into the totals."""

from collections.abc import Sequence
from sys import intern

from exporter.model.report import Piece, Reference, Report, ResultSet, clip
from exporter.state.budget import MAX_NAMED_PER_NAMESPACE, Budget, OutcomeSet
from exporter.state.profile import Failure, Profile, Profiles, failing_messages
from exporter.state.selection import Selection
from exporter.state.tally import NOTHING, OVERFLOW

Subject = tuple[str, str]
"""A resource, by namespace and uid (or kind/name where no uid is told)."""


class Group:
    """Resources of one kind in one namespace that have the same profile, and how many.

    ``settled`` is how many of them the totals already show, ``cells`` room for where they do.
    ``direct`` says that each report is named after its resource's uid, so that no other report
    speaks of the same resource.
    """

    __slots__ = ("cells", "count", "direct", "kind", "namespace", "profile", "settled")

    def __init__(self, namespace: str, kind: str, profile: Profile, *, direct: bool) -> None:
        self.namespace = namespace
        self.kind = kind
        self.profile = profile
        self.direct = direct
        self.count = 0
        self.settled = 0
        self.cells: Sequence[int] = ()

    @property
    def said(self) -> OutcomeSet:
        """What the budget of the namespace is charged with; nothing where all is folded."""
        if self.profile.key.folded:
            return frozenset()
        return {None, *[row.outcome for row in self.profile.rows]}


class ReportPart:
    """The part of a report that is about one resource, where a group alone does not say it all.

    ``since`` (Unix seconds) and ``messages`` stand in the order of the profile's failures.
    ``subject`` is None when the group is direct.
    """

    __slots__ = ("group", "messages", "name", "since", "subject")

    def __init__(
        self, group: Group, name: str, subject: Subject | None, messages: tuple[str, ...]
    ) -> None:
        self.group = group
        self.name = name
        self.subject = subject
        self.messages = messages
        self.since: tuple[int, ...] = ()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failing results."""
        return self.group.profile.failures

    def says(self, about: Reference, profile: Profile) -> bool:
        """Whether a report named after its resource, *about*, would be this part again."""
        group = self.group
        same = group.direct and group.profile is profile
        return same and self.name == about.name and group.kind == about.kind


Contribution = Group | ReportPart | tuple["Group | ReportPart", ...]


def parts(contribution: Contribution | None) -> tuple[Group | ReportPart, ...]:
    """Look at any contribution as a tuple of its parts."""
    if contribution is None:
        return ()
    return contribution if isinstance(contribution, tuple) else (contribution,)


def direct_group(contribution: Contribution) -> Group | None:
    """Give the group of a contribution if its report is named after the only resource in it."""
    if isinstance(contribution, Group):
        return contribution
    if isinstance(contribution, ReportPart) and contribution.group.direct:
        return contribution.group
    return None


def group_of(part: Group | ReportPart) -> Group:
    """Give the group that a part of a contribution counts in."""
    return part.group if isinstance(part, ReportPart) else part


def of_one_engine(one: Contribution, other: Contribution) -> bool:
    """Say whether two reports of one namespace and name are the same report in two API groups.

    Kyverno and Kubewarden both name a report after its resource's uid: theirs are two reports.
    What has neither results nor a source is taken for the same one.
    """
    engines, others = _engines(one), _engines(other)
    if engines is None or others is None:
        return False
    return not engines or not others or not engines.isdisjoint(others)


def _engines(contribution: Contribution) -> set[str] | None:
    """Name the engines that wrote a report; None where the filters leave nothing of it."""
    found = [group_of(part).profile.key.engines for part in parts(contribution)]
    return {engine for engines in found for engine in engines} if found else None


class Accountant:
    """Turns reports into contributions; keeps the groups in use, one for each distinct one."""

    def __init__(self, selection: Selection) -> None:
        self.profiles = Profiles(selection)
        self.budget = Budget()
        self._selection = selection
        self._groups: dict[tuple[str, str, Profile, bool], Group] = {}

    def account(
        self, report: Report, room: int = MAX_NAMED_PER_NAMESPACE, held: Contribution | None = None
    ) -> Contribution | None:
        """Work out what a report contributes; None when it is filtered out whole.

        Of the resources that its results name, at most *room* are told apart. *held* is what it
        contributed before: most often it is the same again.

        ``since`` of each part holds what the results' own timestamps say; whoever knows since
        when they were seen to fail corrects it.
        """
        metadata, scope = report.metadata, report.scope
        if not metadata.namespace:
            return self._clusterwide(report, room)
        if held is None and not self._selection.namespace(metadata.namespace):
            return None
        if scope is None:
            return self._scattered(report, room)
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
                group = self._find(metadata.namespace, scope.kind, profile, direct=True)
            if group is not None:
                return group
        elif isinstance(held, ReportPart) and held.says(scope, profile):
            held.messages = failing_messages(piece.result_set, profile)
            return held
        return self._part(report, piece, profile) or ()

    def release(self, group: Group) -> None:
        """Forget a group that no report is in any more."""
        namespace, kind, profile = group.namespace, group.kind, group.profile
        if self._find(namespace, kind, profile, direct=group.direct) is not group:
            return
        if profile.cache is group:
            profile.cache = None
        else:
            del self._groups[namespace, kind, profile, group.direct]
        self.budget.give_back(namespace, kind, group.said)
        profile.users -= 1
        self._let_go(profile)

    def _let_go(self, profile: Profile) -> None:
        if not profile.users:
            self.profiles.release(profile)

    def _clusterwide(self, report: Report, room: int) -> Contribution | None:
        """Account for a report of no namespace, which may speak of resources in any."""
        if report.scope is None:
            contribution = self._scattered(report, room)
        else:
            piece, profile = self._scoped(report)
            contribution = self._part(report, piece, profile) or ()
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

    def _scattered(self, report: Report, room: int) -> Contribution:
        """Account for a report whose results name resources.

        Its summary goes with the first of them whose results count; what the summary has beyond
        the results is of no resource that is known.
        """
        kept: list[Group | ReportPart] = []
        summary, sets = report.summary, [piece.result_set for piece in report.pieces]
        beyond = self.profiles.not_itemised(summary, sets)
        for piece in self._fewer(report.pieces, room) or [Piece.of(Reference(), ())]:
            current = piece.current()
            mine = NOTHING if current.about.key else beyond
            profile = self.profiles.of(
                current.result_set, summary, report.source, not_itemised=mine
            )
            part = self._part(report, current, profile)
            if profile.allowed:
                summary = None
                beyond = beyond if mine is NOTHING else NOTHING
            if part is not None:
                kept.append(part)
        if beyond is not NOTHING and summary is None:
            nameless = Piece.of(Reference(), ())
            profile = self.profiles.of(nameless.result_set, None, not_itemised=beyond)
            part = self._part(report, nameless, profile)
            kept += [] if part is None else [part]
        return kept[0] if len(kept) == 1 else tuple(kept)

    def _fewer(self, pieces: Sequence[Piece], room: int) -> Sequence[Piece]:
        """Tell the first *room* resources apart, and take the others for one without a name."""
        kept, rest = pieces[: max(room, 0)], pieces[max(room, 0) :]
        if not rest:
            return pieces
        self.budget.folded += 1
        return (*kept, _together(rest))

    def _part(self, report: Report, piece: Piece, profile: Profile) -> Group | ReportPart | None:
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
        group = self._group(clip(namespace), clip(resource.kind), profile, direct=direct)
        if direct and not profile.failures:
            return group
        profile = group.profile
        subject = None if direct or not resource.key else _subject(namespace, resource)
        name = OVERFLOW if profile.key.folded else clip(resource.name)
        part = ReportPart(group, name, subject, failing_messages(piece.result_set, profile))
        stamps = piece.stamps
        part.since = tuple([int(stamps[f.position]) for f in profile.failures])
        return part

    def _group(self, namespace: str, kind: str, profile: Profile, *, direct: bool) -> Group:
        namespace, kind = intern(namespace), intern(kind)
        group = self._find(namespace, kind, profile, direct=direct)
        if group is None:
            group = Group(namespace, kind, profile, direct=direct)
            if not self.budget.take(namespace, kind, group.said):
                folded = self.profiles.folded(profile)
                self._let_go(profile)
                return self._group(namespace, OVERFLOW, folded, direct=direct)
            if profile.cache is None:
                profile.cache = group
            else:
                self._groups[namespace, kind, profile, direct] = group
            profile.users += 1
        return group

    def _find(self, namespace: str, kind: str, profile: Profile, *, direct: bool) -> Group | None:
        """Look a group up: one of a profile is noted there, as many have no other."""
        cache = profile.cache
        if (
            isinstance(cache, Group)
            and cache.kind == kind
            and cache.namespace == namespace
            and cache.direct == direct
        ):
            return cache
        return self._groups.get((namespace, kind, profile, direct))


def _subject(namespace: str, resource: Reference) -> Subject:
    return (namespace, resource.uid or f"{resource.kind}/{resource.name}")


def _together(pieces: Sequence[Piece]) -> Piece:
    """Take what is said of several resources as said of one without a name."""
    said = [piece.result_set for piece in pieces]
    raw_results = tuple(raw_result for each in said for raw_result in each.raw_results)
    messages = tuple(m for f in said for m in f.messages or ("",) * len(f.raw_results))
    stamps = tuple(stamp for piece in pieces for stamp in piece.stamps)
    newest = max(piece.newest for piece in pieces)
    return Piece(Reference(OVERFLOW, OVERFLOW), ResultSet(raw_results, messages), newest, stamps)
