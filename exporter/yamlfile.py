"""YAML decoded: a file into a struct, a stream into documents; errors name file, line and key."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, NamedTuple, TypeVar

import msgspec
import yaml
from msgspec import inspect

from exporter.errors import TYPE_NAMES, ConfigError

T = TypeVar("T")
_ANY_KEY: Final = "..."
_PATH_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def decode(text: str, into: type[T], file: str, moved: Mapping[str, str] | None = None) -> T:
    """Decode strictly: unknown and repeated keys are errors, and nothing is converted.

    *moved* has the new names of keys that were renamed.

    Raises:
        ConfigError: with file, line, key, what was expected and the nearest known key.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_unreadable(error, file)) from error
    if root is None:
        root, value = yaml.MappingNode("", []), {}
    for node, key, complaint in _strangers(root, inspect.type_info(into), ""):
        target = (moved or {}).get(key)
        reason = f"this key has moved: use {target}" if target else complaint
        raise ConfigError(f"{file}:{_line(node)}: {key}: {reason}")
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise ConfigError(_misshapen(error, _Place(root, value, into), file)) from error


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
            yield name, key, "this key is repeated"
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


class _Place(NamedTuple):
    """The content of a file, as nodes and as a value, and the type that it was to have."""

    root: yaml.Node
    value: object
    into: object


def _misshapen(error: msgspec.ValidationError, place: _Place, file: str) -> str:
    complaint, _, path = str(error).replace("`", "").partition(" - at ")
    node, kind, key = place.root, inspect.type_info(place.into), ""
    steps: list[str | int] = []
    for name, index in _PATH_STEP.findall(path):
        step = _step(name, index, place, steps, str(error))
        key = f"{key}[{step}]" if isinstance(step, int) else f"{key}.{step}".lstrip(".")
        node, kind = _descend(node, step), _below(kind, step)
        steps.append(step)
    complaint = _expected(complaint, kind)
    if isinstance(node, yaml.ScalarNode) and _DURATION.fullmatch(node.value):
        complaint = complaint.replace("expected a number,", "expected a number of seconds,")
    if isinstance(node, yaml.ScalarNode) and complaint.startswith("expected "):
        found = f'"{node.value}"' if node.tag.endswith(":str") else node.value or "nothing"
        complaint = f"{complaint.partition(', got ')[0]}, got {found}"
    where = f"{file}:{_line(node)}"
    return f"{where}: {key}: {complaint}" if key else f"{where}: {complaint}"


def _step(name: str, index: str, place: _Place, before: list[str | int], said: str) -> str | int:
    """Spell a step of msgspec's path; msgspec does not name the key of a dictionary."""
    if index != _ANY_KEY:
        return name or int(index)
    for key, reduced in _by_key(place.value, before):
        try:
            msgspec.convert(reduced, place.into)
        except msgspec.ValidationError as error:
            if str(error) == said:
                return str(key)
    return _ANY_KEY


def _by_key(value: object, steps: list[str | int]) -> Iterator[tuple[object, object]]:
    """Copy a value for each key of the dictionary at the end of the steps, with that key only."""
    if not isinstance(value, dict | list):
        return
    if not steps:
        for key in value if isinstance(value, dict) else ():
            yield key, {key: value[key]}
        return
    step = steps[0]
    children = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    for key, changed in _by_key(children.get(step), steps[1:]):
        copied = children | {step: changed}
        yield key, copied if isinstance(value, dict) else [*copied.values()]


def _below(kind: inspect.Type, step: str | int) -> inspect.Type:
    """Follow one step through the types."""
    if isinstance(kind, inspect.UnionType):
        kind = next((t for t in kind.types if not isinstance(t, inspect.NoneType)), kind)
    return _children(kind).get(str(step), _item(kind))


def _expected(complaint: str, kind: inspect.Type) -> str:
    """Add which words are known to a complaint about one that is not."""
    word = complaint.removeprefix("Invalid enum value ")
    if word != complaint and isinstance(kind, inspect.LiteralType):
        known = ", ".join(str(each) for each in kind.values if each)
        return f"{word}: expected one of {known}"
    return in_words(complaint[:1].lower() + complaint[1:])


_WORDS: Final = {
    "float | int": "a number",
    **TYPE_NAMES,
    "object": "a mapping",
    "null": "nothing",
}
_DURATION: Final = re.compile(r"\d+(?:\.\d+)?\s*[a-z]+")
"""As Prometheus and Go write it; here, all durations are numbers of seconds."""
_TOKENS: Final = {
    "'<stream end>'": "the end of the file",
    "<block end>": "a line with the indentation of those above",
    "mapping values are": "wrong indentation, or a string that needs quotes: a ':' is",
    "found unexpected end of stream": "a quote is not closed",
    "'<block mapping start>'": "a mapping",
    "'<block sequence start>'": "a list",
    "'<scalar>'": "a string",
    "'<document start>'": "'---'",
    "the node content": "a value",
}
"""PyYAML's names of what it found."""
_TYPE: Final = re.compile(rf"\b({'|'.join(map(re.escape, _WORDS))})\b(?! (?:of|number|list))")


def in_words(complaint: str) -> str:
    """Write types as people call them: "expected a number, got a string"."""
    return _TYPE.sub(lambda found: _WORDS[found[1]], complaint).replace(" | ", " or ")


def _descend(node: yaml.Node, step: str | int) -> yaml.Node:
    """Follow one step through the nodes, staying put where it does not name a child."""
    below: yaml.Node = node
    if isinstance(node, yaml.MappingNode):
        below = next((child for key, child in node.value if key.value == step), node)
    elif isinstance(step, int) and isinstance(node, yaml.SequenceNode):
        below = node.value[step]
    return below


def _unreadable(error: yaml.YAMLError, file: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    return f"{file}{line}: not YAML: {problem_of(error)}"


def problem_of(error: Exception) -> str:
    """Write what PyYAML found wrong in words.

    Only the problem: the context that it prints may hold a password hash or a key.
    """
    unknown = "nested too deeply" if isinstance(error, RecursionError) else "unreadable character"
    problem = getattr(error, "problem", None) or unknown
    for token, words in _TOKENS.items():
        problem = problem.replace(token, words)
    return str(problem)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def documents(file: str, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Turn a stream of YAML documents into JSON, each with the number of lines before it.

    Raises:
        ConfigError: it is no YAML, or a key is in a mapping twice.
    """
    loader = _Loader(body)
    try:
        while loader.check_node():
            for node in _parted(loader.get_node()):
                document = loader.construct_document(node)
                if document is not None:
                    yield node.start_mark.line, msgspec.json.encode(document)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        twice = f": {error.problem}" if isinstance(error, _RepeatedKey) else ""
        raise ConfigError(f"{file}{line}: neither JSON nor YAML{twice}") from error
    finally:
        loader.dispose()


def _parted(node: yaml.Node) -> Iterator[yaml.Node]:
    """Split what is in one document because ``---`` was left out: at each apiVersion or kind."""
    if not isinstance(node, yaml.MappingNode):
        yield node
        return
    keys: set[object] = set()
    begin = 0
    for at, (key, _) in enumerate(node.value):
        if key.value in ("apiVersion", "kind") and key.value in keys:
            yield _part_of(node, begin, at)
            keys, begin = set(), at
        if key.value.__hash__:
            keys.add(key.value)
    yield _part_of(node, begin, len(node.value))


def _part_of(node: yaml.MappingNode, begin: int, end: int) -> yaml.Node:
    if end - begin == len(node.value):
        return node
    pairs = node.value[begin:end]
    return yaml.MappingNode(node.tag, pairs, pairs[0][0].start_mark, pairs[-1][1].end_mark)


class _RepeatedKey(yaml.constructor.ConstructorError):
    """A key is in one mapping twice, so that one of the values would be lost."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C or not
    """Leaves timestamps as the text that they are in JSON, and refuses repeated keys."""

    yaml_implicit_resolvers: ClassVar = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look for repeated keys before merged ones are put in."""
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in keys:
                    problem = f"the key {key.value} is repeated"
                    raise _RepeatedKey(None, None, problem, key.start_mark)
                keys.add(key.value)
        super().flatten_mapping(node)
