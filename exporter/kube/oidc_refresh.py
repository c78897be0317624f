"""Refresh OIDC tokens with the official Kubernetes package; run as a program by ``oidc``.

The package has no time-out and sometimes returns the former token without an error, so it runs
in a process that can be killed. Standard input has the auth-provider's ``config`` in JSON; standard
output gets ``{"id-token": ..., "refresh-token": ...}``, or ``{"error": ...}`` with a sentence.
"""

import json
import ssl
import sys
from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import certifi
from kubernetes.client import Configuration
from kubernetes.config import kube_config, load_kube_config_from_dict
from oauthlib.oauth2 import InsecureTransportError, MissingTokenError, OAuth2Error

from exporter.clienttls import ClientTlsContext, TlsFiles, tls_reason
from exporter.errors import ConfigError

_EXPIRED: Final = "e30.eyJleHAiOjB9.e30"
"""A token that expired in 1970: the package refreshes only what has expired."""

_AUTHORITY_KEYS: Final = {"idp-certificate-authority", "idp-certificate-authority-data"}
_MAX_REASON: Final = 300  # characters of the issuer's own explanation


def refreshed(config: dict[str, str]) -> dict[str, str]:
    """Exchange the refresh token at the issuer; return the keys of *config* that change."""
    config = {key: value for key, value in config.items() if value}
    config = {"client-secret": "", **config, "id-token": _EXPIRED}
    config["idp-issuer-url"] = config["idp-issuer-url"].rstrip("/")
    if not _AUTHORITY_KEYS & config.keys():
        # Without an authority the package would trust whoever answers.
        config["idp-certificate-authority"] = _system_authorities()
    _check_authority(config)
    # The package's own client has no host, so its discovery would never use a proxy.
    kube_config.Configuration = partial(Configuration, host=config["idp-issuer-url"])
    client = Configuration()
    load_kube_config_from_dict(_kubeconfig(config), client_configuration=client)
    if config["id-token"] == _EXPIRED:
        raise ConfigError("it serves no discovery document, or does not know the client-id")
    tokens = {key: config[key] for key in ("id-token", "refresh-token")}
    if not all(isinstance(token, str) for token in tokens.values()):
        raise TypeError
    return tokens


def reason(error: BaseException) -> str:
    """Describe in a few words why a refresh failed, never with a token."""
    if isinstance(error, KeyError):
        return f"its response has no {error.args[0]}"
    if isinstance(error, ConfigError):
        return str(error)
    found = (_answer_reason(each) for each in _chain(error))
    return next(filter(None, found), "its response does not follow OpenID Connect")


def _answer_reason(error: BaseException) -> str:
    """Describe what the issuer or the way to it answered, "" for another error."""
    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    if isinstance(error, MissingTokenError | InsecureTransportError):
        return f"its response cannot be used: {error.description}"
    if isinstance(error, OAuth2Error):
        words = str(error.description or error.error).split()
        return f"it refused the refresh token: {' '.join(words)[:_MAX_REASON]}"
    if isinstance(error, OSError) and type(error).__module__ in (
        "builtins",
        "socket",
        "http.client",
    ):
        return f"it cannot be reached: {error.strerror or error}"
    return ""


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


def _check_authority(config: dict[str, str]) -> None:
    """Check the issuer's authority here: the package's errors do not name it."""
    pem = ""
    if data := config.get("idp-certificate-authority-data", ""):
        try:
            pem = b64decode("".join(data.split()), validate=True).decode()
        except ValueError as error:
            raise ConfigError("idp-certificate-authority-data: expected PEM in base64") from error
    ClientTlsContext(TlsFiles(ca=config.get("idp-certificate-authority", ""), ca_pem=pem)).context()


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
