"""Which results count: allow-list of sources, filters by glob, which of the five words."""

import re
from fnmatch import translate
from typing import Final

import msgspec

from exporter.model.report import RESULTS

KYVERNO_SOURCES: Final = (
    "kyverno",
    "Kyverno*",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
)


class Globs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names chosen by glob patterns, upper and lower case told apart; exclude wins."""

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
        """Say whether *name* is chosen."""
        if self._all:
            return True
        return bool(self._include.match(name)) and not self._exclude.match(name)


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts, by namespace, policy and kind of the resource."""

    namespaces: Globs = Globs()
    policies: Globs = Globs()
    kinds: Globs = Globs()


class Selection:
    """The filters of the configuration, compiled."""

    def __init__(
        self,
        filters: Filters | None = None,
        sources: tuple[str, ...] = KYVERNO_SOURCES,
        results: tuple[str, ...] = RESULTS,
    ) -> None:
        filters = filters or Filters()
        self.namespace = filters.namespaces.matcher()
        self.policy = filters.policies.matcher()
        self.kind = filters.kinds.matcher()
        self.source = Globs(sources).matcher()
        self.results = frozenset(results)
