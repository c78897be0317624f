"""Decodes a YAML file into a struct, and says exactly what is wrong with it."""

import difflib
import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec
import yaml
from msgspec import inspect

from exporter.errors import ConfigError

T = TypeVar("T")
_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def decode(text: str, into: type[T], file: str) -> T:
    """Decode strictly: unknown and repeated keys are errors, and nothing is converted.

    The ConfigError names file, line, key, what was expected and the nearest known key.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_unreadable(error, file)) from error
    if root is None:
        root, value = yaml.MappingNode("", []), {}
    for node, key, complaint in _strangers(root, inspect.type_info(into), ""):
        raise ConfigError(f"{file}:{_line(node)}: {key}: {complaint}")
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise ConfigError(_misshapen(error, root, file)) from error


def _strangers(
    node: yaml.Node, kind: inspect.Type, path: str
) -> Iterator[tuple[yaml.Node, str, str]]:
    """Walk the nodes that ``kind`` describes, and yield each key that does not belong."""
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _strangers(node, each, path)
    elif isinstance(node, yaml.MappingNode):
        yield from _strange_keys(node, kind, path)
    elif isinstance(node, yaml.SequenceNode):
        for place, child in enumerate(node.value):
            yield from _strangers(child, _item(kind), f"{path}[{place}]")


def _strange_keys(
    node: yaml.MappingNode, kind: inspect.Type, path: str
) -> Iterator[tuple[yaml.Node, str, str]]:
    known = _children(kind)
    seen = set()
    for name, child in node.value:
        key = f"{path}.{name.value}".lstrip(".")
        if name.value in seen:
            yield name, key, "stands here twice"
        elif known and name.value not in known:
            yield name, key, _unknown(name.value, known)
        else:
            yield from _strangers(child, known.get(name.value, _item(kind)), key)
        seen.add(name.value)


def _children(kind: inspect.Type) -> dict[str, inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return {field.encode_name: field.type for field in kind.fields}
    return {}


def _item(kind: inspect.Type) -> inspect.Type:
    """Find the type of what a list or a dictionary holds."""
    match kind:
        case inspect.DictType(value_type=item):
            return item
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return item
        case _:
            return inspect.AnyType()


def _unknown(name: str, known: dict[str, inspect.Type]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    return f"unknown key, expected one of {', '.join(sorted(known))}"


def _misshapen(error: msgspec.ValidationError, root: yaml.Node, file: str) -> str:
    complaint, _, path = str(error).replace("`", "").partition(" - at ")
    node, key = root, ""
    for name, index in _PATH_STEP.findall(path):
        key = f"{key}.{name}".lstrip(".") if name else f"{key}[{index}]"
        node = _descend(node, name, index)
    place = f"{file}:{_line(node)}"
    complaint = complaint[:1].lower() + complaint[1:]
    return f"{place}: {key}: {complaint}" if key else f"{place}: {complaint}"


def _descend(node: yaml.Node, name: str, index: str) -> yaml.Node:
    """Follow one step of msgspec's path, staying put where it does not say which way."""
    below: yaml.Node = node
    if name and isinstance(node, yaml.MappingNode):
        below = next((child for key, child in node.value if key.value == name), node)
    elif index.isdecimal() and isinstance(node, yaml.SequenceNode):
        below = node.value[int(index)]
    return below


def _unreadable(error: yaml.YAMLError, file: str) -> str:
    # Only the problem: the context that PyYAML prints may hold a password hash or a key.
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    return f"{file}{line}: not YAML: {getattr(error, 'problem', None) or 'unreadable character'}"


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1
