"""Reports to take snapshots of, and the command in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.cli import main
from exporter.model.resource import POLICY_REPORTS

FORMS = ("table", "json", "junit", "sarif", "markdown", "github", "csv", "html")

Object = dict[str, Any]
Text = pytest.CaptureFixture[str]


def listed(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}


def report(name: str, *results: Object, **more: object) -> Object:
    """Write the report on a Deployment."""
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": POLICY_REPORTS.kind,
        "metadata": {"name": f"r-{name}", "namespace": "shop"},
        "scope": {"kind": "Deployment", "name": name, "namespace": "shop"},
        "results": list(results),
        **more,
    }


def result(policy: str, word: str, severity: str = "high", **more: object) -> Object:
    made = {"policy": policy, "rule": "r", "result": word, "severity": severity}
    return {**made, "source": "kyverno", "message": f"{policy} is violated", **more}


def saved(path: Path, *items: Object) -> str:
    path.write_text(json.dumps(listed(list(items))))
    return str(path)


def taken(*arguments: str) -> int:
    """Run the command."""
    return main(["snapshot", *arguments])


def json_of(path: Path, *arguments: str) -> Any:
    """Take a snapshot as JSON into a file, and give it."""
    assert taken(*arguments, f"--output=json={path}") in (0, 1, 2, 3)
    return json.loads(path.read_text())
