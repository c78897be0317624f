"""Everything this program raises on purpose, split by what the caller does next.

ExporterError
├── ConfigError       say so and exit 2; at run time keep the old configuration
├── Malformed         an object, a page or a line did not have its shape: count it and skip it
├── StateError        the checkpoint cannot be used: say so, count from start
└── ApiError          the API server answered, but not with what was asked
    ├── Gone              410: the resource version is too old, list again
    ├── NotServed         404: the resource does not exist here, look again later
    ├── Refused           401 or 403: not permitted, look again later
    ├── Unsupported       the request has a feature that this server does not know
    └── Unavailable       no answer, or one worth asking again for, perhaps after a pause
"""

import re
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 300.0
"""The longest pause that a server may ask for: one that asks for a year is not believed."""


class ExporterError(Exception):
    """Base of every error that is reported to the user without a traceback."""


class ConfigError(ExporterError):
    """The command line, the environment or a file asks for something that cannot be done."""


class Malformed(ExporterError):  # noqa: N818 - the name says what the object is
    """An object did not have the shape its kind promises; the message names the field."""


class StateError(ExporterError):
    """The state directory or the checkpoint in it cannot be used."""


class ApiError(ExporterError):
    """The API server did not do what was asked.

    ``status`` is the HTTP status, 0 when there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Gone(ApiError):  # noqa: N818 - named after the HTTP status it stands for
    """The resource version is too old to watch or page from; list again."""


class NotServed(ApiError):  # noqa: N818
    """The resource does not exist on this server; look again later."""


class Refused(ApiError):  # noqa: N818
    """The credentials were not accepted (401) or do not permit this (403)."""


class Unsupported(ApiError):  # noqa: N818
    """The server does not know a feature that the request used; ask without it."""


class Unavailable(ApiError):  # noqa: N818
    """No answer, or one worth asking again for.

    ``retry_after`` is how many seconds the server asked to be left alone, at most
    ``MAX_RETRY_AFTER_SECONDS``; 0 if it did not say.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message, status)
        self.retry_after = min(max(retry_after, 0.0), MAX_RETRY_AFTER_SECONDS)


def error_of_status(status: int, message: str, retry_after: float = 0.0) -> ApiError:
    """Choose the error for an HTTP status that is not a success, by what to do next."""
    match status:
        case 410:
            return Gone(message, status)
        case 404:
            return NotServed(message, status)
        case 401 | 403:
            return Refused(message, status)
        case 400 | 405 | 406 | 422:
            return Unsupported(message, status)
        case _:
            return Unavailable(message, status, retry_after)


_QUOTED: Final = re.compile(r"`([^`]*)`")
TYPE_NAMES: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
"""msgspec's names of types, as people call them."""
_FOUND: Final = {"int": "a number", "float": "a decimal number"}


def explain(what: str, error: Exception) -> str:
    """Describe an error of msgspec: "Report a/b: results[3].policy: expected a string, got null".

    Python's names of types are replaced by JSON's.
    """
    complaint, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".")
    if not complaint.startswith("JSON"):
        complaint = complaint[:1].lower() + complaint[1:]
    complaint = _QUOTED.sub(_in_json, complaint)
    return f"{what}: {where}: {complaint}" if where else f"{what}: {complaint}"


def _in_json(match: re.Match[str]) -> str:
    """Name a type, or several as in "int | null"; quote a field."""
    types = match[1].split(" | ")
    if match.string[: match.start()].endswith("got ") and match[1] in _FOUND:
        return _FOUND[match[1]]
    if {"int", "float"} <= {*types}:
        types.remove("int")
    if all(each in TYPE_NAMES or each == "null" for each in types):
        return " or ".join(TYPE_NAMES.get(each, each) for each in types)
    return f"`{match[1]}`"
