"""Print the JSON Schema of the journal's lines: ``make docs`` writes docs/journal.schema.json."""

import json

import msgspec

from exporter.journal.line import LINE_BYTES, Line


def schema() -> str:
    """Return the schema of one line, of draft 2020-12."""
    (definition,) = msgspec.json.schema_components([Line])[1].values()
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of policy-report-exporter's journal",
        "description": "Fields are added in minor versions; existing ones keep name and meaning "
        f"within a major version. A line with its newline has at most {LINE_BYTES} bytes.",
    }
    definition.pop("title")
    definition.pop("description")
    for field in definition["properties"].values():
        field.pop("default", None)  # a field without a value is left out
    return json.dumps(head | definition, indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
