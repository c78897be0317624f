"""Refusals, spelled as metav1.Status as a real API server spells them."""

from typing import Any

import msgspec

from exporter.model.resource import Resource

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A response that is an error; ``status`` is its Status object."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        metadata = {"continue": continue_token} if continue_token else {}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": message,
        }
        if said := REASONS.get(code, "") if reason is None else reason:
            self.status["reason"] = said
        if details:
            self.status["details"] = details
        self.status["code"] = code

    @property
    def body(self) -> bytes:
        """The Status as JSON."""
        return msgspec.json.encode(self.status)


class PathNotFound(Exception):  # noqa: N818
    """Nothing is served at this path, a missing CRD's included; the response is text, no Status."""


def not_found(resource: Resource, name: str) -> Refusal:
    """No such object."""
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    message = f'{resource.name} "{name}" not found'
    return Refusal(404, message, details={k: v for k, v in details.items() if v})


def already_exists(resource: Resource, name: str) -> Refusal:
    """409: an object of this name exists already."""
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    message = f'{resource.name} "{name}" already exists'
    return Refusal(409, message, reason="AlreadyExists", details=details)


def too_large_version(wanted: int, current: int) -> Refusal:
    """504: the version asked for is in the future."""
    message = f"Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return Refusal(504, f"Timeout: {message}", reason="Timeout", details=details)


def invalid_options(field: str, why: str, reason: str = "FieldValueForbidden") -> Refusal:
    """422: the query's options contradict each other, or need a feature that is off."""
    message = f'ListOptions.meta.k8s.io "" is invalid: {field}: {why}'
    cause = {"reason": reason, "message": why, "field": field}
    details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]}
    return Refusal(422, message, details=details)


def forbidden(user: str, verb: str, resource: Resource, namespace: str) -> Refusal:
    """RBAC denies the request."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{resource.name} is forbidden: User "{user}" cannot {verb} resource '
        f'"{resource.plural}" in API group "{resource.group}" {where}'
    )
    return Refusal(403, message, details={"group": resource.group, "kind": resource.plural})
