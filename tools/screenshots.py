"""``python -m tools.screenshots``: take the pictures of the documentation."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers import alertmanager
from tests.tools import Process, free_port, own_directory
from tests.web.browser import Browser, browsing
from tools.fortnight import END, clusters, remembered

ROOT: Final = Path(__file__).parents[1]
STATUS: Final = ROOT / "docs/images/status"
DASHBOARDS: Final = ROOT / "docs/images/dashboards"
MOST_BYTES: Final = 300_000
LIVE: Final = "return document.getElementById('live').innerText === 'live'"
LOOKS: Final = {
    "light": (1280, 1000, False),
    "dark": (1280, 1000, True),
    "phone": (390, 844, False),
}
NOBODY: Final = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"


def main() -> None:
    """Take the pictures that are asked for."""
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="let the demo live so long")
    parser.add_argument("--only", choices=("status", "dashboards"), default="")
    arguments = parser.parse_args()
    if arguments.only != "status":
        render_dashboards()
    if arguments.only != "dashboards":
        with demonstrating() as address, browsing() as browser:
            time.sleep(arguments.minutes * 60)
            photograph(browser, f"http://{address}/")


@contextmanager
def demonstrating() -> Iterator[str]:
    """Run the demo, four times as fast as life, with state and Alertmanager; give its address."""
    address = f"127.0.0.1:{free_port()}"
    argv = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address]
    argv += ["--demo.speed=4", "--demo.seed=1"]
    environment = {"PYTHONPATH": str(ROOT)}
    with own_directory() as home, alertmanager(NOBODY) as manager:
        argv += ["--state.dir", str(home / "state"), "--alertmanager.url", manager.url]
        with Process(argv, cwd=home, ready=f"http://{address}/-/ready", env=environment):
            yield address


def render_dashboards() -> None:
    """Draw every dashboard from the fortnight: of its largest cluster, the fleet of all."""
    with remembered(clusters()) as server:
        command = [sys.executable, "-m", "grafana.render", "--prometheus", server.url]
        command += ["--out", str(DASHBOARDS), "--end", str(END), "--light"]
        largest = ["--variable", f"cluster={clusters()[0].name}"]
        for board in ("overview", "namespace", "policy", "enforcement", "exporter"):
            only = ["--only", f"policy-{board}", *largest]
            subprocess.run([*command, *only], cwd=ROOT, check=True)
        subprocess.run([*command, "--only", "policy-fleet"], cwd=ROOT, check=True)


def photograph(browser: Browser, url: str) -> None:
    """Show the status page to several screens."""
    STATUS.mkdir(parents=True, exist_ok=True)
    for name, (width, height, dark) in LOOKS.items():
        browser.view(width, height, dark=dark)
        browser.open(url)
        browser.wait(LIVE)
        picture = STATUS / f"{name}.png"
        browser.screenshot(picture)
        size = picture.stat().st_size
        if size > MOST_BYTES:
            raise SystemExit(f"{picture}: {size} bytes, at most {MOST_BYTES}")
        print(f"{picture.relative_to(ROOT)}: {size} bytes")


if __name__ == "__main__":
    main()
