"""An OpenTelemetry Collector that runs the documentation's configuration, and what it wrote."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.tools import Process, tool

PAGE: Final = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
SECTION: Final = PAGE.partition("### OpenTelemetry Collector")[2].partition("\n### ")[0]
OF_CONTAINERS: Final = ("container", "filter")
"""The operators that the page removes to read a file."""


def configuration(include: str, copy: Path, storage: Path, *, is_file: bool) -> dict[str, Any]:
    """Take the page's configuration, with other paths, and a file in place of the OTLP endpoint."""
    found = re.search(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    config: dict[str, Any] = yaml.safe_load(found[1])
    config["extensions"]["file_storage"]["directory"] = str(storage)
    receiver = config["receivers"]["filelog/journal"]
    receiver["include"] = [include]
    if is_file:
        receiver["operators"] = [o for o in receiver["operators"] if o["type"] not in OF_CONTAINERS]
    config["exporters"] = {"file": {"path": str(copy), "append": True, "flush_interval": "100ms"}}
    config["service"]["pipelines"]["logs/journal"]["exporters"] = ["file"]
    config["service"]["telemetry"] = {"metrics": {"level": "none"}}
    return config


@contextmanager
def collecting(include: str, copy: Path, *, is_file: bool = True) -> Iterator[Process]:
    """Run the Collector until the block ends; a later one continues where it was."""
    work = copy.parent / "otelcol"
    work.mkdir(exist_ok=True)
    file = work / "config.yaml"
    file.write_text(json.dumps(configuration(include, copy, work, is_file=is_file)))
    command = [str(tool("otelcol")), f"--config={file}"]
    process = Process(command, cwd=work, ready=lambda: "Everything is ready" in process.log)
    with process:
        yield process


def records(copy: Path) -> list[dict[str, Any]]:
    """Read the log records that it wrote, without the half of a line at the end."""
    found: list[dict[str, Any]] = []
    for line in copy.read_bytes().split(b"\n")[:-1] if copy.exists() else ():
        for resource in json.loads(line)["resourceLogs"]:
            of_resource = attributes(resource["resource"])
            for scope in resource["scopeLogs"]:
                found += [
                    record | {"attributes": attributes(record), "resource": of_resource}
                    for record in scope["logRecords"]
                ]
    return found


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    """Read OTLP's list of keys and values."""
    return {each["key"]: value(each["value"]) for each in of.get("attributes", ())}


def value(of: dict[str, Any]) -> Any:
    """Read one value of OTLP in JSON."""
    ((kind, held),) = of.items()
    match kind:
        case "kvlistValue":
            return {each["key"]: value(each["value"]) for each in held["values"]}
        case "arrayValue":
            return [value(each) for each in held["values"]]
        case "intValue":
            return int(held)
        case _:
            return held
