"""The table of values in the chart's README, made from the comments of values.yaml."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
KEY = re.compile(r"^( *)([\w-]+):")
TYPES = {bool: "bool", int: "int", str: "string", list: "list", dict: "object"}


class Value(NamedTuple):
    """One documented value: ``path`` is its key with dots, ``default`` as YAML reads it."""

    path: str
    default: object
    text: str


def documented(values: str) -> Iterator[Value]:
    """Yield each value that a `# --` comment stands above, in the file's order."""
    tree: object = yaml.safe_load(values)
    path: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#") and comment:
            comment.append(stripped.removeprefix("#").strip())
        elif found := KEY.match(line):
            path[len(found[1]) // 2 :] = [found[2]]
            if comment:
                yield Value(".".join(path), at(tree, path), " ".join(comment))
            comment = []


def sections(values: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each section that a `# Section:` comment describes."""
    path: list[str] = []
    comment = ""
    for line in values.splitlines():
        stripped = line.strip()
        if stripped.startswith("# Section: "):
            comment = stripped.removeprefix("# Section: ")
        elif not stripped.startswith("#") and (found := KEY.match(line)):
            path[len(found[1]) // 2 :] = [found[2]]
            if comment:
                yield ".".join(path), comment
            comment = ""


def at(tree: object, path: list[str]) -> object:
    """Return what stands at the path."""
    for key in path:
        if not isinstance(tree, dict):
            raise TypeError(f"{'.'.join(path)}: what {key} is in is not an object")
        tree = tree[key]
    return tree


def row(value: Value) -> str:
    """Return the value's line of the table; a pipe would end its cell."""
    kind = TYPES.get(type(value.default), "bool")
    default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
    return f"| `{value.path}` | {kind} | `{default}` | {value.text.replace('|', chr(92) + '|')} |"


def table(values: str) -> str:
    """Return the table as Markdown."""
    head = ["| Value | Type | Default | What it does |", "|---|---|---|---|"]
    return "\n".join([*head, *map(row, documented(values))])


def with_table(readme: str, values: str) -> str:
    """Return the README with the table between its two marks."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(values)}\n{END}{after}"
