"""What a report amounts to, shared by the thousands of reports that amount to the same."""

from collections.abc import Sequence
from operator import is_
from typing import Final, NamedTuple
from weakref import ref

from exporter.model.report import (
    BADNESS,
    FAILING,
    RESULTS,
    Findings,
    Spelling,
    Summary,
    clip,
    clip_all,
    fold_rule,
)
from exporter.state.selection import Selection
from exporter.state.tally import OVERFLOW

SEVERITIES: Final = frozenset({"critical", "high", "medium", "low", "info"})

_INDEX: Final = {word: index for index, word in enumerate(RESULTS)}
_BADNESS: Final = tuple(_INDEX[word] for word in BADNESS)
_FAILING: Final = tuple(_INDEX[word] for word in FAILING)
_MOST_VERDICTS: Final = 20_000
Counts = tuple[int, int, int, int, int]
_NOTHING: Final[Counts] = (0, 0, 0, 0, 0)


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


_FOLDED: Final[dict[tuple[str, int], Spelling]] = {
    (severity, index): (OVERFLOW, OVERFLOW, str(index), severity, OVERFLOW, OVERFLOW)
    for severity in ("none", *SEVERITIES)
    for index in range(-1, len(RESULTS))
}
"""How a key spells a result of which nothing but severity and word is told."""


class Verdict:
    """What one result counts as: its outcome, and the index of its word, -1 for not at all.

    Compared by identity: equal ones are one object, as far as whoever judges remembers it.
    """

    __slots__ = ("outcome", "word_index")

    def __init__(self, outcome: Outcome, word_index: int) -> None:
        self.outcome = outcome
        self.word_index = word_index


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

    ``rows`` holds what counts of each result; ``status`` is the index of the worst word, -1 when
    nothing was counted; ``allowed`` says whether any source in it counts. Profiles are compared
    by identity: the same key gives the same profile for as long as a report has it.
    """

    __slots__ = (
        "__weakref__",
        "allowed",
        "failures",
        "key",
        "rows",
        "status",
        "summary",
        "users",
    )

    def __init__(self, key: "Key", verdicts: Sequence[Verdict], *, allowed: bool) -> None:
        self.key = key
        self.allowed = allowed
        self.summary = key.summary or _NOTHING if allowed else _NOTHING
        self.users = 0
        self.rows = tuple(verdict for verdict in verdicts if verdict.word_index >= 0)
        self.failures = tuple(
            Failure(position, verdict.outcome, RESULTS[verdict.word_index])
            for position, verdict in enumerate(verdicts)
            if verdict.word_index in _FAILING
        )
        words = {row.word_index for row in self.rows}
        if not verdicts:
            words = {index for index, count in enumerate(self.summary) if count}
        self.status = next((index for index in _BADNESS if index in words), -1)


class Key(NamedTuple):
    """What makes two reports amount to the same, as the wire spells it."""

    summary: Counts | None
    results: tuple[Spelling, ...]
    source: str
    folded: bool = False


class Found(NamedTuple):
    """The profile that findings had last among *profiles*, beside a summary and a source."""

    profiles: "Profiles"
    summary: Summary | None
    source: str
    profile: "ref[Profile]"


class Profiles:
    """All profiles in use, one for each key."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._known: dict[Key, Profile] = {}
        self._verdicts: dict[Spelling, Verdict] = {}
        self._spellings: dict[Spelling, Spelling] = {}
        self._summaries: dict[Counts, Counts] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, findings: Findings, summary: Summary | None, source: str = "") -> Profile:
        """Find the profile of these findings, made anew when no report has it yet.

        *source* is the report's own, for results that name none.
        """
        noted = findings.noted
        if (
            isinstance(noted, Found)
            and noted.profiles is self
            and noted.summary == summary
            and noted.source == source
        ):
            profile = noted.profile()
            if profile is not None and profile.users:
                return profile
        profile = self._make(Key(self._counts(summary), findings.spellings, source))
        findings.noted = Found(self, summary, source, ref(profile))
        return profile

    def folded(self, profile: Profile) -> Profile:
        """Find the profile of equal numbers that tells nothing apart but severities."""
        verdicts = [self._judge(each, profile.key.source) for each in profile.key.results]
        spelled = tuple(_FOLDED[v.outcome.severity, v.word_index] for v in verdicts)
        key = Key(profile.key.summary, spelled, str(profile.allowed), folded=True)
        known = self._known.get(key)
        if known is None:
            blurred = [Verdict(_blur(v.outcome), v.word_index) for v in verdicts]
            known = self._known[key] = Profile(key, blurred, allowed=profile.allowed)
        return known

    def release(self, profile: Profile) -> None:
        """Forget a profile that nothing uses any more."""
        self._known.pop(profile.key, None)

    def _make(self, raw: Key) -> Profile:
        known = self._known.get(raw)
        if known is not None:
            return known
        known_spelling = self._spellings.get
        shared = tuple([known_spelling(s) or self._share(s) for s in raw.results])
        if all(map(is_, shared, raw.results)):
            shared = raw.results  # the findings have it already
        key = Key(raw.summary, shared, clip(raw.source))
        known = self._known.get(key)
        if known is None:
            verdicts = [self._judge(spelling, key.source) for spelling in key.results]
            known = Profile(key, verdicts, allowed=self._allowed(key))
            self._known[key] = known
        return known

    def _share(self, spelling: Spelling) -> Spelling:
        """Give the one spelling that all equal ones share."""
        if len(self._spellings) >= _MOST_VERDICTS:
            self._spellings.clear()
        spelling = clip_all(spelling)
        return self._spellings.setdefault(spelling, spelling)

    def _counts(self, summary: Summary | None) -> Counts | None:
        """Give the five counts of a summary, one object for all that are equal."""
        if summary is None:
            return None
        counts = (summary.pass_, summary.fail, summary.warn, summary.error, summary.skip)
        if len(self._summaries) >= _MOST_VERDICTS:
            self._summaries.clear()
        return self._summaries.setdefault(counts, counts)

    def _allowed(self, key: Key) -> bool:
        """Say whether any source that speaks in the report counts; none at all is no objection."""
        sources = {spelling[5] or key.source for spelling in key.results} or {key.source}
        if sources == {""} and not key.results:
            return True
        return any(map(self.selection.source, sources))

    def _judge(self, spelling: Spelling, source: str) -> Verdict:
        """Say what a result counts as; results repeat, so each is worked out once."""
        policy, rule, word, severity, category, own = spelling
        key = spelling if own else (policy, rule, word, severity, category, source)
        known = self._verdicts.get(key)
        if known is None:
            if len(self._verdicts) >= _MOST_VERDICTS:
                self._verdicts.clear()
            known = self._verdicts[key] = self._verdict(*key)
        return known

    def _verdict(self, *spelling: str) -> Verdict:
        policy, rule, word, severity, category, source = map(clip, spelling)
        chosen = self.selection
        counts = word in chosen.results and chosen.source(source) and chosen.policy(policy)
        outcome = Outcome(
            policy, fold_rule(rule), severity_of(severity), category or "none", source
        )
        return Verdict(outcome, _INDEX.get(word, -1) if counts else -1)


def _blur(outcome: Outcome) -> Outcome:
    return Outcome(OVERFLOW, OVERFLOW, outcome.severity, OVERFLOW, OVERFLOW)
