"""Log in with an ``auth-provider`` named oidc, as kubectl does.

An id-token that has not expired is used as it is; else the refresh token is exchanged for new
ones, which are written back to the kubeconfig. The keys are client-go's:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-kubectl
"""

import asyncio
import json
import logging
import os
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, NamedTuple, TypeVar

import msgspec
import yaml

import exporter
from exporter.errors import ConfigError, Refused
from exporter.kube.access import EXPIRY_LEEWAY_SECONDS, bearer
from exporter.kube.transport import environment_proxy

OIDC_SECONDS: Final = 60.0
_ISSUER: Final = "idp-issuer-url"
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_IN_MEMORY: Final = (
    "kubeconfig %s: the refreshed OIDC tokens of user %s are kept in memory only: %s"
)

Found = TypeVar("Found")

log = logging.getLogger(__name__)


class AuthProvider(msgspec.Struct, frozen=True):
    """A way to log in that is built into kubectl. Its ``config`` has secrets."""

    name: str = ""
    config: dict[str, str] = {}

    def check(self) -> None:
        """Check what client-go requires before it logs in.

        Raises:
            ConfigError: another provider than oidc, or a key is missing.
        """
        if self.name != "oidc":
            raise ConfigError(
                f"auth-provider {self.name} is not supported, "
                "expected an exec plugin such as kubelogin"
            )
        for key in (_ISSUER, "client-id"):
            if not self.config.get(key):
                raise ConfigError(f"auth-provider oidc: {key} is missing")


class OidcUser(NamedTuple):
    """A user entry with an auth-provider, and the file that has it."""

    name: str
    provider: AuthProvider
    file: Path


class _IdTokenClaims(msgspec.Struct, frozen=True):
    exp: float


class OidcTokens:
    """The tokens of one user. They are kept here too, as the file may be read-only."""

    def __init__(self, environ: Mapping[str, str], seconds: float = OIDC_SECONDS) -> None:
        self._environ = environ
        self._seconds = seconds
        self._read: dict[str, str] = {}  # the config that the file had at the last login
        self._config: dict[str, str] = {}  # the same, with the newest tokens

    async def login(self, user: OidcUser) -> tuple[str, float]:
        """Return a header value and the Unix seconds at which its token expires.

        Raises:
            Refused: there is no valid token and the issuer gave none.
        """
        where = f"user {user.name}: OIDC issuer {user.provider.config[_ISSUER]}"
        if user.provider.config not in (self._read, self._config):
            self._config = user.provider.config
        self._read = user.provider.config
        try:
            expires = _expiry(self._config.get("id-token", ""))
            if expires - EXPIRY_LEEWAY_SECONDS < time.time():
                tokens = await self._refresh()
                self._config = {**self._config, **tokens}
                _write_back(user, tokens)
                expires = _expiry(tokens["id-token"])
            return bearer(self._config["id-token"], "the id-token"), expires
        except (ConfigError, Refused) as error:
            raise Refused(f"{where}: {error}") from error

    async def _refresh(self) -> dict[str, str]:
        """Have another process exchange the refresh token, for a bounded time."""
        issuer = self._config[_ISSUER]
        if not issuer.startswith("https://"):
            raise Refused("expected an https URL")
        if not self._config.get("refresh-token"):
            raise Refused("the id-token has expired and there is no refresh-token; log in again")
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "exporter.kube.oidc_refresh"),
                env=_process_environment(issuer, self._environ),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise Refused(f"the refresh cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._seconds):
                output, _ = await process.communicate(json.dumps(self._config).encode())
        except TimeoutError as error:
            raise Refused(f"no response within {self._seconds:.0f} seconds") from error
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        try:
            answer = msgspec.json.decode(output, type=dict[str, str])
        except msgspec.DecodeError as error:
            raise Refused(f"the refresh ended with status {process.returncode}") from error
        if "error" in answer:
            raise Refused(answer["error"])
        if not _expiry(answer["id-token"]):
            raise Refused("expected an id_token that is a JWT with an expiry")
        return answer


def _expiry(token: str) -> float:
    """Read a JWT's expiry in Unix seconds, 0 if it has none that can be read."""
    try:
        claims = token.split(".")[1]
        padded = claims + "=" * (-len(claims) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=_IdTokenClaims).exp
    except (IndexError, ValueError, msgspec.DecodeError):
        return 0.0


def _process_environment(issuer: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Name the issuer's proxy by Go's rules; the package has others for NO_PROXY."""
    proxy = environment_proxy(issuer, environ)
    variables = {key: each for key, each in environ.items() if key.lower() not in _PROXIES}
    if proxy:
        variables["https_proxy"] = proxy
    modules = [str(Path(exporter.__file__).parents[1]), *filter(None, sys.path)]
    return {**variables, "PYTHONPATH": os.pathsep.join(modules)}


def _write_back(user: OidcUser, tokens: Mapping[str, str]) -> None:
    """Write new tokens to the kubeconfig as kubectl does: many issuers take each only once."""
    try:
        file = user.file.resolve()
        text = _replaced(file.read_text(encoding="utf-8"), user.name, tokens)
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as new:
            try:
                new.write(text)
                new.close()
                Path(new.name).chmod(file.stat().st_mode & 0o777)
                Path(new.name).replace(file)
            finally:
                Path(new.name).unlink(missing_ok=True)
    except OSError as error:
        log.warning(_IN_MEMORY, user.file, user.name, error.strerror)
    except (LookupError, TypeError, ValueError, yaml.YAMLError):
        log.warning(_IN_MEMORY, user.file, user.name, "the file has changed")


def _replaced(text: str, user: str, tokens: Mapping[str, str]) -> str:
    """Replace the tokens in a kubeconfig's text and leave all else as it is, comments too.

    Raises:
        LookupError: the text has no such user, or not in a form that can be replaced.
    """
    expected = yaml.safe_load(text)
    entry = _first(each for each in expected["users"] if each["name"] == user)
    entry["user"]["auth-provider"]["config"].update(tokens)
    users = _field(yaml.compose(text, Loader=yaml.SafeLoader), "users")[1]
    node = _first(each for each in users.value if _field(each, "name")[1].value == user)
    for key in ("user", "auth-provider", "config"):
        node = _field(node, key)[1]
    edits = []
    for key, token in tokens.items():
        try:
            old = _field(node, key)[1]
            edits.append((old.start_mark.index, old.end_mark.index, json.dumps(token)))
        except LookupError:
            start = _field(node, "refresh-token")[0].start_mark
            comma = ", " if node.flow_style else "\n" + " " * start.column
            edits.append((start.index, start.index, f'"{key}": "{token}"{comma}'))
    for first, end, new in sorted(edits, reverse=True):
        text = text[:first] + new + text[end:]
    if yaml.safe_load(text) != expected:
        raise LookupError(user)
    return text


def _field(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node]:
    """Return the key and the value of a mapping's field."""
    fields: list[tuple[yaml.Node, yaml.Node]] = node.value if node else []
    return _first(pair for pair in fields if pair[0].value == key)


def _first(found: Iterable[Found]) -> Found:
    for each in found:
        return each
    raise LookupError
