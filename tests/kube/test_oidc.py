"""Users that log in by OpenID Connect, at a real issuer over TLS."""

import base64
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from exporter.errors import ConfigError, Refused
from exporter.kube.kubeconfig import Kubeconfig
from exporter.kube.oidc import AuthProvider, OidcTokens, OidcUser
from tests.kube.kubeconfigs import kubeconfig
from tests.kube.serving import json as served_json
from tests.kube.serving import never, server_side, serving
from tests.pki import Authority

SERVER = "https://127.0.0.1:6443"
HOUR = 3600.0


def jwt(expires_in: float, subject: str = "jane") -> str:
    """Make an id-token; the exporter cannot check signatures, so it has none."""
    claims = {"sub": subject, "exp": int(time.time() + expires_in)}
    parts = (base64.urlsafe_b64encode(json.dumps(each).encode()) for each in ({}, claims))
    return ".".join(part.decode().rstrip("=") for part in parts) + ".c2ln"


class Issuer:
    """An identity provider that accepts each refresh token once, as strict ones do."""

    def __init__(self, lifetime: float = HOUR) -> None:
        self.url = ""
        self.accepted = "refresh-0"
        self.lifetime = lifetime
        self.granted: list[str] = []
        self.credentials: list[str] = []
        self.asked: list[str] = []
        self.discovery_status = 200
        self.without: set[str] = set()
        self.silent = False

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve the discovery document and the token endpoint."""
        self.asked.append(request.path)
        if self.silent:
            await never()
        if request.path == "/realm/.well-known/openid-configuration":
            document = {"issuer": self.url, "token_endpoint": f"{self.url}/token"}
            return served_json(json.dumps(document), self.discovery_status)
        body = (await request.text()).split("&")
        self.credentials.append(request.headers.get("Authorization", ""))
        assert "grant_type=refresh_token" in body
        if f"refresh_token={self.accepted}" not in body:
            error = {"error": "invalid_grant", "error_description": "Token is not active"}
            return served_json(json.dumps(error), 400)
        self.granted.append(jwt(self.lifetime, f"jane-{len(self.granted)}"))
        self.accepted = f"refresh-{len(self.granted)}"
        answer = {
            "access_token": "a",
            "token_type": "Bearer",
            "scope": "openid",
            "id_token": self.granted[-1],
            "refresh_token": self.accepted,
        }
        kept = {key: value for key, value in answer.items() if key not in self.without}
        return served_json(json.dumps(kept))


@asynccontextmanager
async def issuing(folder: Path, issuer: Issuer) -> AsyncIterator[Issuer]:
    """Serve an issuer over TLS, below a path as Keycloak's; ``ca.crt`` is its authority."""
    authority = Authority()
    (folder / "ca.crt").write_text(authority.pem)
    async with serving(issuer.answer, server_side(folder, authority.server())) as url:
        issuer.url = f"{url}/realm"
        yield issuer


def login(folder: Path, url: str, **keys: str | None) -> str:
    """Write a kubeconfig with an oidc user; a key that is None is left out."""
    config = {
        "idp-issuer-url": url,
        "client-id": "kubectl",
        "client-secret": "s3cret",
        "idp-certificate-authority": str(folder / "ca.crt"),
        "id-token": jwt(-HOUR),
        "refresh-token": "refresh-0",
        **{key.replace("_", "-"): value for key, value in keys.items()},
    }
    found = {key: value for key, value in config.items() if value is not None}
    return kubeconfig(folder, SERVER, {"auth-provider": {"name": "oidc", "config": found}})


def config_of(path: str) -> dict[str, str]:
    """Read the configuration of the first user's auth-provider."""
    user = yaml.safe_load(Path(path).read_text())["users"][0]["user"]
    config: dict[str, str] = user["auth-provider"]["config"]
    return config


def tokens(path: str) -> tuple[str, str]:
    """Read the id-token and the refresh token in a kubeconfig."""
    config = config_of(path)
    return config["id-token"], config["refresh-token"]


async def refused(path: str) -> str:
    with pytest.raises(Refused) as caught:
        await Kubeconfig(path).access()
    return str(caught.value)


async def test_an_id_token_that_has_not_expired_is_used_as_it_is(tmp_path: Path) -> None:
    token = jwt(HOUR)
    path = login(tmp_path, "https://127.0.0.1:1", id_token=token)
    assert (await Kubeconfig(path).access()).authorization == f"Bearer {token}"


@pytest.mark.parametrize(
    "token", [jwt(-HOUR), None, "no JWT"], ids=["expired", "none", "malformed"]
)
async def test_an_id_token_that_is_not_valid_is_refreshed_and_written_back(
    tmp_path: Path, token: str | None
) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, id_token=token)
        access = await Kubeconfig(path).access()
    assert access.authorization == f"Bearer {issuer.granted[0]}"
    assert tokens(path) == (issuer.granted[0], "refresh-1")
    basic = base64.b64encode(b"kubectl:s3cret").decode()
    assert issuer.credentials == [f"Basic {basic}"]


async def test_tokens_are_refreshed_again_before_they_expire(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer(lifetime=30)) as issuer:
        path = login(tmp_path, issuer.url)
        credentials = Kubeconfig(path)
        first = await credentials.access()
        second = await credentials.access()
    assert [first.authorization, second.authorization] == [f"Bearer {t}" for t in issuer.granted]
    assert tokens(path) == (issuer.granted[1], "refresh-2")


def behind_a_link(path: Path) -> tuple[Path, str]:
    """Put comments into a kubeconfig and a link in its place; return the real file and its text."""
    real = path.with_name("real")
    text = path.read_text().replace("users:", "# who we are\nusers:  # one only")
    real.write_text(text)
    real.chmod(0o640)
    path.unlink()
    path.symlink_to(real)
    return real, text


async def test_all_else_in_the_kubeconfig_stays_as_it_is(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, id_token="e30.e30.old")
        real, text = behind_a_link(Path(path))
        await Kubeconfig(path).access()
    changed = text.replace("e30.e30.old", f'"{issuer.granted[0]}"')
    assert real.read_text() == changed.replace("refresh-0", '"refresh-1"')
    assert (real.stat().st_mode & 0o777, real.with_name("here.kubeconfig").is_symlink()) == (
        0o640,
        True,
    )


async def test_a_new_login_with_kubectl_replaces_tokens_kept_in_memory(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer(lifetime=30)) as issuer:
        path = login(tmp_path, issuer.url)
        credentials = Kubeconfig(path)
        await credentials.access()
        login(tmp_path, issuer.url, id_token=(token := jwt(HOUR, "joe")))
        access = await credentials.access()
    assert access.authorization == f"Bearer {token}"


def as_json(path: Path) -> None:
    path.write_text(json.dumps(yaml.safe_load(path.read_text())))


async def test_a_kubeconfig_in_json_stays_json(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, id_token=None)
        as_json(Path(path))
        await Kubeconfig(path).access()
    user = json.loads((tmp_path / "here.kubeconfig").read_text())["users"][0]["user"]
    assert user["auth-provider"]["config"]["id-token"] == issuer.granted[0]


async def test_a_kubeconfig_that_cannot_be_written_does_not_break_the_login(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The new file beside it would have too long a name: that stops root as well."""
    async with issuing(tmp_path, Issuer(lifetime=30)) as issuer:
        path = login(tmp_path, issuer.url)
        long = tmp_path / ("k" * 255)
        shutil.copy(path, long)
        with caplog.at_level(logging.WARNING):
            credentials = Kubeconfig(str(long))
            first = await credentials.access()
            second = await credentials.access()
    assert [first.authorization, second.authorization] == [f"Bearer {t}" for t in issuer.granted]
    assert tokens(str(long)) == tokens(path)
    warning = f"kubeconfig {long}: the refreshed OIDC tokens of user here are kept in memory only: "
    assert caplog.messages == [f"{warning}File name too long"] * 2


async def test_a_public_client_needs_no_secret_and_an_authority_may_be_inline(
    tmp_path: Path,
) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        inline = base64.b64encode((tmp_path / "ca.crt").read_bytes()).decode()
        path = login(
            tmp_path,
            f"{issuer.url}/",
            client_secret=None,
            idp_certificate_authority=None,
            idp_certificate_authority_data=inline,
        )
        access = await Kubeconfig(path).access()
    assert access.authorization == f"Bearer {issuer.granted[0]}"


async def test_without_an_authority_the_system_s_authorities_count(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, idp_certificate_authority=None)
        trusting = {"SSL_CERT_FILE": str(tmp_path / "ca.crt")}
        access = await Kubeconfig(path, environ=trusting).access()
    assert access.authorization == f"Bearer {issuer.granted[0]}"


async def test_a_loopback_issuer_is_reached_without_the_environment_s_proxies(
    tmp_path: Path,
) -> None:
    dead = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    async with issuing(tmp_path, Issuer()) as issuer:
        access = await Kubeconfig(login(tmp_path, issuer.url), environ=dead).access()
    assert access.authorization == f"Bearer {issuer.granted[0]}"


async def test_an_issuer_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.silent = True
    async with issuing(tmp_path, issuer):
        provider = AuthProvider("oidc", config_of(login(tmp_path, issuer.url)))
        user = OidcUser("here", provider, tmp_path / "here.kubeconfig")
        with pytest.raises(Refused, match=f"{issuer.url}: no response within 3 seconds"):
            await OidcTokens(os.environ, seconds=3).login(user)


def test_the_official_package_is_not_loaded_into_the_exporter() -> None:
    loaded = "import sys, exporter.kube.credentials; sys.exit('kubernetes' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True)


async def test_an_issuer_that_the_system_does_not_trust_is_asked_nothing(
    tmp_path: Path,
) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        message = await refused(login(tmp_path, issuer.url, idp_certificate_authority=None))
    assert f"user here: OIDC issuer {issuer.url}: its certificate is not trusted" in message
    assert not issuer.asked


async def test_another_issuer_is_reached_through_the_environment_s_proxy(tmp_path: Path) -> None:
    asked: list[str] = []

    async def refuse(request: web.BaseRequest) -> web.Response:
        asked.append(f"{request.method} {request.raw_path}")
        return web.Response(status=403)

    (tmp_path / "ca.crt").write_text(Authority().pem)
    path = login(tmp_path, "https://idp.example")
    async with serving(refuse) as url:
        environ = {"HTTPS_PROXY": url, "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "localhost"}
        with pytest.raises(
            Refused, match=r"OIDC issuer https://idp\.example: it cannot be reached"
        ):
            await Kubeconfig(path, environ=environ).access()
    assert set(asked) == {"CONNECT idp.example:443"}


async def test_a_refused_refresh_names_the_user_the_issuer_and_its_reason(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, refresh_token="stolen")
        message = await refused(path)
    assert message == (
        f"kubeconfig {path}, context here: user here: OIDC issuer {issuer.url}: "
        "it refused the refresh token: Token is not active"
    )


async def test_a_refused_login_is_not_tried_again_for_each_request(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        credentials = Kubeconfig(login(tmp_path, issuer.url, refresh_token="stolen"))
        for _ in range(3):
            with pytest.raises(Refused, match="Token is not active"):
                await credentials.access()
    assert len(issuer.credentials) == 1


async def test_after_a_refused_login_a_new_one_with_kubectl_is_seen(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url, refresh_token="stolen")
        credentials = Kubeconfig(path, renew_seconds=0)
        with pytest.raises(Refused):
            await credentials.access()
        login(tmp_path, issuer.url, id_token=(token := jwt(HOUR)))
        access = await credentials.access()
    assert access.authorization == f"Bearer {token}"


async def test_an_issuer_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        path = login(tmp_path, issuer.url)
    message = await refused(path)
    assert message.endswith(f"OIDC issuer {issuer.url}: it cannot be reached: Connection refused")


async def test_an_issuer_without_a_discovery_document_is_named(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        issuer.discovery_status = 404
        message = await refused(login(tmp_path, issuer.url))
    assert f"OIDC issuer {issuer.url}: it serves no discovery document" in message


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("id_token", "its response has no id_token"),
        ("access_token", "its response cannot be used: Missing access token parameter."),
    ],
)
async def test_an_issuer_that_gives_no_token_is_named(
    tmp_path: Path, missing: str, reason: str
) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        issuer.without = {missing}
        message = await refused(login(tmp_path, issuer.url))
    assert message.endswith(f"OIDC issuer {issuer.url}: {reason}")


async def test_an_issuer_that_keeps_its_refresh_token_leaves_it_in_the_file(tmp_path: Path) -> None:
    async with issuing(tmp_path, Issuer()) as issuer:
        issuer.without = {"refresh_token"}
        path = login(tmp_path, issuer.url)
        await Kubeconfig(path).access()
    assert tokens(path) == (issuer.granted[0], "refresh-0")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"idp_certificate_authority": "/nowhere"}, "/nowhere: No such file or directory"),
        (
            {"idp_certificate_authority_data": "%"},
            "idp-certificate-authority-data: expected PEM in base64",
        ),
        ({"idp_issuer_url": "http://127.0.0.1:1"}, "expected an https URL"),
    ],
)
async def test_a_key_that_cannot_be_used_is_named(
    tmp_path: Path, keys: dict[str, str], reason: str
) -> None:
    (tmp_path / "ca.crt").write_text(Authority().pem)
    message = await refused(login(tmp_path, "https://127.0.0.1:1", **keys))
    assert message.endswith(reason)


async def test_without_a_refresh_token_an_expired_login_asks_for_a_new_one(tmp_path: Path) -> None:
    message = await refused(login(tmp_path, "https://127.0.0.1:1", refresh_token=None))
    assert message.endswith("the id-token has expired and there is no refresh-token; log in again")


@pytest.mark.parametrize("key", ["idp-issuer-url", "client-id"])
def test_what_a_login_needs_is_asked_for_at_the_start(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"user here: auth-provider oidc: {key} is missing"):
        Kubeconfig(login(tmp_path, "https://127.0.0.1:1", **{key: None}))
