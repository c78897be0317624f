"""Which results count: allow-list of sources, filters by glob, which of the five words."""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Final
from zlib import crc32

import msgspec

from exporter.model.report import RESULTS

KYVERNO_SOURCES: Final = (
    "kyverno",
    "Kyverno*",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
)


_LONGEST_NAME: Final = 512


class Globs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names chosen by glob patterns, case-sensitive; exclude wins."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def matcher(self) -> "Matcher":
        """Compile the patterns."""
        return Matcher(self)


class Matcher:
    """Compiled globs."""

    def __init__(self, globs: Globs) -> None:
        self._include = _compile(globs.include)
        self._exclude = _compile(globs.exclude)
        self._all = "*" in globs.include and not globs.exclude

    def __call__(self, name: str) -> bool:
        """Return whether *name* is chosen."""
        if self._all:
            return True
        return bool(self._include.match(name)) and not self._exclude.match(name)


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts, by namespace, policy, kind of the resource and severity of the result.

    Without ``controlled``, objects that another reported object owns have no series; they count in
    all that needs them.
    """

    namespaces: Globs = Globs()
    policies: Globs = Globs()
    kinds: Globs = Globs()
    severities: Globs = Globs()
    controlled: bool = True


class Selection:
    """The filters of the configuration, compiled, and the shard of the namespaces.

    *shard* is (I, N): of N processes this one takes the namespaces whose CRC-32 modulo N is I,
    so that all series of a namespace live in one process and Prometheus adds processes up.
    *own_namespace* counts results of cluster reports about a Namespace in that namespace.
    """

    def __init__(
        self,
        filters: Filters | None = None,
        sources: tuple[str, ...] = KYVERNO_SOURCES,
        results: tuple[str, ...] = RESULTS,
        shard: tuple[int, int] = (0, 1),
        *,
        own_namespace: bool = False,
    ) -> None:
        filters = filters or Filters()
        chosen, (index, total) = filters.namespaces.matcher(), shard
        self.namespace = remembered(lambda n: crc32(n.encode()) % total == index and chosen(n))
        self.policy = remembered(filters.policies.matcher())
        self.kind = remembered(filters.kinds.matcher())
        self.severity = remembered(filters.severities.matcher())
        self.source = remembered(Globs(sources).matcher())
        self.results = frozenset(results)
        self.own_namespace = own_namespace


def remembered(decide: Callable[[str], bool], most: int = 10_000) -> Callable[[str], bool]:
    """Decide once for each name; at most about *most* answers are kept, none for long names."""
    answers: dict[str, bool] = {}

    def answer(name: str) -> bool:
        known = answers.get(name)
        if known is None:
            if len(name) > _LONGEST_NAME:
                return decide(name)
            if len(answers) >= most:
                answers.clear()
            known = answers[name] = decide(name)
        return known

    return answer
