"""Draw every dashboard from a Prometheus: python -m grafana.render --prometheus URL --out DIR."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from grafana import classic
from grafana.render.page import WIDTH, height, page
from grafana.render.queries import Client, Window, values

HERE = Path(__file__).resolve().parent.parent
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def main() -> int:
    """Write one PNG for each dashboard."""
    options = _arguments().parse_args()
    client, out = Client(options.prometheus), Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for source in sorted(HERE.glob("policy-*.json")):
        board = classic.read(json.loads(source.read_text(encoding="utf-8")))
        html = draw(board, client, options.minutes, options.scrape_interval)
        shoot(html, height(board), out / f"{board.uid}.png", options.chromium)
        print(out / f"{board.uid}.png")
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grafana.render", description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=15, help="time range (default 15)")
    parser.add_argument("--scrape-interval", type=float, default=15, metavar="SECONDS")
    parser.add_argument("--chromium", default="chromium", metavar="PROGRAM")
    return parser


def draw(board: classic.Dashboard, client: Client, minutes: float, scrape: float) -> str:
    """Ask every visible query and lay the answers out."""
    seconds = 60 * minutes
    step = max(scrape, seconds / 180)
    window = Window(time.time() // step * step, seconds, step, scrape)
    names = values(list(board.templating.list), {})
    answers = {
        panel.id: {
            t.ref_id: client.ask(t, names, window.stepping(panel.interval)) for t in panel.targets
        }
        for panel in board.panels
    }
    return page(board, answers, window, f"Last {minutes:g} minutes")


def shoot(html: str, tall: int, target: Path, chromium: str) -> None:
    """Let Chromium turn a page into a PNG."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "page.html")
        source.write_text(html, encoding="utf-8")
        argv = [
            chromium,
            *CHROMIUM_FLAGS,
            f"--user-data-dir={name}/profile",
            f"--window-size={WIDTH},{tall}",
            f"--screenshot={target.resolve()}",
            source.as_uri(),
        ]
        subprocess.run(argv, check=True, capture_output=True, timeout=120)  # noqa: S603 - ours


if __name__ == "__main__":
    sys.exit(main())
