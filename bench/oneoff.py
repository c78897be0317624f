"""The snapshot command against a first sync: from the API, and from a file as kubectl prints it."""

import json
import tempfile
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

from bench import sync
from bench.api import Api
from bench.measure import Figures, fresh, medians, ratio, rounds, timed
from bench.reports import Reports, Shape
from bench.server import Load, serving
from exporter.cli import main


def compare(shape: Shape, times: int) -> dict[str, Figures]:
    """Sync, and take a snapshot of the same reports; ``peak_mb`` includes what the output takes."""
    with tempfile.TemporaryDirectory() as folder, serving(Load(shape)) as api:
        path = Path(folder) / "reports.json"
        size = _printed(shape, path)
        synced, from_api, from_file = rounds(
            times,
            partial(fresh, sync.sync, api),
            partial(fresh, of_cluster, api, Path(folder)),
            partial(fresh, taken, str(path)),
        )
    return {
        "sync": medians(synced),
        "from the API": medians(from_api),
        "from a file": medians(from_file) | {"file_mb": size / 1e6},
        "ratios": {
            "API / sync": ratio(from_api, synced, "seconds"),
            "API / sync, cpu": ratio(from_api, synced, "cpu_seconds"),
            "file / sync": ratio(from_file, synced, "seconds"),
            "file / sync, cpu": ratio(from_file, synced, "cpu_seconds"),
        },
    }


def of_cluster(api: Api, directory: Path) -> Figures:
    """Take a snapshot of a cluster."""
    return taken(f"--kubeconfig={api.kubeconfig(directory)}")


def taken(*arguments: str) -> Figures:
    """Take a snapshot as JSON, the longest of its outputs."""
    with timed() as figures, redirect_stdout(StringIO()):
        main(["snapshot", *arguments, "--output=json"])
    return figures


def _printed(shape: Shape, path: Path) -> int:
    """Write the reports as ``kubectl get -o json`` does, without managed fields; give the bytes."""
    reports = Reports(shape._replace(managed_fields=False))
    with path.open("w", encoding="utf-8") as file:
        file.write('{\n    "apiVersion": "v1",\n    "items": [\n')
        for position in range(shape.reports):
            text = json.dumps(json.loads(reports.encode(shape.at(position))), indent=4)
            comma = ",\n" if position else ""
            file.write(comma + "\n".join(f"        {line}" for line in text.split("\n")))
        file.write('\n    ],\n    "kind": "List",\n    "metadata": {"resourceVersion": ""}\n}\n')
        return file.tell()
