"""What one report puts into the totals: groups and parts."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from exporter.model.ownership import Member, Workload, is_probably_owned, may_be_owned
from exporter.model.report import Reference
from exporter.state.profile import Failure, Outcome, Profile

OutcomeSet = AbstractSet[Outcome | None]
"""The distinct outcomes of one kind; None is the kind itself."""

Subject = tuple[str, str]
"""A resource, by namespace and uid (or kind/name where the uid is not known)."""

CONTROLLED: Final = "true"
UNCONTROLLED: Final = "false"
"""Values of the label ``controlled``: whether another reported object owns a resource."""


class Group:
    """Resources of one kind in one namespace that have the same profile, and how many.

    ``controlled`` is CONTROLLED where another reported object owns them.

    ``settled`` is how many of them the totals already show, ``cells`` room for where they do.
    ``direct``: each report is named after its resource's uid, so usually no other report is about
    the same resource.
    """

    __slots__ = (
        "cells",
        "controlled",
        "count",
        "direct",
        "kind",
        "namespace",
        "profile",
        "settled",
    )

    def __init__(
        self, namespace: str, kind: str, controlled: str, profile: Profile, *, direct: bool
    ) -> None:
        self.namespace = namespace
        self.kind = kind
        self.controlled = controlled
        self.profile = profile
        self.direct = direct
        self.count = 0
        self.settled = 0
        self.cells: Sequence[int] = ()

    @property
    def outcomes(self) -> OutcomeSet:
        """What the budget of the namespace is charged with; nothing where all is folded."""
        if self.profile.key.folded:
            return frozenset()
        return {None, *[row.outcome for row in self.profile.rows]}


class ReportPart:
    """The part of a report that is about one resource, where a group alone does not describe it.

    ``since`` (Unix seconds) and ``messages`` are in the order of the profile's failures.
    ``subject`` is None when the group is direct, ``workload`` where the resource is its own, or,
    if the group is controlled, where the ledger has not settled yet whose it is.
    """

    __slots__ = ("group", "messages", "name", "since", "subject", "workload")

    def __init__(
        self,
        group: Group,
        name: str,
        subject: Subject | None,
        messages: tuple[str, ...],
        workload: Workload | None = None,
    ) -> None:
        self.group = group
        self.workload = workload
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

    @property
    def top(self) -> Workload:
        """The workload that the resource belongs to, itself where no other is known."""
        return self.workload or (self.group.kind, self.name)

    def of(self, group: Group, workload: Workload | None) -> "ReportPart":
        """Copy it for another group and workload."""
        part = ReportPart(group, self.name, self.subject, self.messages, workload)
        part.since = self.since
        return part


BY_UID: Final = "uid"
"""The form of a member that is known by its uid, which is the text."""


class Owned(NamedTuple):
    """A resource, and the workload that it belongs to, None for its own.

    ``direct``: it is the only resource of a report that is named after it,
    ``is_reported`` that a report is about an owner of it.
    """

    namespace: str
    member: Member
    workload: Workload | None
    direct: bool
    is_reported: bool = True

    @property
    def controlled(self) -> str:
        """The value of the label ``controlled``."""
        return UNCONTROLLED if self.workload is None or not self.is_reported else CONTROLLED


Contribution = Group | ReportPart | tuple["Group | ReportPart", ...]


def parts(contribution: Contribution | None) -> tuple[Group | ReportPart, ...]:
    """Return any contribution as a tuple of its parts."""
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
    """Return whether two reports of one namespace and name are the same report in two API groups.

    Kyverno and Kubewarden both name a report after its resource's uid: theirs are two reports.
    Two that have neither results nor a source are one, but not the same as one that has.
    """
    engines, others = _engines(one), _engines(other)
    if engines is None or others is None:
        return False
    return engines == others or not engines.isdisjoint(others)


def _engines(contribution: Contribution) -> set[str] | None:
    """Name the engines that wrote a report; None where the filters leave nothing of it."""
    found = [group_of(part).profile.key.engines for part in parts(contribution)]
    return {engine for engines in found for engine in engines} if found else None


def are_alike(old: Contribution | None, new: Contribution | None) -> bool:
    """Whether nothing but messages and timestamps changed."""
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(map(are_alike, old, new))
    if not (isinstance(old, ReportPart) and isinstance(new, ReportPart)):
        return old is new
    return old.group is new.group and old.name == new.name and old.subject == new.subject


def has_failures(contribution: Contribution | None) -> bool:
    """Whether a contribution has failing results."""
    return any(isinstance(p, ReportPart) and p.failures for p in parts(contribution))


def controlled_in(old: Contribution) -> str:
    """Whether the only resource of a report was owned."""
    group = direct_group(old)
    return UNCONTROLLED if group is None else group.controlled


def expected(resource: Reference) -> str:
    """Guess whether the resource of a new report is owned; that is resolved before it is shown."""
    return CONTROLLED if is_probably_owned(resource.kind, resource.name) else UNCONTROLLED


class KnownOwners:
    """Whose the resources of a report were when it was accounted for before: *old*."""

    def __init__(self, old: Contribution | None) -> None:
        self._old = old
        self._workloads: dict[tuple[str, str], tuple[str, Workload]] = {}
        for part in parts(old):
            if isinstance(part, ReportPart) and part.workload is not None:
                found = part.group.controlled, part.workload
                self._workloads.setdefault((part.group.kind, part.name), found)

    def of(self, resource: Reference, *, direct: bool) -> tuple[str, Workload | None]:
        """Give a resource's value of ``controlled``, and its workload where that is known."""
        old = self._old
        if direct and not old:
            return expected(resource), None
        if direct and old is not None and (group := direct_group(old)) is not None:
            workload = old.workload if isinstance(old, ReportPart) else None
            if workload is None and not may_be_owned(resource.kind, resource.name):
                return UNCONTROLLED, None  # another name than before: the index will not find it
            return group.controlled, workload
        return self._workloads.get((resource.kind, resource.name)) or (UNCONTROLLED, None)
