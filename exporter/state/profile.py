"""What a report amounts to, shared by the thousands of reports that amount to the same."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from weakref import ref

from exporter.model.report import (
    BADNESS_INDICES,
    FAILING,
    RESULT_INDEX,
    RESULTS,
    SEVERITIES,
    RawResult,
    ResultSet,
    Summary,
    clip,
    clip_all,
    engine_of,
    fold_rule,
    source_of,
    sources_like,
)
from exporter.state.selection import Selection
from exporter.state.tally import NOTHING, OVERFLOW, Counts

_FAILING: Final = tuple(RESULT_INDEX[word] for word in FAILING)
_MOST_VERDICTS: Final = 20_000


def severity_of(text: str) -> str:
    """Give a severity that Kyverno knows as it is, and "none" for any other."""
    return text if text in SEVERITIES else "none"


class Outcome(NamedTuple):
    """The labels that results are counted by, besides namespace, kind and result."""

    policy: str
    rule: str
    severity: str
    category: str
    source: str


class Verdict:
    """What one result counts as: its outcome, and the index of its word, -1 for not at all.

    ``allowed``: its source counts; ``unknown``: its word is none of the five. Compared by identity:
    ``Profiles`` shares equal ones, as far as it remembers them.
    """

    __slots__ = ("allowed", "outcome", "unknown", "word_index")

    def __init__(
        self, outcome: Outcome, word_index: int, *, allowed: bool, unknown: bool = False
    ) -> None:
        self.outcome = outcome
        self.word_index = word_index
        self.allowed = allowed
        self.unknown = unknown


class Failure(NamedTuple):
    """A failing (fail or error) result of a profile, its place, and how many such results it is."""

    position: int
    outcome: Outcome
    word: str
    times: int = 1

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same while a resource keeps failing."""
        return (self.outcome.policy, self.outcome.rule, self.outcome.source)


class Profile:
    """The outcomes of a report with their numbers, its summary and its worst result.

    ``rows`` holds what counts of each result, ``counts`` how many have each word; ``status`` is the
    index of the worst word, including what the summary counts beyond the results, -1 when nothing
    was counted. ``left_out`` counts, by reason and source, results that do not count although no
    filter of the configuration excludes them. Profiles are compared by identity: the same key gives
    the same profile for as long as a report has it. ``cache`` is room for the counter of reports.
    """

    __slots__ = (
        "__weakref__",
        "cache",
        "counts",
        "failures",
        "key",
        "left_out",
        "rows",
        "status",
        "summary",
        "users",
    )

    def __init__(self, key: "Key") -> None:
        verdicts = key.verdicts
        words = {verdict.word_index for verdict in verdicts}
        self.key = key
        self.summary = key.summary or NOTHING if key.allowed else NOTHING
        self.users = 0
        self.cache: object = None
        self.rows = verdicts
        if -1 in words:
            self.rows = tuple([verdict for verdict in verdicts if verdict.word_index >= 0])
        found = [*NOTHING]
        for verdict in self.rows:
            found[verdict.word_index] += 1
        counts: Counts = (found[0], found[1], found[2], found[3], found[4])
        self.counts = self.summary if counts == self.summary else counts
        self.left_out = _left_out(key) if -1 in words or not key.allowed else ()
        self.failures = () if words.isdisjoint(_FAILING) else _failures(verdicts, key.folded)
        beyond = key.not_itemised if verdicts else self.summary
        if beyond is not NOTHING:
            words.update([index for index, count in enumerate(beyond) if count])
        self.status = next((index for index in BADNESS_INDICES if index in words), -1)

    @property
    def allowed(self) -> bool:
        """Whether any source in it counts."""
        return self.key.allowed


LeftOut = tuple[str, str]
"""Why results do not count, "source" or "word", and their source."""


def _left_out(key: "Key") -> tuple[tuple[LeftOut, int], ...]:
    found: Counter[LeftOut] = Counter()
    if not key.verdicts:
        found["source", key.engines[0]] = sum(key.summary or NOTHING)
    for verdict in key.verdicts:
        if not verdict.allowed:
            found["source", verdict.outcome.source] += 1
        elif verdict.unknown:
            found["word", verdict.outcome.source] += 1
    return tuple(found.items())


def _failures(verdicts: Sequence[Verdict], merged: bool) -> tuple[Failure, ...]:  # noqa: FBT001
    """List what fails; *merged*, those that nothing distinguishes are one, at the first's place."""
    places = [at for at, verdict in enumerate(verdicts) if verdict.word_index in _FAILING]
    found = [Failure(at, verdicts[at].outcome, RESULTS[verdicts[at].word_index]) for at in places]
    if not merged:
        return tuple(found)
    times = Counter(each[1:3] for each in found)
    firsts = {each[1:3]: each for each in reversed(found)}
    return tuple([first._replace(times=times[key]) for key, first in firsts.items()])


class Key(NamedTuple):
    """What makes two reports amount to the same.

    ``engines`` wrote the results; it is empty where neither a result nor the report has a source.
    In a ``folded`` one results are distinguished by nothing but their severity. ``not_itemised`` is
    what the summary counts beyond the results that the report has: of a report that was cut.
    ``cut``: results were left out here, as it exceeds the limits of one report.
    """

    summary: Counts | None
    verdicts: tuple[Verdict, ...]
    allowed: bool
    engines: tuple[str, ...] = ()
    folded: bool = False
    not_itemised: Counts = NOTHING
    cut: bool = False


class CachedProfile(NamedTuple):
    """The profile of a result set in *profiles* with its last summary and source.

    ``messages`` are those of its failures, one object for all reports that have these findings.
    """

    profiles: "Profiles"
    summary: Summary | None
    source: str
    profile: "ref[Profile]"
    messages: tuple[str, ...]


def failing_messages(result_set: ResultSet, profile: Profile) -> tuple[str, ...]:
    """Give the messages of the failing results of a profile, in their order."""
    cache = result_set.cache
    if isinstance(cache, CachedProfile) and cache.profile() is profile:
        return cache.messages
    return tuple([result_set.messages[failure.position] for failure in profile.failures])


class Profiles:
    """All profiles in use, one for each key."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._known: dict[Key, Profile] = {}
        self._judged: dict[RawResult, Verdict] = {}
        self._verdicts: dict[tuple[Outcome, int, bool, bool], Verdict] = {}
        self._summaries: dict[Counts, Counts] = {}
        self._engines: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(
        self,
        result_set: ResultSet,
        summary: Summary | None,
        source: str = "",
        *,
        not_itemised: Counts | None = None,
    ) -> Profile:
        """Find the profile of these results, created when no report has it yet.

        *source* is the report's own, for results that name none; *not_itemised* is needed where
        the summary is of more than these results.
        """
        if not_itemised is not None:
            return self._with(self._key(result_set, summary, source, not_itemised))
        cache = result_set.cache
        if isinstance(cache, CachedProfile):
            profiles, known_summary, known_source, known, _ = cache
            if profiles is self and known_summary == summary and known_source == source:
                profile = known()
                if profile is not None and profile.users:
                    return profile
        not_itemised = self.not_itemised(summary, [result_set])
        profile = self._with(self._key(result_set, summary, source, not_itemised))
        messages = failing_messages(result_set, profile)
        result_set.cache = CachedProfile(self, summary, source, ref(profile), messages)
        return profile

    def not_itemised(self, summary: Summary | None, result_sets: Iterable[ResultSet]) -> Counts:
        """Count, by word, what a summary has beyond the results that are kept of a report.

        Of a report that was cut that is at least what was cut, whatever its summary claims.
        """
        sets = list(result_sets)
        counts = self._counts(summary) or NOTHING
        cut = next((each.cut for each in sets if each.cut is not None), NOTHING)
        words = [raw_result[2] for each in sets for raw_result in each.raw_results]
        chosen = self.selection.results
        left = [
            max(count - words.count(word) if count else 0, least) if word in chosen else 0
            for word, count, least in zip(RESULTS, counts, cut, strict=True)
        ]
        if not any(left):
            return NOTHING
        found: Counts = (left[0], left[1], left[2], left[3], left[4])
        return self._summaries.setdefault(found, found)

    def folded(self, profile: Profile) -> Profile:
        """Find the profile of equal numbers in which only severities are distinguished."""
        blurred = [self._blurred(verdict) for verdict in profile.key.verdicts]
        return self._with(profile.key._replace(verdicts=tuple(blurred), folded=True))

    def release(self, profile: Profile) -> None:
        """Forget a profile that nothing uses any more."""
        self._known.pop(profile.key, None)

    def _with(self, key: Key) -> Profile:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Profile(key)
        return known

    def _key(
        self, result_set: ResultSet, summary: Summary | None, source: str, not_itemised: Counts
    ) -> Key:
        known, judge = self._judged.get, self._judge
        raw_results = result_set.raw_results
        if source:
            raw_results = tuple([s if s[5] else (*s[:5], source) for s in raw_results])
        verdicts = tuple([known(s) or judge(s) for s in raw_results])
        allowed = any(verdict.allowed for verdict in verdicts)
        sources = {verdict.outcome.source for verdict in verdicts}
        if not verdicts and source:
            sources = {clip(source)}
        if not verdicts:  # no source at all is no objection
            allowed = not source or any(map(self.selection.source, sources_like(clip(source))))
        engines = tuple(sorted({engine_of(each) for each in sources}))
        if len(self._engines) >= _MOST_VERDICTS:
            self._engines.clear()
        engines = self._engines.setdefault(engines, engines)
        beyond = not_itemised if allowed else NOTHING
        cut = allowed and result_set.cut is not None
        return Key(self._counts(summary), verdicts, allowed, engines, not_itemised=beyond, cut=cut)

    def _counts(self, summary: Summary | None) -> Counts | None:
        """Give the five counts of a summary, one object for all that are equal."""
        if summary is None:
            return None
        counts = (summary.pass_, summary.fail, summary.warn, summary.error, summary.skip)
        if len(self._summaries) >= _MOST_VERDICTS:
            self._summaries.clear()
        return self._summaries.setdefault(counts, counts)

    def _judge(self, raw_result: RawResult) -> Verdict:
        """Return what a result counts as; results repeat, so each is computed once."""
        if len(self._judged) >= _MOST_VERDICTS:
            self._judged.clear()
        raw_result = clip_all(raw_result)
        policy, rule, word, severity, category, source = raw_result
        source = source_of(policy, rule, source)
        chosen = self.selection
        allowed = chosen.source(source)
        severity = severity_of(severity)
        chosen_here = chosen.policy(policy) and chosen.severity(severity)
        counts = word in chosen.results and allowed and chosen_here
        outcome = Outcome(policy, fold_rule(rule), severity, category or "none", source)
        index = RESULT_INDEX.get(word, -1) if counts else -1
        verdict = Verdict(outcome, index, allowed=allowed, unknown=word not in RESULT_INDEX)
        return self._judged.setdefault(raw_result, self._shared(verdict))

    def _blurred(self, verdict: Verdict) -> Verdict:
        outcome = Outcome(OVERFLOW, OVERFLOW, verdict.outcome.severity, OVERFLOW, OVERFLOW)
        index, allowed, unknown = verdict.word_index, verdict.allowed, verdict.unknown
        return self._shared(Verdict(outcome, index, allowed=allowed, unknown=unknown))

    def _shared(self, verdict: Verdict) -> Verdict:
        """Give the one that all equal ones share, as far as it is remembered."""
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        key = (verdict.outcome, verdict.word_index, verdict.allowed, verdict.unknown)
        return self._verdicts.setdefault(key, verdict)
