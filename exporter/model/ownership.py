"""Which workload an object belongs to, read from the names that Kubernetes' controllers generate.

Reports name the kind and the name of a resource, not its owner. Controllers derive the names of
what they create from their own name, so the owner can be found among the objects of a namespace:

* ReplicaSet: the Deployment's name, ``-`` and the pod-template-hash
  (pkg/controller/deployment/sync.go, ``getNewReplicaSet``), a 32-bit FNV hash in decimal whose
  digits are replaced (pkg/controller/controller_utils.go, ``ComputeHash``; apimachinery
  pkg/util/rand, ``SafeEncodeString``). Argo Rollouts uses the same form.
* Pod of a ReplicaSet, ReplicationController, DaemonSet or Job: ``generateName`` is the owner's name
  and ``-`` (controller_utils.go, ``getPodsPrefix``); the API server cuts it at 58 characters and
  adds five random ones (apiserver pkg/storage/names, ``SimpleNameGenerator``).
* Pod of an indexed Job: the Job's name, cut so that ``-INDEX-`` still fits into 58 characters, and
  five random characters (pkg/controller/job/indexed_job_utils.go, ``podGenerateNameWithIndex``).
* Pod of a StatefulSet: the set's name, ``-`` and the ordinal
  (pkg/controller/statefulset/stateful_set_utils.go, ``getPodName``).
* Job of a CronJob: the CronJob's name, ``-`` and the scheduled time in minutes since 1970
  (pkg/controller/cronjob/cronjob_controllerv2.go, ``getJobName``).

Where no owner is known, or several fit, an object is its own workload.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import Final

SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Characters of generated suffixes: apimachinery's ``alphanums``, no vowels and no 0, 1, 3."""

SUFFIX_LENGTH: Final = 5
LONGEST_PREFIX: Final = 58
"""Characters of ``generateName`` that the API server keeps: 63 less the random ones."""

_DIGITS: Final = "0123456789"
_GENERATED: Final = SUFFIX_LETTERS + _DIGITS + "-"
_LONGEST_NUMBER: Final = 10
_LARGEST_NUMBER: Final = 2**31 - 1
"""Ordinals and indices are 32-bit numbers."""
_FIRST_MINUTE: Final = 25_000_000
_LAST_MINUTE: Final = 99_999_999
"""July 2017 and the year 2160: eight digits, and not a date such as 20260131."""
_FAMILY_LENGTH: Final = 40
"""Characters of a name that are always before a cut."""


def encode_digits(number: int) -> str:
    """Write a number as apimachinery's ``SafeEncodeString`` does, whose digits keep their order."""
    return "".join(SUFFIX_LETTERS[ord(d) % len(SUFFIX_LETTERS)] for d in str(number))


_HASH_DIGITS: Final = "".join(map(encode_digits, range(10)))
_SHORTEST_HASH: Final = 6
"""Hashes below 100,000 are one in 43,000; so short a word is more often part of a name."""
_LARGEST_HASH: Final = encode_digits(2**32 - 1)

DEPLOYMENTS: Final = ("Deployment", "Rollout")
"""Kinds whose copies are ReplicaSets."""
POD_OWNERS: Final = ("ReplicaSet", "ReplicationController", "DaemonSet", "Job")
"""Kinds whose Pods get a random suffix."""

KINDS: Final = frozenset({"Pod", "StatefulSet", "CronJob", *DEPLOYMENTS, *POD_OWNERS})
"""Kinds that own others, or are owned."""

Workload = tuple[str, str]
"""Kind and name of the object at the top of a chain of owners."""

Member = tuple[str, str]
"""What the rules need of an object: its form and a text.

The form is the kind, or for a Pod how its name may have been generated: ``random``, ``cut``
(random, and the prefix fills the room that it has), ``ordinal``, or two of them. The text is the
name, of a Pod without its generated end.
"""


class OwnersByName(dict[str, tuple[str, ...]]):
    """Kinds of possible owners by name. It must not change once names were found by their start."""

    def __init__(self, names: Mapping[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(names or {})
        self._in_order: list[str] = []
        self._of_jobs: dict[str, list[Workload]] = {}

    def starting_with(self, prefix: str) -> Iterator[str]:
        """Give the names that start with *prefix*, without a look at the others."""
        names = self._in_order = self._in_order or sorted(self)
        at = bisect_left(names, prefix)
        while at < len(names) and names[at].startswith(prefix):
            yield names[at]
            at += 1

    def of_jobs(self, prefix: str) -> list[Workload]:
        """Give the tops of the Jobs whose names start with *prefix*, and are longer.

        At most two: more make no difference.
        """
        found = self._of_jobs.get(prefix)
        if found is not None:
            return found
        tops: dict[Workload, None] = {}
        for name in self.starting_with(prefix):
            if name != prefix and "Job" in self.get(name, ()):
                tops[_top(("Job", name), self)] = None
                if len(tops) > 1:
                    break
        found = self._of_jobs[prefix] = list(tops)
        return found


_RANDOM: Final = frozenset({"random", "random ordinal"})
CUT: Final = frozenset({"cut", "cut ordinal"})
"""Forms of members whose owner's name may be longer than their text."""
_ORDINAL: Final = frozenset({"ordinal", "random ordinal", "cut ordinal"})
DEPENDENT: Final = _RANDOM | CUT | _ORDINAL | {"ReplicaSet", "Job"}
"""Forms of members that may have an owner."""


def member_of(kind: str, name: str) -> Member | None:
    """Read what matters of a name; None for a Pod whose name no controller generated."""
    if kind != "Pod":
        return kind, intern(name)
    if len(name) == LONGEST_PREFIX + SUFFIX_LENGTH:
        end = name[-SUFFIX_LENGTH:]
        if not end.strip(SUFFIX_LETTERS):
            is_ordinal = end.isdigit() and name[-SUFFIX_LENGTH - 1] == "-"
            return ("cut ordinal" if is_ordinal else "cut"), name[:-SUFFIX_LENGTH]
    head, _, tail = name.rpartition("-")
    if not head:
        return None
    if len(tail) == SUFFIX_LENGTH and not tail.strip(SUFFIX_LETTERS):
        return ("random ordinal" if tail.isdigit() else "random"), intern(head)
    return ("ordinal", intern(head)) if _is_number(tail) else None


def is_probably_owned(kind: str, name: str) -> bool:
    """Guess from its name alone whether an object has an owner; True only of DEPENDENT forms."""
    if kind == "Pod":
        dash, end = name[-SUFFIX_LENGTH - 1 : -SUFFIX_LENGTH], name[-SUFFIX_LENGTH:]
        return dash == "-" and len(name) > SUFFIX_LENGTH + 1 and not end.strip(SUFFIX_LETTERS)
    return kind == "ReplicaSet"


def may_be_owned(kind: str, name: str) -> bool:
    """Whether the rules can find an owner of an object at all."""
    member = member_of(kind, name) if kind in KINDS else None
    return member is not None and member[0] in DEPENDENT


def family_of(text: str) -> str:
    """Give a key that a member shares with everything that may own it or belong to it.

    It is the text without whatever at its end may have been generated, and more.
    """
    return text[:_FAMILY_LENGTH].rstrip(_GENERATED)


def workload_of(member: Member, names: OwnersByName) -> Workload | None:
    """Find the workload that an object belongs to among *names*; None where it is its own."""
    form, text = member
    owners: list[Workload] = []
    if form in _RANDOM:
        _add_owners_of_random(text, names, owners)
    elif form in CUT:
        _add_owners_of_cut(text, names, owners)
    elif form in DEPENDENT:
        _add_parents(form, text, names, owners)
    if form in _ORDINAL:
        _add(("StatefulSet",), text.removesuffix("-"), names, owners)
    if len(owners) > 1 or (owners and owners[0][0] in _WITH_PARENTS):
        owners = list({_top(owner, names) for owner in owners})
    return owners[0] if len(owners) == 1 else None


_COPIES: Final = frozenset({"ReplicaSet", "random"})
_PLAIN: Final = {"DaemonSet": {"random"}, "StatefulSet": {"ordinal"}}


def workload_of_all(forms: Sequence[str], texts: Sequence[str]) -> Workload | None:
    """Find the workload of all dependents of a family without a look at each.

    It is what ``workload_of`` finds for each of them. *forms* and *texts* are those of its members.
    None where the family is not just one Deployment, DaemonSet or StatefulSet with its copies, as
    most are.
    """
    kinds = set(forms)
    tops = kinds & KINDS - _WITH_PARENTS
    if len(tops) != 1:
        return None
    top = tops.pop()
    kinds.remove(top)
    name = texts[forms.index(top)]
    if top not in DEPLOYMENTS:
        is_plain = kinds == _PLAIN.get(top) and len(set(texts)) == 1 == forms.count(top)
        return (top, name) if is_plain else None
    if not kinds <= _COPIES or texts.count(name) > 1:
        return None
    for text in set(texts):
        head, _, tail = text.rpartition("-")
        if text != name and (head != name or not _is_hash(tail)):
            return None
    return top, name


_WITH_PARENTS: Final = frozenset({"ReplicaSet", "Job"})


def _add_owners_of_random(text: str, names: OwnersByName, owners: list[Workload]) -> None:
    """Add the owners of a Pod whose prefix was *text* and a dash."""
    _add(POD_OWNERS, text, names, owners)
    head, _, tail = text.rpartition("-")
    _add_parents("ReplicaSet", text, names, owners)
    if _is_number(tail):
        _add_parents("Job", text, names, owners)
        _add(("Job",), head, names, owners)
        _add_parents("Job", head, names, owners)


def _add_owners_of_cut(prefix: str, names: OwnersByName, owners: list[Workload]) -> None:
    """Add the owners of a Pod whose prefix has 58 characters, and may have had more."""
    index_of = ""
    if prefix.endswith("-"):
        _add_owners_of_random(prefix[:-1], names, owners)
        head, _, tail = prefix[:-1].rpartition("-")
        index_of = head if _is_number(tail) else ""
    for name in names.starting_with(prefix):
        _add(POD_OWNERS, name, names, owners)
    if index_of:
        owners += names.of_jobs(index_of)


def _add_parents(kind: str, name: str, names: OwnersByName, owners: list[Workload]) -> None:
    """Add the owners of a ReplicaSet or a Job, whether or not it is known itself."""
    head, _, tail = name.rpartition("-")
    if kind == "ReplicaSet" and _is_hash(tail):
        _add(DEPLOYMENTS, head, names, owners)
    elif kind == "Job" and _is_minute(tail):
        _add(("CronJob",), head, names, owners)


def _top(owner: Workload, names: OwnersByName) -> Workload:
    """Follow an owner to the top; where two may own it, it is the top itself."""
    if owner[0] not in _WITH_PARENTS:
        return owner
    parents: list[Workload] = []
    _add_parents(*owner, names, parents)
    return parents[0] if len(parents) == 1 else owner


def _add(kinds: tuple[str, ...], name: str, names: OwnersByName, owners: list[Workload]) -> None:
    for kind in names.get(name, ()):
        if kind in kinds:
            owners.append((kind, name))  # noqa: PERF401 - most often there is none


def _is_number(text: str) -> bool:
    """Whether ``%d`` writes a 32-bit number of this kind."""
    if not text or text.strip(_DIGITS) or (text[0] == "0" and text != "0"):
        return False
    return len(text) <= _LONGEST_NUMBER and int(text) <= _LARGEST_NUMBER


def _is_minute(text: str) -> bool:
    return _is_number(text) and _FIRST_MINUTE <= int(text) <= _LAST_MINUTE


def _is_hash(text: str) -> bool:
    """Whether a 32-bit number is encoded so."""
    length, most = len(text), len(_LARGEST_HASH)
    if not _SHORTEST_HASH <= length <= most or text.strip(_HASH_DIGITS):
        return False
    return text[0] != _HASH_DIGITS[0] and (length < most or text <= _LARGEST_HASH)
