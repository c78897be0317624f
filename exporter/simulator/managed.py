"""metadata.managedFields as a real server would derive them from an object."""

from typing import Any

_ATOMIC = frozenset(("scope", "regarding", "related", "involvedObject", "selector"))


def managed_fields(data: dict[str, Any], manager: str, time: str) -> list[dict[str, Any]]:
    """One entry: the manager owns every field that the object has."""
    fields = {
        f"f:{key}": _metadata(value) if key == "metadata" else _fields(key, value)
        for key, value in data.items()
        if key not in ("apiVersion", "kind")
    }
    return [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": data["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": {key: value for key, value in fields.items() if value is not None},
        }
    ]


def _fields(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or key in _ATOMIC:
        return {}
    return {".": {}} | {f"f:{name}": _fields(name, inner) for name, inner in value.items()}


def _metadata(metadata: dict[str, Any]) -> dict[str, Any] | None:
    owned: dict[str, Any] = {
        f"f:{key}": _fields(key, metadata[key])
        for key in ("annotations", "labels")
        if metadata.get(key)
    }
    owners = metadata.get("ownerReferences")
    if owners:
        by_uid: dict[str, Any] = {f'k:{{"uid":"{owner["uid"]}"}}': {} for owner in owners}
        owned["f:ownerReferences"] = {".": {}} | by_uid
    return owned or None
