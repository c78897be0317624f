"""Write the dashboards' JSON: provisioned, for import by hand, and in Grafana's v2 schema."""

import json
import sys
from pathlib import Path

from grafana.classic import JsonDict
from grafana.dashboards import frames
from grafana.dashboards.frame import render
from grafana.importable import importable
from grafana.schema_v2 import resource

HERE = Path(__file__).parent


def files() -> dict[str, str]:
    """Return the text of every generated file, by its path below grafana/."""
    made = {}
    for frame in frames():
        classic = render(frame)
        made[f"{frame.uid}.json"] = _text(classic)
        made[f"import/{frame.uid}.json"] = _text(importable(classic))
        made[f"v2/{frame.uid}.json"] = _text(resource(classic))
    return made


def _text(document: JsonDict) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write what differs and name it."""
    for name, text in files().items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
