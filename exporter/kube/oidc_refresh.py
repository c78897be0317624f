"""Refresh OIDC tokens with the official Kubernetes package; run as a program by ``oidc``.

The package reads no time-out and sometimes returns the former token without an error, so it runs
in a process that can be killed. Standard input has the auth-provider's ``config`` in JSON; standard
output gets ``{"id-token": ..., "refresh-token": ...}``, or ``{"error": ...}`` with a sentence.
"""

import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import certifi
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config_from_dict
from oauthlib.oauth2 import OAuth2Error

from exporter.clienttls import tls_reason

_EXPIRED: Final = "e30.eyJleHAiOjB9.e30"
"""A token that expired in 1970: the package refreshes only what has expired."""

_MAX_REASON: Final = 300  # characters of the issuer's own explanation


def refreshed(config: dict[str, str]) -> dict[str, str]:
    """Exchange the refresh token at the issuer; return the keys of *config* that change."""
    config = {"client-secret": "", **config, "id-token": _EXPIRED}
    config["idp-issuer-url"] = config["idp-issuer-url"].rstrip("/")
    if not (
        config.get("idp-certificate-authority-data") or config.get("idp-certificate-authority")
    ):
        # Without an authority the package would trust whoever answers.
        config["idp-certificate-authority"] = _system_authorities()
    config = {key: value for key, value in config.items() if value or key == "client-secret"}
    client = Configuration()
    load_kube_config_from_dict(_kubeconfig(config), client_configuration=client)
    if config["id-token"] == _EXPIRED:
        raise LookupError("it serves no discovery document, or does not know the client-id")
    return {key: config[key] for key in ("id-token", "refresh-token")}


def reason(error: BaseException) -> str:
    """Describe in a few words why a refresh failed, never with a token."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLError):
            return tls_reason(each)
        if isinstance(each, OAuth2Error):
            words = str(each.description or each.error).split()
            return f"it refused the refresh token: {' '.join(words)[:_MAX_REASON]}"
        if isinstance(each, OSError) and each.strerror:
            return f"it cannot be reached: {each.strerror}"
    if isinstance(error, KeyError):
        return f"its answer has no {error.args[0]}"
    known = {LookupError: str(error), ValueError: "its answer is not what OpenID Connect defines"}
    unknown = f"it cannot be used: {type(error).__name__}"
    return next((text for kind, text in known.items() if isinstance(error, kind)), unknown)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those which caused it: urllib3 and requests wrap them in fields."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            causes = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
            waiting += [cause for cause in causes if isinstance(cause, BaseException)]


def _kubeconfig(config: dict[str, str]) -> dict[str, object]:
    """Wrap a user in the smallest kubeconfig; the package changes *config* in its place."""
    provider = {"name": "oidc", "config": config}
    return {
        "current-context": "oidc",
        "contexts": [{"name": "oidc", "context": {"cluster": "oidc", "user": "oidc"}}],
        "clusters": [{"name": "oidc", "cluster": {}}],
        "users": [{"name": "oidc", "user": {"auth-provider": provider}}],
    }


def _system_authorities() -> str:
    """Find the file of the authorities which the system trusts, else those of certifi."""
    paths = ssl.get_default_verify_paths()
    bundle = Path(paths.capath or "", "ca-certificates.crt")
    return paths.cafile or (str(bundle) if bundle.is_file() else certifi.where())


def main() -> None:
    """Read the configuration, print the tokens or the error."""
    try:
        answer = refreshed(json.load(sys.stdin))
    except Exception as error:  # noqa: BLE001 - the package raises what its four libraries raise
        answer = {"error": reason(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
