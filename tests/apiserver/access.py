"""Who may do what: bearer tokens, and a callback in RBAC's place."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from exporter.model.resource import Resource
from exporter.simulator.status import Refusal, forbidden

Rule = Callable[[str, str, Resource, str], bool]


class Access(NamedTuple):
    """``tokens`` maps a bearer token to a user; None lets everybody in as system:anonymous.

    ``allows`` is asked with (user, verb, resource, namespace). Both are read at every request, so a
    test may rotate a token or take a right away.
    """

    tokens: Mapping[str, str] | None = None
    allows: Rule = lambda user, verb, resource, namespace: True

    def user(self, authorization: str) -> str:
        """Return the user behind an Authorization header. Raises Refusal 401."""
        if self.tokens is None:
            return "system:anonymous"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise Refusal(401, "Unauthorized")
        return self.tokens[token]

    def check(self, user: str, verb: str, resource: Resource, namespace: str) -> None:
        """Ask the rule. Raises Refusal 403."""
        if not self.allows(user, verb, resource, namespace):
            raise forbidden(user, verb, resource, namespace)
