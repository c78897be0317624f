"""The JSON has the shape that Grafana publishes for it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from grafana.build import optional
from grafana.classic import JsonDict
from tests.grafana.boards import BOARDS, FILES, RELEASES
from tests.tools import tool

pytestmark = pytest.mark.tier("monitoring")

# Annotation queries of Prometheus; their fields are the data source's, not the dashboard's.
PROMETHEUS_NOTE = {"expr", "step", "textFormat", "titleFormat", "useValueForTime"}


def check(schema: str, documents: Mapping[str, JsonDict], home: Path) -> str:
    """Return what the schema says against the documents, nothing if they fit."""
    for name, document in documents.items():
        path = home / name.replace("/", "-")
        path.write_text(json.dumps(document), encoding="utf-8")
    program = Path(sys.executable).with_name("check-jsonschema")
    files = sorted(str(path) for path in home.iterdir())
    argv = [str(program), "--schemafile", str(tool("grafana-schema") / schema), *files]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def classic(name: str) -> JsonDict:
    """Return a dashboard without what the schema leaves to others."""
    document = msgspec.json.decode((FILES | optional() | RELEASES)[name], type=JsonDict)
    notes = msgspec.convert(document["annotations"], dict[str, list[JsonDict]]).get("list", [])
    bare = [{k: v for k, v in note.items() if k not in PROMETHEUS_NOTE} for note in notes]
    kept = {k: v for k, v in document.items() if k not in {"__inputs", "__requires"}}
    return kept | {"annotations": {"list": bare}}


def test_classic_json_fits_the_schema(tmp_path: Path) -> None:
    names = [*BOARDS, *optional(), *(f"import/{name}" for name in BOARDS)]
    assert check("dashboard.json", {name: classic(name) for name in names}, tmp_path) == ""


def test_the_schema_would_notice(tmp_path: Path) -> None:
    """A validator that accepts anything proves nothing."""
    name = next(iter(BOARDS))
    broken = classic(name) | {"graphTooltip": "often"}
    assert "graphTooltip" in check("dashboard.json", {name: broken}, tmp_path)
