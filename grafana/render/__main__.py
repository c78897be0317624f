"""Draw every dashboard from a Prometheus: python -m grafana.render --prometheus URL --out DIR."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from grafana import classic
from grafana.classic import JsonDict
from grafana.render.queries import Client, Window, range_of, values
from tests.web.browser import SWITCHES
from tools.pins import TOOLS

HERE = Path(__file__).resolve().parent
BOARDS = HERE.parent
WIDTH, CELL, HEADER = 1600, 38, 112
BUILD = (
    "--jsx=automatic",
    "--loader:.ttf=empty",
    "--log-level=error",
    '--define:process.env.NODE_ENV="production"',
)
INDEX = """<!doctype html><meta charset="utf-8">
<link rel="stylesheet" href="picture.css"><div id="root"></div>
<script src="data.js"></script><script src="picture.js"></script>
"""
# Time of the page passes without waiting, until everything is drawn.
FLAGS = (*SWITCHES, "--virtual-time-budget=15000")


def main() -> int:
    """Write one PNG for each dashboard, and one more in light colours where asked."""
    options = _arguments().parse_args()
    client, out = Client(options.prometheus), Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    chosen = dict(word.split("=", 1) for word in options.variable)
    for source in sorted(BOARDS.glob(f"{options.only}.json")):
        document: JsonDict = json.loads(source.read_text(encoding="utf-8"))
        board = classic.read(document)
        window = range_of(board, options.end or time.time(), options.scrape_interval)
        answers = ask(board, client, window, chosen)
        for dark in (True, False)[: 1 + options.light]:
            target = out / f"{board.uid}{'' if dark else '-light'}.png"
            page = picture(document, answers, window, chosen, dark=dark)
            browse(page, f"--screenshot={target.resolve()}", height(board), options.chromium)
            print(target)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grafana.render", description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--only", default="policy-*", metavar="UID")
    parser.add_argument("--end", type=float, default=0, help="unix seconds (default now)")
    parser.add_argument("--scrape-interval", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--light", action="store_true", help="in light colours too")
    parser.add_argument("--chromium", default="chromium", metavar="PROGRAM")
    return parser


Answers = dict[int, dict[str, list[JsonDict]]]


def ask(
    board: classic.Dashboard, client: Client, window: Window, chosen: dict[str, str]
) -> Answers:
    """Ask every visible query."""
    names = values(list(board.templating.list), chosen)
    answers: Answers = {}
    for panel in board.panels:
        stepping = window.stepping(panel.interval)
        # Grafana aligns a range to its steps, so that a reload shows the same points.
        aligned = stepping._replace(end=window.end // stepping.step * stepping.step)
        answers[panel.id] = {
            target.ref_id: [
                {"labels": series.labels, "points": series.points, "step": stepping.step}
                for series in client.ask(target, names, window if target.instant else aligned)
            ]
            for target in panel.targets
        }
    return answers


def picture(
    document: JsonDict, answers: Answers, window: Window, chosen: dict[str, str], *, dark: bool
) -> JsonDict:
    """Return everything that picture.tsx reads."""
    board = classic.read(document)
    variables = [v for v in board.templating.list if not v.hide]
    return {
        "board": document,
        "answers": answers,
        "choices": [(v.label, _text(v, chosen)) for v in variables],
        "variables": {v.name: chosen.get(v.name, _text(v, chosen)) for v in variables},
        "from": 1000 * (window.end - window.seconds),
        "to": 1000 * window.end,
        "dark": dark,
    }


def _text(variable: classic.Variable, chosen: dict[str, str]) -> str:
    if variable.type == "datasource":
        return "Prometheus"
    shown = variable.current.text if variable.current else variable.query
    return chosen.get(variable.name, shown)[:40]


def height(board: classic.Dashboard) -> int:
    """Return the height of the picture in pixels."""
    return HEADER + CELL * max(panel.grid_pos.y + panel.grid_pos.h for panel in board.panels)


@cache
def bundle() -> dict[str, str]:
    """Return picture.tsx with Grafana's packages as one script, and their style sheet."""
    packages = TOOLS["grafana-packages"].find("grafana-packages")
    if packages is None:
        raise SystemExit("grafana-packages is missing: make tools ARGS='--tier browser'")
    modules = packages / "node_modules"
    argv = [str(modules / ".bin/esbuild"), str(HERE / "picture.tsx"), "--bundle", *BUILD]
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(  # noqa: S603 - pinned
            [*argv, f"--outfile={name}/picture.js"],
            check=True,
            env={**os.environ, "NODE_PATH": str(modules)},
            timeout=180,
        )
        made = Path(name).iterdir()
        return {path.name: path.read_text(encoding="utf-8") for path in made}


def browse(page: JsonDict, action: str, tall: int = 2000, chromium: str = "chromium") -> str:
    """Open the page in Chromium, which takes its picture or prints its document."""
    with tempfile.TemporaryDirectory() as name:
        data = f"var PICTURE = {json.dumps(page)};"
        for file, text in ({"index.html": INDEX, "data.js": data} | bundle()).items():
            Path(name, file).write_text(text, encoding="utf-8")
        own = [f"--user-data-dir={name}/profile", f"--window-size={WIDTH},{tall}"]
        argv = [chromium, *FLAGS, *own, action, Path(name, "index.html").as_uri()]
        done = subprocess.run(  # noqa: S603 - ours
            argv, check=True, capture_output=True, text=True, timeout=180
        )
        return done.stdout


if __name__ == "__main__":
    sys.exit(main())
