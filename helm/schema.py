"""Descriptions of values.schema.json, taken from the comments of values.yaml."""

from typing import TypeAlias

from helm import readme

Schema: TypeAlias = "dict[str, Schema | list[Schema | str] | str | int | bool]"


def described(schema: Schema, values: str) -> Schema:
    """Return the schema with each property described as values.yaml describes it.

    A property that is not in values.yaml keeps the description that it has.
    """
    comments = {value.path: value.text for value in readme.documented(values)}
    comments |= dict(readme.sections(values))
    return _described(schema, comments, "")


def _described(schema: Schema, comments: dict[str, str], path: str) -> Schema:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    found: Schema = {}
    for name, below in properties.items():
        if not isinstance(below, dict):
            raise TypeError(f"{path}.{name}: a property is an object")
        inside = f"{path}.{name}".strip(".")
        text = comments.get(inside, below.get("description", ""))
        rest: Schema = {key: value for key, value in below.items() if key != "description"}
        head: Schema = {"description": text} if text else {}
        found[name] = head | _described(rest, comments, inside)
    return {**schema, "properties": found}
