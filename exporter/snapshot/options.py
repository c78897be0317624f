"""What a snapshot is asked for, and which of that makes no sense together."""

import sys
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from exporter.errors import ConfigError
from exporter.model.report import RESULTS
from exporter.settings.file import ConfigFile, LabelSettings, ReportSettings
from exporter.settings.flags import Flags
from exporter.state.selection import Filters, Globs
from exporter.view.values import DEFAULT_COUNT, SEVERITIES

FORMS: Final = (
    *("table", "json", "junit", "sarif", "markdown", "github", "csv", "html"),
    *("prometheus", "openmetrics"),
)
REPORT_FORMS: Final = ("junit", "sarif", "markdown", "github", "csv", "html")
"""Forms that can show that nothing was read; the others are numbers, or print the error."""
METRIC_FORMS: Final = ("prometheus", "openmetrics")
NEW: Final = "new"
"""What ``--fail-on`` takes in addition to words of results: failing now, not in the baseline."""
DIFF: Final = "diff"
DEFAULT_LIMIT: Final = 25
OWNER_LABEL: Final = "team"
"""What ``--if-enforced`` reads of namespaces where the configuration names no label."""


class Output(NamedTuple):
    """One form to write, and the file to write it to; "" is standard output."""

    form: str
    path: str = ""


class SnapshotOptions(NamedTuple):
    """What the command line asks for.

    *fail_on* is a result word or "new" and the least severity, *counting* one of COUNT_CHOICES.
    *limit* bounds the rows of lists for people, None is all. *group_by* is workload or none, empty
    for the default: workload where people read it. *team* is LABEL=VALUE. *filters* are those of
    the configuration file, before flags narrow them. *diffed* are the two snapshots of
    ``snapshot diff``.
    """

    files: tuple[str, ...]
    outputs: tuple[Output, ...]
    fail_on: tuple[str, str] | None
    policies: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    watch: bool = False
    namespaces: tuple[str, ...] = ()
    counting: str = DEFAULT_COUNT
    allow_empty: bool = False
    team: str = ""
    group_by: str = ""
    limit: int | None = DEFAULT_LIMIT
    baseline: str = ""
    if_enforced: tuple[str, ...] = ()
    diffed: tuple[str, str] | None = None
    filters: Filters = Filters()

    @property
    def forms(self) -> frozenset[str]:
        """The forms that are written."""
        return frozenset(each.form for each in self.outputs)

    def is_grouped(self, form: str) -> bool:
        """Whether a form lists a row for a workload instead of one for each of its objects."""
        if self.group_by:
            return self.group_by == "workload"
        return form in ("markdown", "html") or sys.stdout.isatty()


def read_options(given: Mapping[str, object]) -> SnapshotOptions:
    """Read the command line.

    Raises:
        ConfigError: a word in it is none of those that it takes, or two flags contradict.
    """

    def many(name: str, expected: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = given.get(name)
        words = tuple(map(str, value)) if isinstance(value, list) else ()
        for word in words if expected else ():
            if word not in expected:
                raise ConfigError(f"--{name} {word}: expected one of {', '.join(expected)}")
        return words

    def one(name: str) -> str:
        return str(given.get(name) or "")

    text = given.get("fail-on")
    ask = SnapshotOptions(
        files=many("files"),
        outputs=tuple(map(_output, many("output"))),
        fail_on=None if text is None else _fail_on(str(text)),
        policies=many("policy"),
        kinds=many("kind"),
        severities=many("severity", SEVERITIES),
        results=many("result", RESULTS),
        watch=bool(given.get("watch")),
        namespaces=many("namespace"),
        counting=str(given["count"]),
        allow_empty=bool(given.get("allow_empty")),
        team=_team(one("team")),
        group_by=one("group-by"),
        limit=None if given.get("all") else _limit(one("limit")),
        baseline=one("baseline"),
        if_enforced=many("if-enforced"),
    )
    ask = _diff(ask)
    for this, other in (*_contradictions(ask), *_diff_contradictions(ask)):
        verb = "" if other.startswith("needs ") else "cannot be combined with "
        raise ConfigError(f"{this} {verb}{other}")
    if given.get("all_namespaces") and ask.namespaces:
        raise ConfigError("--all-namespaces cannot be combined with --namespace")
    return ask


def _output(text: str) -> Output:
    form, equals, path = text.partition("=")
    if form not in FORMS or (equals and not path):
        raise ConfigError(
            f"--output {text}: expected one of {', '.join(FORMS)}, with or without "
            "a file, as in junit=report.xml"
        )
    return Output(form, path)


def _fail_on(text: str) -> tuple[str, str]:
    word, colon, severity = text.partition(":")
    if word not in ("fail", "error", "warn", NEW) or (colon and severity not in SEVERITIES):
        raise ConfigError(
            f"--fail-on {text}: expected fail, error, warn or new, with or without a minimum "
            f"severity, as in fail:high; severities are {', '.join(SEVERITIES)}"
        )
    return word, severity or SEVERITIES[-1]


def _team(text: str) -> str:
    label, _, value = text.partition("=")
    if text and not (label and value):
        raise ConfigError(
            f"--team {text}: expected a label of namespaces and its value, as in team=payments"
        )
    return text


def _limit(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ConfigError(f"--limit {text}: expected a number of rows, at least 1; --all shows all")
    return int(text)


def _diff(ask: SnapshotOptions) -> SnapshotOptions:
    """Take the words of ``snapshot diff OLD NEW`` for what they are."""
    if ask.files[:1] != (DIFF,):
        return ask
    if len(ask.files) != 3:
        raise ConfigError("snapshot diff: expected two files that --output json wrote, OLD and NEW")
    return ask._replace(files=(), diffed=ask.files[1:3])


def _contradictions(ask: SnapshotOptions) -> Iterator[tuple[str, str]]:
    new = ask.fail_on is not None and ask.fail_on[0] == NEW
    printed = [each for each in ask.outputs if not each.path]
    pairs = (
        (ask.watch and ask.fail_on, "--fail-on", "--watch, which never ends"),
        (ask.watch and "-" in ask.files, "- (standard input)", "--watch, which reads again"),
        (ask.watch and ask.outputs != tuple(printed), "--output to a file", "--watch"),
        (ask.fail_on and ask.results, "--result", "--fail-on, which evaluates every result"),
        (
            ask.fail_on and ask.severities,
            "--severity",
            "--fail-on; append the minimum severity, as in --fail-on fail:high",
        ),
        (
            new and not (ask.baseline or ask.diffed),
            "--fail-on new",
            "needs --baseline FILE, an earlier snapshot, or the command snapshot diff",
        ),
        (
            ask.allow_empty and not ask.fail_on,
            "--allow-empty",
            "needs --fail-on; without it, nothing is evaluated",
        ),
        (
            ask.team and ask.namespaces,
            "--team",
            "--namespace: a Role in a namespace does not permit reading labels of namespaces",
        ),
        (
            len(printed) > 1,
            f"--output {printed[-1].form if printed else ''}",
            "another output to standard output; write it to a file, as in csv=report.csv",
        ),
    )
    for is_there, this, other in pairs:
        if is_there:
            yield this, other
    for name in ("policies", "severities", "results"):
        if ask.if_enforced and getattr(ask, name):
            yield _flag_of(name), "--if-enforced, which counts every result of a policy"
    yield from _metric_contradictions(ask)


def _metric_contradictions(ask: SnapshotOptions) -> Iterator[tuple[str, str]]:
    for form in sorted(ask.forms.intersection(METRIC_FORMS)):
        for name in ("severities", "team", "baseline", "if_enforced"):
            if getattr(ask, name):
                yield _flag_of(name), f"--output {form}, whose series have labels to select by"


def _diff_contradictions(ask: SnapshotOptions) -> Iterator[tuple[str, str]]:
    """Find what a snapshot that was taken already can no longer be asked for."""
    if not ask.diffed:
        return
    for form in METRIC_FORMS:
        if form in ask.forms:
            yield f"--output {form}", "diff, which has no series"
    default = SnapshotOptions(files=(), outputs=(), fail_on=None)
    for name in (
        *("policies", "kinds", "severities", "results", "namespaces", "team", "counting"),
        *("baseline", "if_enforced", "watch"),
    ):
        if getattr(ask, name) != getattr(default, name):
            yield _flag_of(name), "diff, which compares two files as they are"
    if ask.fail_on and ask.fail_on[0] != NEW:
        yield f"--fail-on {ask.fail_on[0]}", "diff, which evaluates only new failures"


def _flag_of(name: str) -> str:
    spelled = {
        "policies": "policy",
        "kinds": "kind",
        "severities": "severity",
        "results": "result",
        "namespaces": "namespace",
        "counting": "count",
    }
    return "--" + spelled.get(name, name).replace("_", "-")


def narrowed(config: ConfigFile, ask: SnapshotOptions, flags: Flags) -> ConfigFile:
    """Let the flags narrow the filters of the configuration.

    Files hold whole reports, so ``reports.detail`` does not apply to them.

    Raises:
        ConfigError: a flag asks for what summaries do not hold.
    """
    filters, results = config.filters, config.results
    reports, labels = config.reports, config.labels
    if ask.files:
        reports = ReportSettings(namespace_objects=reports.namespace_objects)
    if reports.detail == "summary":
        for flag in _unknown_to_summaries(ask):
            raise ConfigError(
                f"{flag} cannot be used with reports.detail: summary, which reads no results"
            )
    in_files = flags.namespaces if ask.files else ()
    filters = Filters(
        _included(filters.namespaces, in_files),
        _included(filters.policies, ask.policies or ask.if_enforced),
        _included(filters.kinds, ask.kinds),
    )
    if ask.results:
        results = tuple(word for word in config.results if word in ask.results)
    label = ask.team.partition("=")[0]
    if ask.if_enforced and not labels.namespace_labels and not flags.namespaces:
        label = label or OWNER_LABEL
    if label and label not in labels.namespace_labels:
        labels = LabelSettings((*labels.namespace_labels, label), labels.drop)
    values = {name: getattr(config, name) for name in config.__struct_fields__}
    return ConfigFile(
        **(values | {"filters": filters, "results": results, "reports": reports, "labels": labels})
    )


def _included(globs: Globs, patterns: tuple[str, ...]) -> Globs:
    return Globs(patterns, globs.exclude) if patterns else globs


def _unknown_to_summaries(ask: SnapshotOptions) -> Iterator[str]:
    """Name the flags that need more than summaries."""
    if ask.fail_on and ask.fail_on[1] != SEVERITIES[-1]:
        yield f"a severity in --fail-on {':'.join(ask.fail_on)}"
    for name in ("policies", "severities", "results", "baseline", "if_enforced"):
        if getattr(ask, name):
            yield _flag_of(name)
