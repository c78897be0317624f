"""Command line: flags and environment in, exit status out."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter import __version__
from exporter.errors import ApiError, ConfigError, ExporterError
from exporter.settings import flags as f

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

    0 fine, 1 the answer is no, 2 usage or configuration, 3 the cluster cannot be reached or
    refuses, 128 plus its number after a signal.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (
        arguments[0].startswith("-") and not {"-h", "--help", "--version"} & set(arguments)
    ):
        arguments.insert(0, "serve")
    given = vars(_parser().parse_args(arguments))
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
    except BrokenPipeError:
        # Whoever read our output has gone; nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(error: ExporterError, status: int) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
    return status


def _serve(given: Given) -> int:
    from exporter.app.serve import serve

    flags = _flags(given)
    return asyncio.run(serve(flags))


def _demo(given: Given) -> int:
    from exporter.app.demo import Demo, demo

    flags = _flags(given)
    given = f.resolved(given, os.environ, _DEMO)
    try:
        speed, seed = float(str(given["demo.speed"])), int(str(given["demo.seed"]))
    except ValueError as error:
        raise ConfigError(f"--demo.speed and --demo.seed take numbers: {error}") from error
    if not 0 <= speed <= MOST_SPEED:
        raise ConfigError(f"--demo.speed {speed:g}: expected a number from 0 to {MOST_SPEED:g}")
    how = Demo(str(given["demo.api-address"]), speed, seed)
    return asyncio.run(demo(flags, how))


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
    print(f"{path}: fine")  # noqa: T201
    return 0


def _metrics(given: Given) -> int:
    from exporter.metrics.document import as_json, as_markdown

    given = f.resolved(given, os.environ, _METRICS)
    write = {"markdown": as_markdown, "json": as_json}[str(given["output"])]
    print(write(), end="")  # noqa: T201
    return 0


def _healthcheck(given: Given) -> int:
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

    return snapshot(f.resolved(given, os.environ, _SNAPSHOT))


_DEMO: Final = (
    f.Flag("demo.api-address", "ADDR", "where kubectl reaches the sample cluster", "127.0.0.1:0"),
    f.Flag("demo.speed", "N", "simulated seconds a second", "1"),
    f.Flag("demo.seed", "N", "another seed, another life", "0"),
)
_SNAPSHOT: Final = (
    f.Flag(
        "output",
        "FORM",
        "table, prometheus, openmetrics or json",
        "table",
        choices=("table", "prometheus", "openmetrics", "json"),
    ),
    f.Flag(
        "fail-on",
        "RESULT[:SEVERITY]",
        "exit with 1 when a result that bad stands, for instance fail:high",
    ),
    f.Flag("policy", "GLOB", "only policies of this name; may repeat", repeats=True),
    f.Flag(
        "severity",
        "WORD",
        "only results of this severity, in table and json; may repeat",
        repeats=True,
    ),
    f.Flag(
        "result",
        "WORD",
        "only results of this word: pass, fail, warn, error or skip; may repeat",
        repeats=True,
    ),
)
_METRICS: Final = (
    f.Flag("output", "FORM", "markdown or json", "markdown", choices=("markdown", "json")),
)
_HEALTH: Final = (
    f.Flag("url", "URL", "what to ask", "http://127.0.0.1:10480/-/ready"),
    f.Flag("timeout", "SECONDS", "how long to wait", "5"),
)
_COMMANDS: Final[dict[str, Callable[[Given], int]]] = {
    "serve": _serve,
    "demo": _demo,
    "snapshot": _snapshot,
    "check-config": _check_config,
    "metrics": _metrics,
    "healthcheck": _healthcheck,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Prometheus exporter for Kubernetes policy reports and violations.",
        epilog="Without a command: serve. Flags have the environment variables that stand in [ ].",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="watch a cluster and serve /metrics until stopped")
    f.add_flags(serve, f.SERVE)
    _demo_parser(
        commands.add_parser("demo", help="serve a living sample cluster, no Kubernetes needed")
    )
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file")
    check.add_argument("file", nargs="?", metavar="FILE")
    metrics = commands.add_parser("metrics", help="print every metric that is exposed")
    f.add_flags(metrics, _METRICS)
    _snapshot_parser(
        commands.add_parser("snapshot", help="say once what stands, in a cluster or in files")
    )
    health = commands.add_parser("healthcheck", help="ask a running exporter whether it is ready")
    f.add_flags(health, _HEALTH)
    return parser


def _snapshot_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="what kubectl get policyreports,clusterpolicyreports,events -A -o json (or yaml) "
        "prints; - is standard input; without files: the cluster",
    )
    parser.add_argument("--watch", action="store_true", help="read and print again every 5 seconds")
    f.add_flags(parser, (*_SNAPSHOT, *f.CLUSTER, *f.CONFIG))


def _demo_parser(parser: argparse.ArgumentParser) -> None:
    f.add_flags(parser, (*f.CONFIG, *f.WEB, *f.STATE, *f.PUSH, *f.SHARD, *f.LOG, *_DEMO))
