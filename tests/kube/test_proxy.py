"""Which servers are reached through which proxy, by the rules of Go's clients."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web

from exporter.errors import ConfigError
from exporter.kube.client import KubeClient, Request
from exporter.kube.kubeconfig import Kubeconfig
from exporter.kube.transport import checked_proxy, environment_proxy
from tests.kube.kubeconfigs import kubeconfig
from tests.kube.serving import json, serving
from tests.watch.recording import Counts

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("server", "excluded"),
    [
        ("https://10.1.2.3:6443", "10.0.0.0/8"),
        ("https://[fd00::1]:6443", "fd00::/8"),
        ("https://10.1.2.3", "192.168.0.0/16, 10.1.2.3"),
        ("https://api.example", "example"),
        ("https://api.example", ".example"),
        ("https://api.example", "*.example"),
        ("https://API.example.", "api.example"),
        ("https://api.example:6443", "api.example:6443"),
        ("https://api.example", "*"),
        ("https://10.1.2.3", "*"),
        ("https://localhost:6443", ""),
        ("https://127.0.0.1:6443", ""),
    ],
)
def test_an_excluded_server_is_reached_directly(server: str, excluded: str) -> None:
    assert environment_proxy(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": excluded}) == ""


@pytest.mark.parametrize(
    ("server", "excluded"),
    [
        ("https://10.1.2.3:6443", "11.0.0.0/8"),
        ("https://10.1.2.3:6443", "10.0.0.0/99"),
        ("https://api.example:6443", "api.example:443"),
        ("https://myexample", "example"),
        ("https://example", "x.example"),
        ("https://api.example", ",,"),
    ],
)
def test_any_other_server_is_reached_through_the_proxy(server: str, excluded: str) -> None:
    assert environment_proxy(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": excluded}) == PROXY


@pytest.mark.parametrize(
    ("server", "environ", "proxy"),
    [
        ("https://api.example", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://api.example", {"HTTP_PROXY": PROXY}, ""),
        ("http://api.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
    ],
    ids=["lower case first", "other scheme", "plain", "without a scheme"],
)
def test_the_variable_of_the_server_s_scheme_counts(
    server: str, environ: Mapping[str, str], proxy: str
) -> None:
    assert environment_proxy(server, environ) == proxy


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("socks5://127.0.0.1:1080", "SOCKS proxies are not supported"),
        ("socks5h://127.0.0.1:1080", "SOCKS proxies are not supported"),
        ("proxy.example:3128", "expected http://host or https://host"),
        ("http://proxy.example:99999", "expected a port from 1 to 65535"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, url: str, complaint: str
) -> None:
    path = kubeconfig(tmp_path, "https://api.example", {}, {"proxy-url": url})
    with pytest.raises(ConfigError, match=f"context here: proxy-url: .*{complaint}"):
        Kubeconfig(path, environ={})


def test_a_password_of_a_proxy_is_in_no_message() -> None:
    with pytest.raises(ConfigError) as caught:
        checked_proxy("http://user:secret@proxy..example", "proxy-url")
    assert "secret" not in str(caught.value)


async def test_requests_go_through_a_proxy(tmp_path: Path) -> None:
    seen = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        seen.append(str(request.url))
        return json()

    async with serving(proxy) as url:
        environ = {"HTTP_PROXY": url.removeprefix("http://"), "NO_PROXY": "10.0.0.0/8"}
        path = kubeconfig(tmp_path, "http://api.example", {})
        async with KubeClient(Kubeconfig(path, environ=environ), Counts()) as client:
            await client.get(Request("/apis"))
    assert seen == ["http://api.example/apis"]
