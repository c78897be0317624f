"""Command line: flags and environment in, exit status out."""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

from exporter import __version__
from exporter.errors import ApiError, ConfigError, ExporterError
from exporter.settings import flags as f
from exporter.web.listen import Listeners

PROGRAM: Final = "policy-report-exporter"
COMMANDS: Final = ("serve", "demo", "snapshot", "check-config", "metrics", "healthcheck")
USAGE_STATUS: Final = 2
UNREACHABLE_STATUS: Final = 3
MOST_PATIENCE_SECONDS: Final = 3600
MOST_SPEED: Final = 3600.0
"""Simulated seconds a second: an hour of the sample cluster takes some tenths of one."""

_FLAG: Final = re.compile(r"argument (?:-\w/)?(--[\w.-]+): (.*)", re.DOTALL)
"""How argparse begins a complaint about a flag."""
_OF_A_SERVICE: Final = re.compile(
    r"_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_[A-Z]+(?:_(?:PROTO|PORT|ADDR))?)?)$"
)
"""The variables that Kubernetes sets in a Pod for each Service of its namespace."""

Given = dict[str, object]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: success; 1: the answer is no; 2: usage, configuration, or nothing to evaluate; 3: the cluster
    cannot be reached or read as a whole; 128 plus its number after a signal.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (
        arguments[0].startswith("-") and not {"-h", "--help", "--version"} & set(arguments)
    ):
        arguments.insert(0, "serve")
    given = vars(_parsed(arguments))
    try:
        _check_environment()
        return _COMMANDS[str(given["command"])](given)
    except ApiError as error:
        return _fail(str(error), UNREACHABLE_STATUS)
    except ExporterError as error:
        return _fail(_with_variable(str(error), given), USAGE_STATUS)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parsed(arguments: list[str]) -> argparse.Namespace:
    """Parse; a flag that a command does not know is reported by that command's parser."""
    whole = parser()
    given, unknown = whole.parse_known_args(arguments)
    if unknown:
        word = unknown[0].partition("=")[0]
        flags = [f"--{flag.name}" for flag in FLAGS[given.command]]
        hint = _suggestion(word, [*flags, *(f"--{name}" for name, *_ in f.SNAPSHOT_SWITCHES)])
        whole.error(f"{given.command}: unknown argument {word}{hint}")
    return given


def _fail(message: str, status: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)  # noqa: T201
    return status


def _check_environment() -> None:
    """Refuse a variable that resembles one of a flag: a misspelled gate would always succeed.

    Raises:
        ConfigError: a variable is probably misspelled.
    """
    names = {each.variable.removeprefix(f.ENVIRONMENT_PREFIX) for each in chain(*FLAGS.values())}
    for variable in os.environ:
        name = variable.removeprefix(f.ENVIRONMENT_PREFIX)
        if name == variable or name in names or _OF_A_SERVICE.search(variable):
            continue
        near = [known for known in names if known.endswith(f"_{name}")]
        if near := near or _nearest(name, names, 0.8):
            hint = f"did you mean {f.ENVIRONMENT_PREFIX}{near[0]}?"
            raise ConfigError(f"${variable}: unknown variable, {hint}")


def _with_variable(message: str, given: Given) -> str:
    """Name the variable that a value comes from instead of its flag."""
    for flag in FLAGS[str(given["command"])]:
        rest = message.removeprefix(f"--{flag.name}")
        is_named = rest != message and rest.startswith((" ", ":"))
        if is_named and given.get(flag.name) is None and os.environ.get(flag.variable):
            return f"${flag.variable}{rest}"
    return message


def _serve(given: Given) -> int:
    flags = _flags(given)
    with Listeners(flags.listen, early=flags.web_config_file is None) as listeners:
        from exporter.app.scrape import run_timed
        from exporter.app.serve import serve

        return run_timed(serve(flags, listeners=listeners))


def _demo(given: Given) -> int:
    given = f.resolved(given, os.environ, FLAGS["demo"])
    flags = _flags(given)
    speed = _number(given, "demo.speed")
    if not 0 <= speed <= MOST_SPEED:
        found = given["demo.speed"]
        raise ConfigError(f"--demo.speed {found}: expected a number from 0 to {MOST_SPEED:g}")
    try:
        seed = int(str(given["demo.seed"]))
    except ValueError as error:
        raise ConfigError(f"--demo.seed {given['demo.seed']}: expected a whole number") from error
    with Listeners(flags.listen, early=flags.web_config_file is None) as listeners:
        from exporter.app.demo import Demo, demo
        from exporter.app.scrape import run_timed

        how = Demo(str(given["demo.api-address"]), speed, seed)
        return run_timed(demo(flags, how, listeners))


def _number(given: Given, name: str) -> float:
    """Read a number; one that is none is out of every range."""
    try:
        return float(str(given[name]))
    except ValueError:
        return math.nan


def _flags(given: Given) -> f.Flags:
    from exporter.app.logs import log_to_stderr

    flags = f.read_flags(given, os.environ)
    log_to_stderr(flags.log_level, flags.log_format)
    return flags


def _check_config(given: Given) -> int:
    from exporter.settings.file import read_config

    path = str(given["file"] or "") or (f.read_flags({}, os.environ).config_file or "")
    if not path:
        raise ConfigError("check-config: name a FILE, or set $POLICY_REPORT_EXPORTER_CONFIG_FILE")
    read_config(Path(path))
    print(f"{path}: valid")  # noqa: T201
    return 0


def _metrics(given: Given) -> int:
    from exporter.metrics.document import as_json, as_markdown

    given = f.resolved(given, os.environ, _METRICS)
    write = {"markdown": as_markdown, "json": as_json}[str(given["output"])]
    print(write(), end="")  # noqa: T201
    return 0


def _healthcheck(given: Given) -> int:
    import asyncio

    from exporter.app.health import healthcheck

    given = f.resolved(given, os.environ, _HEALTH)
    url, seconds = str(given["url"]), _number(given, "timeout")
    if not 0 < seconds <= MOST_PATIENCE_SECONDS:
        expected = f"expected seconds, more than 0 and at most {MOST_PATIENCE_SECONDS}"
        raise ConfigError(f"--timeout {given['timeout']}: {expected}")
    ready, text = asyncio.run(healthcheck(url, seconds))
    print(text.strip())  # noqa: T201
    return 0 if ready else 1


def _snapshot(given: Given) -> int:
    from exporter.snapshot.command import snapshot

    return snapshot(f.resolved(given, os.environ, f.SNAPSHOT))


_DEMO: Final = (
    f.Flag("demo.api-address", "ADDR", "address of the sample cluster's API", "127.0.0.1:0"),
    f.Flag("demo.speed", "N", "simulated seconds per second", "1"),
    f.Flag("demo.seed", "N", "random seed of the sample cluster", "0"),
)
_METRICS: Final = (
    f.Flag(
        "output",
        "FORM",
        "markdown or json",
        "markdown",
        choices=("markdown", "json"),
        scope="metrics.",
    ),
)
_HEALTH: Final = (
    f.Flag("url", "URL", "URL to check", "http://127.0.0.1:10480/-/ready", scope="healthcheck."),
    f.Flag("timeout", "SECONDS", "time to wait for the response", "5", scope="healthcheck."),
)
FLAGS: Final[dict[str, tuple[f.Flag, ...]]] = {
    "serve": f.SERVE,
    "demo": (
        *(
            each._replace(help="cluster name on the page and in JSON", default="demo")
            for each in f.CLUSTER_NAME
        ),
        *f.CONFIG,
        *f.WEB,
        *f.STATE,
        *f.JOURNAL,
        *f.PUSH,
        *f.SHARD,
        # Lines of level info would push the addresses out of a terminal's window.
        *(each._replace(default="warn") if each.name == "log.level" else each for each in f.LOG),
        *_DEMO,
    ),
    "snapshot": (
        *f.SNAPSHOT,
        *(each._replace(short="n") if each.name == "namespace" else each for each in f.CLUSTER),
        *f.CLUSTER_NAME,
        *f.CONFIG,
    ),
    "check-config": (),
    "metrics": _METRICS,
    "healthcheck": _HEALTH,
}
"""The flags of each command."""

_COMMANDS: Final[dict[str, Callable[[Given], int]]] = {
    "serve": _serve,
    "demo": _demo,
    "snapshot": _snapshot,
    "check-config": _check_config,
    "metrics": _metrics,
    "healthcheck": _healthcheck,
}


class Parser(argparse.ArgumentParser):
    """Write errors in the words of this program, and suggest a known command."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, with a suggestion, and exit with 2."""
        if flag := _FLAG.match(message):
            message = f"{flag[1]}{self._complaint(flag[1], flag[2])}"
        if "invalid choice: " in message and "argument COMMAND" in message:
            word = message.partition("invalid choice: ")[2].split(" ")[0].strip("',")
            message = f"unknown command {word!r}" + _suggestion(word, COMMANDS)
        self.exit(USAGE_STATUS, f"{self.prog}: {message}\nSee {self.prog} --help\n")

    def _complaint(self, name: str, problem: str) -> str:
        """Spell what argparse found wrong with a flag's value."""
        action = self._option_string_actions[name]
        if problem.startswith("invalid choice: "):
            word = problem.removeprefix("invalid choice: ").split(" (")[0].strip("'")
            choices = list(map(str, action.choices or ()))
            hint = _suggestion(word, choices) or f": expected one of {', '.join(choices)}"
            return f" {word}{hint}"
        if problem.startswith("ignored explicit argument "):
            return f" takes no value, found {problem.removeprefix('ignored explicit argument ')}"
        return f": a value is missing, expected {action.metavar}"


def _nearest(word: str, known: Iterable[str], cutoff: float) -> list[str]:
    import difflib

    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = _nearest(word, known, 0.5)
    return f", did you mean {near[0]}?" if near else ""


def parser() -> Parser:
    """Make the parser of all commands."""
    whole = Parser(
        prog=PROGRAM,
        description="Prometheus exporter for Kubernetes policy reports and violations.",
        epilog="The default command is serve. "
        "Brackets [ ] contain the environment variable of a flag.",
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, text in HELP.items():
        one = commands.add_parser(command, help=text, description=text, allow_abbrev=False)
        if command == "check-config":
            one.add_argument("file", nargs="?", metavar="FILE")
        if command == "snapshot":
            _add_snapshot_arguments(one)
        f.add_flags(one, FLAGS[command])
    return whole


HELP: Final = {
    "serve": "watch a cluster and serve /metrics until stopped",
    "demo": "serve a simulated sample cluster, without Kubernetes",
    "check-config": "validate a configuration file",
    "metrics": "print every metric and its labels",
    "snapshot": "print a one-off summary of a cluster or of files",
    "healthcheck": "check whether a running exporter is ready",
}
"""What each command does."""


def _add_snapshot_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="files with the output of kubectl get policyreports,clusterpolicyreports,events -A -o "
        "json (or yaml); - reads standard input; without files, the cluster is read; diff OLD NEW "
        "compares two snapshots that --output json wrote",
    )
    for name, short, text in f.SNAPSHOT_SWITCHES:
        names = [f"-{short}"] if short else []
        parser.add_argument(*names, f"--{name}", action="store_true", help=text)
