"""Who an object says it is, even where the rest of it cannot be read."""

from typing import Final

import msgspec

from exporter.model.slices import Uncut, field

UNNAMED: Final = "(unnamed)"
_LONGEST: Final = 256
_text = msgspec.json.Decoder(str).decode


def identify(body: bytes) -> str:
    """Name an object that could not be decoded, "namespace/name" as far as it can be read."""
    try:
        metadata = field(body, "metadata") or b""
        parts = [_said(metadata, each) for each in ("namespace", "name")]
    except Uncut:
        return UNNAMED
    return "/".join(part for part in parts if part)[:_LONGEST] or UNNAMED


def _said(metadata: bytes, name: str) -> str:
    try:
        return _text(field(metadata, name) or b'""')
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
