"""Command line: flags and environment in, exit status out."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
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
        return _COMMANDS[str(given["command"])](given)
    except ConfigError as error:
        return _fail(error, USAGE_STATUS)
    except ApiError as error:
        return _fail(error, UNREACHABLE_STATUS)
    except ExporterError as error:
        return _fail(error, USAGE_STATUS)
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


def _fail(error: ExporterError, status: int) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
    return status


def _serve(given: Given) -> int:
    flags = _flags(given)
    with Listeners(flags.listen, early=flags.web_config_file is None) as listeners:
        from exporter.app.scrape import run_timed
        from exporter.app.serve import serve

        return run_timed(serve(flags, listeners=listeners))


def _demo(given: Given) -> int:
    given = f.resolved(given, os.environ, FLAGS["demo"])
    flags = _flags(given)
    try:
        speed, seed = float(str(given["demo.speed"])), int(str(given["demo.seed"]))
    except ValueError as error:
        given_both = f"--demo.speed {given['demo.speed']} --demo.seed {given['demo.seed']}"
        raise ConfigError(f"{given_both}: expected two numbers") from error
    if not 0 <= speed <= MOST_SPEED:
        raise ConfigError(f"--demo.speed {speed:g}: expected a number from 0 to {MOST_SPEED:g}")
    with Listeners(flags.listen, early=flags.web_config_file is None) as listeners:
        from exporter.app.demo import Demo, demo
        from exporter.app.scrape import run_timed

        how = Demo(str(given["demo.api-address"]), speed, seed)
        return run_timed(demo(flags, how, listeners))


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
    url, timeout = str(given["url"]), str(given["timeout"])
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_PATIENCE_SECONDS:
        raise ConfigError(f"--timeout {timeout}: expected seconds, at most {MOST_PATIENCE_SECONDS}")
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
    """Suggest a known command for one that does not exist."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, with a suggestion, and exit with 2."""
        if "invalid choice: " in message and "argument COMMAND" in message:
            word = message.partition("invalid choice: ")[2].split(" ")[0].strip("',")
            message = f"unknown command {word!r}" + _suggestion(word, COMMANDS)
        self.exit(USAGE_STATUS, f"{self.prog}: {message}\nSee {self.prog} --help\n")


def _suggestion(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
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
