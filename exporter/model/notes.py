"""The grammar of the notes in Kyverno's PolicyViolation Events, versions 1.9 to 1.19.

    policy note = [combined] Kind SP [ns "/"] name ": " ["[" rule "] "] status [" (blocked)"]
                  ["; " message]

The rule is absent for CEL policies (empty brackets in 1.14 and 1.15). Kyverno truncates notes at
1024 bytes since 1.13, perhaps within a character; everything before the message survives that.
"""

import re
from typing import Final, NamedTuple

_COMBINED: Final = r"^(?:\(combined from similar events\): )?"
_STATUS: Final = r"pass|fail|warning|error|skip"
_POLICY_NOTE: Final = re.compile(
    _COMBINED + r"(?P<kind>[A-Za-z][A-Za-z0-9-]*) (?:(?P<namespace>[^/\s]+)/)?(?P<name>[^/\s]+): "
    rf"(?:\[(?P<rule>.*?)\] (?=(?:{_STATUS})\b|\(|;|$))?"
    rf"(?P<status>{_STATUS}|)(?P<blocked> \(blocked\))?(?:; (?P<message>.*))?$",
    re.DOTALL,
)
_MOST: Final = 4096


class Note(NamedTuple):
    """What a policy's note says about a resource; ``status`` is Kyverno's engine word."""

    kind: str
    namespace: str
    name: str
    rule: str
    status: str
    blocked: bool
    message: str


def parse_note(text: str) -> Note | None:
    """Read the note of an Event that regards a policy; None when it is not of the grammar.

    Only the first 4096 characters are read: the API server allows 1024 bytes.
    """
    match = _POLICY_NOTE.match(text[:_MOST])
    if match is None:
        return None
    kind, namespace, name, rule, status, blocked, message = match.groups(default="")
    return Note(kind, namespace, name, rule, status, bool(blocked), message)
