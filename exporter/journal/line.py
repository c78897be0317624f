"""The lines of the journal: their fields, and how they are bounded and written."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

LINE_BYTES: Final = 16 * 1024
"""The longest line with its newline: container runtimes split longer ones."""

EventName = Literal[
    "failure_opened",
    "failure_closed",
    "request_blocked",
    "violation_allowed",
    "policy_changed",
    "exporter_started",
    "gap",
]
"""The kinds of occurrence."""

_ID_BYTES: Final = 16
_MESSAGE_STEP: Final = 0.5
# In JSON only U+0000 to U+001F must be escaped. Terminals also act on DEL and the C1 controls,
# viewers on line and paragraph separators and on marks that change the direction of text.
_CONTROLS: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ENCODER: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One occurrence. A field that is not known, or has no meaning for its kind, is left out."""

    timestamp: Annotated[
        str,
        Meta(
            description="When it happened, RFC 3339 in UTC. OpenTelemetry: Timestamp. For "
            "failure_opened this is the start of the failure; for requests, the time of the Event."
        ),
    ]
    observed_timestamp: Annotated[
        str,
        Meta(
            description="When the exporter noticed it, RFC 3339 in UTC. OpenTelemetry: "
            "ObservedTimestamp. Use it as the entry's time in Loki, which refuses old entries."
        ),
    ]
    event_name: Annotated[
        EventName, Meta(description="The kind of occurrence. OpenTelemetry: EventName.")
    ]
    id: Annotated[
        str,
        Meta(
            description="32 hexadecimal digits that identify the occurrence. A repeated line has "
            "the same id, so deduplicate by id."
        ),
    ]
    severity_text: Annotated[
        Literal["INFO", "WARN"],
        Meta(description="How urgent the line is. OpenTelemetry: SeverityText."),
    ]
    body: Annotated[
        str,
        Meta(
            description="The engine's message about the failure or the request, or a text by the "
            "exporter. OpenTelemetry: Body."
        ),
    ] = ""
    cluster: Annotated[str, Meta(description="The cluster's name: --cluster, or the context.")] = ""
    namespace: Annotated[
        str, Meta(description="The namespace of the resource; absent if it is cluster-scoped.")
    ] = ""
    namespace_labels: Annotated[
        dict[str, str],
        Meta(
            description="The labels of the namespace that labels.namespace_labels lists, with the "
            "label names of the metrics."
        ),
    ] = {}
    workload_kind: Annotated[
        str,
        Meta(
            description="The kind of the workload that owns the resource, such as Deployment; the "
            "kind of the resource itself if it has no owner."
        ),
    ] = ""
    workload: Annotated[
        str,
        Meta(
            description="The name of the workload that owns the resource, if known; "
            "the name of the resource itself if it has no owner."
        ),
    ] = ""
    resource_kind: Annotated[str, Meta(description="The kind of the resource.")] = ""
    resource_name: Annotated[str, Meta(description="The name of the resource.")] = ""
    resource_uid: Annotated[str, Meta(description="The uid of the resource, if it is known.")] = ""
    policy: Annotated[
        str, Meta(description="The policy, as namespace/name if it is namespaced.")
    ] = ""
    policy_kind: Annotated[
        str, Meta(description="The kind of the policy; absent for failures.")
    ] = ""
    rule: Annotated[str, Meta(description="The rule of the policy.")] = ""
    severity: Annotated[
        str,
        Meta(description="The policy's severity: critical, high, medium, low, info or none."),
    ] = ""
    category: Annotated[str, Meta(description="The policy's category.")] = ""
    source: Annotated[str, Meta(description="The source of the result, as in the metrics.")] = ""
    controller: Annotated[
        str,
        Meta(description="The controller that wrote the Event: admission or scan."),
    ] = ""
    ordinal: Annotated[
        int,
        Meta(description="Number of the violation, from 1, among those that its Event represents."),
    ] = 0
    since: Annotated[str, Meta(description="Start of the failure, RFC 3339 in UTC.")] = ""
    duration_seconds: Annotated[
        int | None, Meta(description="How long a closed failure was open, in seconds.")
    ] = None
    reason: Annotated[
        str,
        Meta(
            description="failure_closed: the result now (pass, warn, error, skip), not_reported "
            "or report_deleted. policy_changed: created, changed or deleted. "
            "exporter_started: checkpoint or no_checkpoint. gap: why something may be missing."
        ),
    ] = ""
    changed: Annotated[
        tuple[str, ...],
        Meta(description="policy_changed: what changed (mode, ready, spec, and others)."),
    ] = ()
    mode: Annotated[str, Meta(description="policy_changed: the policy's mode now.")] = ""
    former_mode: Annotated[str, Meta(description="policy_changed: its mode before.")] = ""
    ready: Annotated[
        bool | None, Meta(description="policy_changed: whether the policy is ready now.")
    ] = None
    former_ready: Annotated[
        bool | None, Meta(description="policy_changed: whether it was ready before.")
    ] = None
    seconds: Annotated[
        int | None, Meta(description="gap: length of the time without Events, in seconds.")
    ] = None
    lines: Annotated[int | None, Meta(description="gap: number of missing lines.")] = None
    version: Annotated[str, Meta(description="exporter_started: the exporter's version.")] = ""
    truncated: Annotated[
        bool,
        Meta(description="Whether body or namespace_labels were cut to keep the line at 16 KB."),
    ] = False


def occurrence_id(*parts: str | int) -> str:
    """Hash what identifies an occurrence; other parts give another id, wherever they are cut."""
    try:
        text = _ENCODER.encode(parts)
    except UnicodeEncodeError:  # half a surrogate pair
        text = repr(parts).encode(errors="backslashreplace")
    return blake2b(text, digest_size=_ID_BYTES).hexdigest()


def rfc3339(seconds: float) -> str:
    """Write Unix seconds as an instant in UTC, with milliseconds; empty beyond year 9999."""
    try:
        whole = int(seconds // 1)
        more, micros = divmod(round((seconds - whole) * 1_000_000), 1_000_000)
        return f"{_to_the_second(whole + more)}.{micros // 1000:03d}Z"
    except (OverflowError, ValueError, OSError):
        return ""


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def encode_line(line: Line) -> bytes:
    """Write a line with its newline, at most LINE_BYTES; control characters are escaped."""
    encoded = _encode(line)
    if len(encoded) <= LINE_BYTES:
        return encoded
    replace = msgspec.structs.replace
    keep = len(line.body)
    while keep and len(encoded) > LINE_BYTES:
        keep = int(keep * _MESSAGE_STEP)
        encoded = _encode(replace(line, body=line.body[:keep], truncated=True))
    if len(encoded) > LINE_BYTES:
        encoded = _encode(replace(line, body="", namespace_labels={}, truncated=True))
    return encoded


def _encode(line: Line) -> bytes:
    try:
        encoded = _ENCODER.encode(line)
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot hold
        fields = {name: _whole(getattr(line, name)) for name in line.__struct_fields__}
        encoded = _ENCODER.encode(Line(**fields))  # type: ignore[arg-type]  # as they were
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded + b"\n"
    text = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded.decode())
    return text.encode() + b"\n"


def _whole(value: object) -> object:
    """Replace halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return value
