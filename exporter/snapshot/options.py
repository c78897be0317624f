"""What a snapshot is asked for, and which of that makes no sense together."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from exporter.errors import ConfigError
from exporter.model.report import RESULTS
from exporter.settings.file import ConfigFile, ReportSettings
from exporter.settings.flags import Flags
from exporter.state.selection import Filters, Globs
from exporter.view.values import DEFAULT_COUNT, SEVERITIES


class SnapshotOptions(NamedTuple):
    """What the command line asks for.

    *fail_on* is a result word and the least severity, *counting* one of COUNT_CHOICES.
    """

    files: tuple[str, ...]
    output: str
    fail_on: tuple[str, str] | None
    policies: tuple[str, ...]
    severities: tuple[str, ...]
    results: tuple[str, ...]
    watch: bool
    namespaces: tuple[str, ...] = ()
    counting: str = DEFAULT_COUNT
    allow_empty: bool = False


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

    text = given.get("fail-on")
    ask = SnapshotOptions(
        files=many("files"),
        output=str(given["output"]),
        fail_on=None if text is None else _fail_on(str(text)),
        policies=many("policy"),
        severities=many("severity", SEVERITIES),
        results=many("result", RESULTS),
        watch=bool(given.get("watch")),
        namespaces=many("namespace"),
        counting=str(given["count"]),
        allow_empty=bool(given.get("allow_empty")),
    )
    for one, other in _contradictions(ask):
        raise ConfigError(f"{one} does not go with {other}")
    return ask


def _fail_on(text: str) -> tuple[str, str]:
    word, colon, severity = text.partition(":")
    if word not in ("fail", "error", "warn") or (colon and severity not in SEVERITIES):
        raise ConfigError(
            f"--fail-on {text}: expected fail, error or warn, perhaps with a least severity, "
            f"as in fail:high; severities are {', '.join(SEVERITIES)}"
        )
    return word, severity or SEVERITIES[-1]


def _contradictions(ask: SnapshotOptions) -> Iterator[tuple[str, str]]:
    if ask.watch and ask.fail_on:
        yield "--fail-on", "--watch, which never ends"
    if ask.watch and "-" in ask.files:
        yield "- (standard input)", "--watch, which reads again"
    if ask.fail_on and ask.results:
        yield "--result", "--fail-on, which judges every result"
    if ask.fail_on and ask.severities:
        yield "--severity", "--fail-on: name the least severity there, as in --fail-on fail:high"
    if ask.allow_empty and not ask.fail_on:
        yield "--allow-empty", "a snapshot without --fail-on, which judges nothing"
    if ask.severities and ask.output in ("prometheus", "openmetrics"):
        yield "--severity", f"--output {ask.output}, where severity is a label to choose by"


def narrowed(config: ConfigFile, ask: SnapshotOptions, flags: Flags) -> ConfigFile:
    """Let the flags narrow the filters of the configuration.

    Files hold whole reports, so ``reports.detail`` does not apply to them.

    Raises:
        ConfigError: a flag asks for what summaries do not hold.
    """
    filters, results = config.filters, config.results
    reports = config.reports
    if ask.files:
        reports = ReportSettings(namespace_objects=reports.namespace_objects)
    if reports.detail == "summary":
        for flag in _unknown_to_summaries(ask):
            raise ConfigError(f"{flag} does not go with reports.detail: summary, which reads none")
    if ask.policies:
        exclude = filters.policies.exclude
        filters = Filters(filters.namespaces, Globs(ask.policies, exclude), filters.kinds)
    if flags.namespaces and ask.files:
        exclude = filters.namespaces.exclude
        filters = Filters(Globs(flags.namespaces, exclude), filters.policies, filters.kinds)
    if ask.results:
        results = tuple(word for word in config.results if word in ask.results)
    values = {name: getattr(config, name) for name in config.__struct_fields__}
    return ConfigFile(**(values | {"filters": filters, "results": results, "reports": reports}))


def _unknown_to_summaries(ask: SnapshotOptions) -> Iterator[str]:
    """Name the flags that need more than summaries."""
    if ask.fail_on and ask.fail_on[1] != SEVERITIES[-1]:
        yield f"a severity in --fail-on {':'.join(ask.fail_on)}"
    for name in ("policies", "severities", "results"):
        if getattr(ask, name):
            yield {"policies": "--policy", "severities": "--severity", "results": "--result"}[name]
