"""``python -m bench``: measure, print tables, and JSON behind them."""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.bars import Found
from bench.runs import full, small
from bench.tables import markdown, replace, text, verdicts


def main() -> None:
    """Run the benchmarks that are asked for."""
    arguments = _parser().parse_args()
    runs = full() if arguments.full else small()
    if unknown := set(arguments.only) - set(runs):
        sys.exit(f"--only {unknown.pop()}: expected one of {', '.join(runs)}")
    chosen = arguments.only or ([] if arguments.read else list(runs))
    earlier = json.loads(arguments.read.read_text()) if arguments.read else {}
    found: Found = earlier.get("figures", {})
    machine = earlier.get("machine") or _machine()
    print(machine, file=sys.stderr)
    for name in runs:
        if name in chosen:
            began = time.monotonic()
            found[name] = runs[name]()
            took = f"{name}  ({time.monotonic() - began:.0f} s)"
            print(text(took, found[name]), file=sys.stderr, flush=True)
            if arguments.json:  # what is measured is kept, whatever happens to the next
                arguments.json.write_text(_encoded(found, machine))
    if arguments.docs:
        replace(arguments.docs, markdown(found, machine))
    print(markdown(found, machine) if arguments.markdown else verdicts(found), flush=True)
    if not (arguments.json or arguments.markdown):
        print("\n" + _encoded(found, machine))


def _encoded(found: Found, machine: str) -> str:
    return json.dumps({"machine": machine, "figures": found})


def _machine() -> str:
    day = datetime.now(UTC).date()
    cores, version, load = os.cpu_count(), platform.python_version(), os.getloadavg()[1]
    busy = f"load {load:.1f} at the start"
    return f"{day}, {platform.machine()} with {cores} cores, {busy}, Python {version}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="at full size: half an hour or more")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="may repeat")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument(
        "--markdown", action="store_true", help="print docs/performance.md's tables"
    )
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write those tables into FILE")
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="begin with such figures; run only what is --only"
    )
    return parser


if __name__ == "__main__":
    main()
