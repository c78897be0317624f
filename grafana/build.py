"""Write the dashboards' JSON: python -m grafana.build, and --release DIR for the other forms."""

import argparse
import json
import sys
from pathlib import Path

from grafana.classic import JsonDict
from grafana.dashboards import frames
from grafana.dashboards.frame import render
from grafana.dashboards.journal import journal
from grafana.importable import importable

HERE = Path(__file__).parent


def files() -> dict[str, str]:
    """Return the text of every dashboard that needs only Prometheus, by its name in grafana/."""
    return {f"{frame.uid}.json": _text(render(frame)) for frame in frames()}


def optional() -> dict[str, str]:
    """Return the text of the dashboard that needs Loki, by its name in grafana/."""
    return {"loki/policy-journal.json": _text(render(journal()))}


def releases() -> dict[str, str]:
    """Return the forms that a release has besides: for import by hand, and as resources."""
    made = {}
    for frame in frames():
        classic = render(frame)
        made[f"import/{frame.uid}.json"] = _text(importable(classic))
        made[f"v1/{frame.uid}.json"] = _text(resource(frame.uid, classic))
    return made


def resource(uid: str, document: JsonDict) -> JsonDict:
    """Return a manifest for GitOps tools and Grafana's API, whose spec is the classic JSON.

    Grafana 12 and 13 accept this version; 13 migrates it to its version 2 on loading.
    """
    return {
        "apiVersion": "dashboard.grafana.app/v1beta1",
        "kind": "Dashboard",
        "metadata": {"name": uid},
        "spec": document,
    }


def _text(document: JsonDict) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write what differs and name it."""
    parser = argparse.ArgumentParser(prog="grafana.build", description=__doc__)
    parser.add_argument("--release", type=Path, metavar="DIR")
    home: Path | None = parser.parse_args().release
    for name, text in (files() | optional() | ({} if home is None else releases())).items():
        path = (home or HERE) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
