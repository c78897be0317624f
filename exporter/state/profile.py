"""What a report amounts to, shared by the thousands of reports that amount to the same."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.model.report import BADNESS, RESULTS, Result, Summary, fold_rule
from exporter.state.selection import Selection

LONGEST_LABEL: Final = 128
SEVERITIES: Final = frozenset({"critical", "high", "medium", "low", "info"})

_INDEX: Final = {word: index for index, word in enumerate(RESULTS)}
_BADNESS: Final = tuple(_INDEX[word] for word in BADNESS)
_NOTHING: Final = (0, 0, 0, 0, 0)
_spelled = attrgetter("policy", "rule", "result", "severity", "category", "source")
Spelling = tuple[str, str, str, str, str, str]


def clip(text: str) -> str:
    """Cut a label value at 128 characters."""
    return text if len(text) <= LONGEST_LABEL else text[:LONGEST_LABEL]


def severity_of(text: str) -> str:
    """Kyverno knows five severities, told apart by case; anything else is none."""
    return text if text in SEVERITIES else "none"


class Outcome(NamedTuple):
    """The labels that results are counted by, besides namespace, kind and result."""

    policy: str
    rule: str
    severity: str
    category: str
    source: str


class Failure(NamedTuple):
    """A failing (fail or error) result of a profile and where in the report it stands."""

    position: int
    outcome: Outcome
    word: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same while a resource keeps failing."""
        return (self.outcome.policy, self.outcome.rule, self.outcome.source)


class Profile:
    """The outcomes of a report with their numbers, its summary and its worst result.

    ``rows`` holds (labels, index of the result word, how often); ``status`` is the index of the
    worst word, -1 when nothing was counted; ``allowed`` says whether any source in it counts.
    Profiles are compared by identity: the same key gives
    the same profile for as long as a report has it.
    """

    __slots__ = ("allowed", "failures", "key", "rows", "status", "summary", "users")

    def __init__(self, key: "Key", results: Sequence[Spelling], *, allowed: bool) -> None:
        self.key = key
        self.allowed = allowed
        self.summary = key.summary if allowed else _NOTHING
        self.users = 0
        counted: dict[tuple[Outcome, int], int] = {}
        failures: list[Failure] = []
        for position, spelling in enumerate(results):
            outcome, index = _outcome(spelling), _INDEX.get(spelling[2], -1)
            if index < 0:
                continue
            counted[outcome, index] = counted.get((outcome, index), 0) + 1
            if spelling[2] in ("fail", "error"):
                failures.append(Failure(position, outcome, spelling[2]))
        self.rows = tuple((outcome, index, times) for (outcome, index), times in counted.items())
        self.failures = tuple(failures)
        words = {index for _, index, _ in self.rows}
        if not results:
            words = {index for index, count in enumerate(self.summary) if count}
        self.status = next((index for index in _BADNESS if index in words), -1)


class Key(NamedTuple):
    """What makes two reports amount to the same, as the wire spells it."""

    summary: tuple[int, ...]
    results: tuple[Spelling, ...]
    source: str


def _outcome(spelling: Spelling) -> Outcome:
    policy, rule, _, severity, category, source = spelling
    return Outcome(policy, fold_rule(rule), severity_of(severity), category or "none", source)


class Profiles:
    """All profiles in use, one for each key."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._known: dict[Key, Profile] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, results: Iterable[Result], summary: Summary | None, source: str = "") -> Profile:
        """Find the profile of these results, made anew when no report has it yet.

        *source* is the report's own, for results that name none.
        """
        spelled = tuple(map(_spelled, results))
        key = Key(_counts(summary), spelled, source)
        return self._known.get(key) or self._make(key)

    def release(self, profile: Profile) -> None:
        """Forget a profile that nothing uses any more."""
        self._known.pop(profile.key, None)

    def _make(self, raw: Key) -> Profile:
        key = Key(raw.summary, tuple(map(_clip_all, raw.results)), clip(raw.source))
        known = self._known.get(key)
        if known is None:
            known = Profile(key, tuple(self._counted(key)), allowed=self._allowed(key))
            self._known[key] = known
        return known

    def _allowed(self, key: Key) -> bool:
        """Say whether any source that speaks in the report counts; none at all is no objection."""
        sources = {spelling[5] or key.source for spelling in key.results} or {key.source}
        if sources == {""} and not key.results:
            return True
        return any(map(self.selection.source, sources))

    def _counted(self, key: Key) -> Iterator[Spelling]:
        """Give the results in their places; what does not count has no result word."""
        for policy, rule, word, severity, category, source in key.results:
            source = source or key.source  # noqa: PLW2901 - the report speaks for its results
            counts = (
                word in self.selection.results
                and self.selection.source(source)
                and self.selection.policy(policy)
            )
            yield (policy, rule, word if counts else "", severity, category, source)


def _clip_all(spelling: Spelling) -> Spelling:
    if max(map(len, spelling)) <= LONGEST_LABEL:
        return spelling
    policy, rule, word, severity, category, source = map(clip, spelling)
    return (policy, rule, word, severity, category, source)


def _counts(summary: Summary | None) -> tuple[int, ...]:
    if summary is None:
        return _NOTHING
    return (summary.pass_, summary.fail, summary.warn, summary.error, summary.skip)
