"""The exporter as a process, and what it shows, read by Prometheus' own parser."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.kyverno.series import Family, labels
from tests.tools import Process, fetch, free_port

ROOT = Path(__file__).parents[2]
WITHIN_SECONDS = 90.0
CONFIG: Mapping[str, object] = {"birth_hold": 0, "labels": {"namespace_labels": ["team"]}}


class Exporter(Process):
    """``python -m exporter serve`` in a directory of its own, which keeps its state."""

    def __init__(self, directory: Path, kubeconfig: Path, *flags: str, **config: object) -> None:
        directory.mkdir(exist_ok=True)
        text = yaml.safe_dump({**CONFIG, **config})
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        self.url = f"http://127.0.0.1:{free_port()}"
        argv = [
            *(sys.executable, "-m", "exporter", "serve"),
            f"--web.listen-address={self.url.removeprefix('http://')}",
            f"--kubeconfig={kubeconfig}",
            "--config.file=config.yaml",
            *flags,
        ]
        super().__init__(
            argv,
            cwd=directory,
            ready=f"{self.url}/-/ready",
            within=WITHIN_SECONDS,
            env={"PYTHONPATH": str(ROOT)},
        )

    def scrape(self, *names: str) -> Mapping[str, Family]:
        """Scrape the families named, or all, by the name of their samples."""
        query = urlencode([("name[]", name) for name in names])
        text = fetch(f"{self.url}/metrics?{query}").decode()
        found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[labels(**sample.labels)] = sample.value
        return found
