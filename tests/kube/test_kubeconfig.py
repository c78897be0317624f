"""Kubeconfigs as people have them, and what is said about those that do not work."""

import base64
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from exporter.clienttls import PemPair
from exporter.errors import ConfigError, Refused
from exporter.kube.client import KubeClient, Request
from exporter.kube.kubeconfig import RENEW_SECONDS, Kubeconfig
from tests.kube.kubeconfigs import kubeconfig
from tests.kube.serving import json as served_json
from tests.kube.serving import server_side, serving
from tests.pki import Authority
from tests.watch.recording import Counts

SERVER = "https://127.0.0.1:6443"
ONE_CONTEXT = "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ({}, ""),
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "u", "password": "p"}, f"Basic {encoded('u:p')}"),
    ],
    ids=["nobody", "token", "password"],
)
async def test_a_user_is_known_by_what_the_file_says(
    tmp_path: Path, user: Mapping[str, str], authorization: str
) -> None:
    access = await Kubeconfig(kubeconfig(tmp_path, SERVER, user)).access()
    assert (access.server, access.authorization) == (SERVER, authorization)


async def test_a_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    clusters = f"clusters: [{{name: b, cluster: {{server: '{SERVER}'}}}}]"
    path = tmp_path / "config"
    path.write_text(f"{ONE_CONTEXT}{clusters}")
    assert (await Kubeconfig(str(path)).access()).authorization == ""


async def test_a_token_file_is_found_beside_the_kubeconfig_and_read_each_time(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    credentials = Kubeconfig(kubeconfig(tmp_path, SERVER, {"tokenFile": "token", "token": "old"}))
    assert (await credentials.access()).authorization == "Bearer first"
    token.write_text("second\n")
    assert (await credentials.access()).authorization == "Bearer second"


async def test_certificates_come_from_the_file_or_from_beside_it(tmp_path: Path) -> None:
    authority = Authority()
    pair = authority.issue("exporter")
    pair.write(tmp_path, "client")
    (tmp_path / "ca.crt").write_text(authority.pem)
    inline = {"client-certificate-data": encoded(pair.cert), "client-key-data": encoded(pair.key)}
    beside = {"client-certificate": "client.crt", "client-key": "client.key"}
    trusted = {"certificate-authority-data": encoded(authority.pem)}
    for user, cluster in ((inline, trusted), (beside, {"certificate-authority": "ca.crt"})):
        tls = (await Kubeconfig(kubeconfig(tmp_path, SERVER, user, cluster)).access()).tls
        assert tls is not None
        assert len(tls.get_ca_certs()) == 1


async def test_what_a_cluster_says_of_its_server_is_heeded(tmp_path: Path) -> None:
    cluster = {
        "insecure-skip-tls-verify": True,
        "tls-server-name": "api.example",
        "proxy-url": "http://proxy.example:3128",
    }
    access = await Kubeconfig(kubeconfig(tmp_path, SERVER, {}, cluster)).access()
    assert access.server_name == "api.example"
    assert access.proxy == "http://proxy.example:3128"
    assert access.tls is not None
    assert not access.tls.check_hostname


async def test_the_environment_s_proxy_is_used_unless_the_server_is_excepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    path = kubeconfig(tmp_path, "https://api.example", {})
    assert (await Kubeconfig(path).access()).proxy == "http://proxy.example:3128"
    monkeypatch.setenv("no_proxy", "api.example")
    assert (await Kubeconfig(path).access()).proxy == ""


async def test_several_files_are_one_and_the_first_context_counts(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path, "https://first", {"token": "1"}, name="first")
    second = kubeconfig(tmp_path, "https://second", {"token": "2"}, name="second")
    both = os.pathsep.join([first, str(tmp_path / "missing"), second])
    assert (await Kubeconfig(both).access()).server == "https://first"
    access = await Kubeconfig(both, "second").access()
    assert (access.server, access.authorization) == ("https://second", "Bearer 2")


ANSWERED = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":'
PLUGIN = """
import json, os, sys
runs = sys.argv[1]
with open(runs, "a") as log:
    log.write("run\\n")
status = {"token": f"token-{len(open(runs).readlines())}"}
if len(sys.argv) > 2:
    status["expirationTimestamp"] = sys.argv[2]
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": status}))
"""


def with_plugin(
    directory: Path, program: str, *arguments: str, renew_seconds: float = RENEW_SECONDS
) -> Kubeconfig:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program, str(directory / "runs"), *arguments],
    }
    path = kubeconfig(directory, SERVER, {"exec": plugin})
    return Kubeconfig(path, renew_seconds=renew_seconds)


async def test_a_plugin_runs_once_until_its_token_is_about_to_expire(tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    lasting = with_plugin(tmp_path, PLUGIN, soon)
    assert [(await lasting.access()).authorization for _ in range(3)] == ["Bearer token-1"] * 3
    too_soon = (datetime.now(UTC) + timedelta(seconds=50)).strftime("%Y-%m-%dT%H:%M:%SZ")
    expiring = with_plugin(tmp_path, PLUGIN, too_soon)
    tokens = [(await expiring.access()).authorization for _ in range(2)]
    assert tokens == ["Bearer token-2", "Bearer token-3"]


async def test_a_plugin_whose_token_is_refused_runs_again(tmp_path: Path) -> None:
    credentials = with_plugin(tmp_path, PLUGIN, renew_seconds=0)
    first = await credentials.access()
    second = await credentials.renewed(first)
    assert second.authorization == "Bearer token-2"
    assert await credentials.renewed(first) == second, "that was renewed meanwhile"


async def test_a_plugin_whose_token_is_always_refused_does_not_run_each_time(
    tmp_path: Path,
) -> None:
    credentials = with_plugin(tmp_path, PLUGIN)
    first = await credentials.access()
    assert [await credentials.renewed(first) for _ in range(3)] == [first] * 3


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('log in first')", "log in first"),
        ("print('nonsense')", "printed no ExecCredential: JSON is malformed"),
        (f"print('{ANSWERED}{{}}}}')", "neither a token nor a certificate"),
        (
            f'print(\'{ANSWERED}{{"clientCertificateData":"x"}}}}\')',
            "returned only one of certificate and key",
        ),
    ],
)
async def test_a_plugin_that_fails_is_heard(tmp_path: Path, program: str, said: str) -> None:
    credentials = with_plugin(tmp_path, program)
    with pytest.raises(Refused, match=f"context here: .*{said}"):
        await credentials.access()


async def test_a_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    pair = Authority().issue("exporter")
    status = {"clientCertificateData": pair.cert, "clientKeyData": pair.key}
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    credentials = with_plugin(tmp_path, f"import json; print(json.dumps({answer!r}))")
    access = await credentials.access()
    assert access.authorization == ""
    assert access.tls is not None
    assert credentials._tls.files.pair == PemPair(pair.cert, pair.key)


def refused(paths: str, context: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        Kubeconfig(paths, context)
    return str(caught.value)


def test_a_wrong_context_is_told_the_right_ones(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, SERVER, {})
    assert refused(path, "there") == f"kubeconfig {path}: no context 'there'; available: here"


def test_a_kubeconfig_without_a_current_context_asks_for_one(tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path, SERVER, {}))
    path.write_text(path.read_text().replace("current-context: here\n", ""))
    assert "no current-context; choose one with --context; available: here" in refused(str(path))


def test_a_malformed_kubeconfig_is_told_where(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nclusters:\n  - {name: a\nusers: []\n")
    assert refused(str(path)).startswith(f"kubeconfig {path}, line 4: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "expected an object, got a list"),
        ("contexts: 7", "contexts: expected a list, got a number"),
        ("contexts: [{}]", "contexts[0]: object missing required field `name`"),
        ("\x00", "not YAML: unreadable character"),
        ("[" * 5_000, "not YAML: nested too deeply"),
        ("a: [", "line 1: not YAML: expected a value, but found the end of the file"),
        ("current-context: a\ncontexts: [{name: a}]", "context a: the cluster is missing"),
        (f"{ONE_CONTEXT}clusters: []", "no cluster 'b'; available: none"),
        (
            f"{ONE_CONTEXT}clusters: [{{name: b, cluster: {{server: ftp}}}}]",
            "'ftp': expected http://host or https://host",
        ),
        (
            ONE_CONTEXT + "clusters: [{name: b, cluster: "
            "{server: 'https://x', certificate-authority: none}}]",
            "none: No such file",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    message = refused(str(path))
    assert len(message.splitlines()) == 1
    assert "{'" not in message, "entries may hold secrets"
    assert message.startswith(f"kubeconfig {path}")
    assert said.lower() in message.lower()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused(str(tmp_path)) == f"kubeconfig {tmp_path}: Is a directory"
    missing = str(tmp_path / "missing")
    assert refused(missing) == f"kubeconfig {missing}: no such file"


def edited(directory: Path, text: str, replacement: str, *, name: str = "here") -> str:
    """Write a kubeconfig with a piece of its text replaced, all of it where that is empty."""
    path = Path(kubeconfig(directory, SERVER, {}, name=name))
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(text, replacement) if text else replacement, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("token", ["abc\n", "  abc", "abc\r\n"])
async def test_white_space_around_a_token_is_cut(tmp_path: Path, token: str) -> None:
    access = await Kubeconfig(kubeconfig(tmp_path, SERVER, {"token": token})).access()
    assert access.authorization == "Bearer abc"


@pytest.mark.parametrize("token", ["two\nlines", "a\x00b", "\u00fcmlaut"])
async def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path, token: str) -> None:
    path = edited(tmp_path, "user: {}", f"user: {{token: {json.dumps(token)}}}")
    with pytest.raises(Refused, match="the user's token: expected one line of ASCII") as caught:
        await Kubeconfig(path).access()
    assert token not in str(caught.value)


async def test_a_token_that_is_replaced_by_a_bad_one_is_refused_at_renewal(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, SERVER, {"token": "good"})
    credentials = Kubeconfig(path, renew_seconds=0)
    first = await credentials.access()
    kubeconfig(tmp_path, SERVER, {"token": "two\nlines"})
    with pytest.raises(Refused, match="context here: the user's token"):
        await credentials.renewed(first)
    kubeconfig(tmp_path, SERVER, {"token": "fresh"})
    assert (await credentials.renewed(first)).authorization == "Bearer fresh"


async def test_impersonation_is_sent_as_headers(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.extend((k, v) for k, v in request.headers.items() if k.startswith("Impersonate"))
        return served_json()

    user = {
        "token": "t",
        "as": "jane",
        "as-uid": "7",
        "as-groups": ["dev", "ops"],
        "as-user-extra": {"example.org/scope": ["a", "b"]},
    }
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    async with serving(answer, server_side(tmp_path, authority.server())) as url:
        path = kubeconfig(tmp_path, url, user, {"certificate-authority": "ca.crt"})
        async with KubeClient(Kubeconfig(path), Counts()) as client:
            await client.get(Request("/apis"))
    assert seen == [
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-example.org%2Fscope", "a"),
        ("Impersonate-Extra-example.org%2Fscope", "b"),
    ]


@pytest.mark.parametrize(
    ("user", "complaint"),
    [
        ({"as-groups": ["dev"]}, "as-uid, as-groups and as-user-extra need the key `as`"),
        ({"as": "two\nlines"}, "Impersonate-User: expected ASCII without control characters"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider gcp is not supported"),
        ({"client-certificate-data": "%"}, "client-certificate-data: expected PEM in base64"),
        ({"exec": {"command": "x"}}, "object missing required field `apiVersion`"),
        ({"token": 7}, "users[0].user.token: expected a string, got a number"),
    ],
)
def test_a_user_that_cannot_be_is_refused_at_the_start(
    tmp_path: Path, user: Mapping[str, object], complaint: str
) -> None:
    assert complaint in refused(kubeconfig(tmp_path, SERVER, user))


async def test_what_is_null_or_empty_is_absent(tmp_path: Path) -> None:
    path = edited(tmp_path, "user: {}", "user: null\n  extensions: null")
    access = await Kubeconfig(path).access()
    assert (access.server, access.authorization) == (SERVER, "")


async def test_an_empty_file_among_several_adds_nothing(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, SERVER, {"token": "t"})
    empty = edited(tmp_path, "", "# nothing yet\n", name="empty")
    access = await Kubeconfig(os.pathsep.join([empty, path])).access()
    assert (access.server, access.authorization) == (SERVER, "Bearer t")


def test_an_authority_that_is_none_is_named_by_its_field(tmp_path: Path) -> None:
    for data in ("%", encoded("nonsense")):
        message = refused(kubeconfig(tmp_path, SERVER, {}, {"certificate-authority-data": data}))
        assert message.startswith(f"kubeconfig {tmp_path}/here.kubeconfig, context here: ")
        assert "expected" in message
        assert str(tmp_path) not in message.removeprefix(f"kubeconfig {tmp_path}")


def test_a_key_that_is_given_twice_is_an_error(tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path, SERVER, {}))
    path.write_text(path.read_text() + "current-context: other\n")
    assert "current-context is repeated" in refused(str(path))


def test_a_user_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path, SERVER, {}))
    path.write_text(path.read_text().replace("user: here", "user: there"))
    assert "no user 'there'; available: here" in refused(str(path))


@pytest.mark.parametrize(
    "server",
    [
        "https://a..b",
        f"https://{'a' * 64}.example",
        "https://api:99999",
        "https://api:0",
        "https://",
    ],
)
def test_a_server_that_cannot_be_asked_is_refused_at_the_start(tmp_path: Path, server: str) -> None:
    assert "expected" in refused(kubeconfig(tmp_path, server, {})) or "invalid" in refused(
        kubeconfig(tmp_path, server, {})
    )
