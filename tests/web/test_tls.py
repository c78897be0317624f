"""TLS over real handshakes: versions, client certificates, rotation, and clients that stall."""

import asyncio
import ipaddress
import os
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from exporter.errors import ConfigError
from exporter.web import connections, tls
from tests.pki import Authority, Pair
from tests.web.fakes import Served, connected, served


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(autouse=True)
def every_look_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.0)


def configure(folder: Path, more: str = "") -> Path:
    path = folder / "web.yml"
    path.write_text(f"tls_server_config:\n  cert_file: s.crt\n  key_file: s.key\n{more}")
    return path


def secured(folder: Path, authority: Authority, more: str = "") -> Path:
    authority.server().write(folder, "s")
    (folder / "ca.crt").write_text(authority.pem)
    return configure(folder, more)


def trusting(authority: Authority, identity: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem)
    if identity:
        context.load_cert_chain(*identity)
    return context


async def fetch(server: Served, context: ssl.SSLContext) -> int:
    # A connection of its own, so that each call shakes hands.
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.get(f"{server.url}/metrics") as answer,
    ):
        await answer.read()
        return answer.status


async def test_a_scrape_over_tls(tmp_path: Path, authority: Authority) -> None:
    async with served(config_file=secured(tmp_path, authority)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert await fetch(server, trusting(authority)) == 200


async def test_a_certificate_may_stand_in_the_file_itself(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.server()
    path = tmp_path / "web.yml"
    block = "\n".join(
        f"  {name}: |\n" + "\n".join(f"    {line}" for line in pem.splitlines())
        for name, pem in (("cert", pair.cert), ("key", pair.key), ("client_ca", authority.pem))
    )
    path.write_text(f"tls_server_config:\n  client_auth_type: VerifyClientCertIfGiven\n{block}\n")
    async with served(config_file=path) as server:
        assert await fetch(server, trusting(authority)) == 200


async def test_versions_are_bounded(tmp_path: Path, authority: Authority) -> None:
    path = secured(tmp_path, authority, "  min_version: TLS13\n")
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with served(config_file=path) as server:
        assert await fetch(server, trusting(authority)) == 200
        with pytest.raises(aiohttp.ClientError):
            await fetch(server, old)


async def test_cipher_suites_and_curves_are_restricted(
    tmp_path: Path, authority: Authority
) -> None:
    more = (
        "  max_version: TLS12\n  curve_preferences: [CurveP384]\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]\n"
        "  prefer_server_cipher_suites: false\n"
    )
    other = trusting(authority)
    other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    wrong_curve = trusting(authority)
    wrong_curve.set_ecdh_curve("prime256v1")
    async with served(config_file=secured(tmp_path, authority, more)) as server:
        assert await fetch(server, trusting(authority)) == 200
        for context in (other, wrong_curve):
            with pytest.raises(aiohttp.ClientError):
                await fetch(server, context)


@pytest.mark.parametrize(("prefer", "strength"), [("true", "256"), ("false", "128")])
async def test_the_order_of_cipher_suites_is_ours_or_the_clients(
    tmp_path: Path, authority: Authority, prefer: str, strength: str
) -> None:
    more = (
        f"  max_version: TLS12\n  prefer_server_cipher_suites: {prefer}\n  cipher_suites:\n"
        "  - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n"
        "  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"
    )
    context = trusting(authority)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    async with served(config_file=secured(tmp_path, authority, more)) as server:
        _, writer = await asyncio.open_connection(*server.address, ssl=context)
        assert f"AES{strength}" in writer.get_extra_info("cipher")[0]
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("client_auth_type", "without", "with_ours", "with_foreign"),
    [
        ("RequestClientCert", True, True, True),
        ("VerifyClientCertIfGiven", True, True, False),
        ("RequireAndVerifyClientCert", False, True, False),
    ],
)
async def test_client_certificates(
    tmp_path: Path,
    authority: Authority,
    client_auth_type: str,
    without: bool,
    with_ours: bool,
    with_foreign: bool,
) -> None:
    more = f"  client_ca_file: ca.crt\n  client_auth_type: {client_auth_type}\n"
    ours = authority.issue("prometheus").write(tmp_path, "ours")
    foreign = Authority("other CA").issue("mallory").write(tmp_path, "foreign")
    async with served(config_file=secured(tmp_path, authority, more)) as server:
        for identity, admitted in ((None, without), (ours, with_ours), (foreign, with_foreign)):
            assert await is_admitted(server, trusting(authority, identity)) is admitted


async def is_admitted(server: Served, context: ssl.SSLContext) -> bool:
    try:
        return await fetch(server, context) == 200
    except (aiohttp.ClientError, ConnectionError):
        return False


@pytest.mark.parametrize(
    ("san", "admitted"),
    [
        (x509.DNSName("prometheus"), True),
        (x509.DNSName("grafana"), False),
        (x509.IPAddress(ipaddress.ip_address("::1")), True),
        (x509.UniformResourceIdentifier("spiffe://cluster/prometheus"), True),
        (x509.RFC822Name("ops@example.org"), True),
        (None, False),
    ],
)
async def test_only_named_clients_are_admitted(
    tmp_path: Path,
    authority: Authority,
    san: x509.GeneralName | None,
    admitted: bool,
) -> None:
    more = (
        "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
        '  client_allowed_sans: [prometheus, "::1", "spiffe://cluster/prometheus", ops@example.org]'
    )
    identity = authority.issue("client", *([san] if san else [])).write(tmp_path, "client")
    async with served(config_file=secured(tmp_path, authority, more)) as server:
        assert await is_admitted(server, trusting(authority, identity)) is admitted


async def serial(server: Served, authority: Authority) -> int:
    _, writer = await asyncio.open_connection(*server.address, ssl=trusting(authority))
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der).serial_number


def number(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.cert.encode()).serial_number


async def test_a_rotated_certificate_is_served_without_a_restart(
    tmp_path: Path, authority: Authority
) -> None:
    first, second = authority.server(), authority.server()
    path = configure(tmp_path)
    first.write(tmp_path, "s")
    async with served(config_file=path) as server:
        assert await serial(server, authority) == number(first)
        second.write(tmp_path, "s")
        assert await serial(server, authority) == number(second)


async def test_a_secret_volume_swaps_both_files_at_once(
    tmp_path: Path, authority: Authority
) -> None:
    pairs = {"v1": authority.server(), "v2": authority.server()}
    for name, pair in pairs.items():
        (tmp_path / name).mkdir()
        pair.write(tmp_path / name, "s")
    (tmp_path / "data").symlink_to("v1")
    for name in ("s.crt", "s.key"):
        (tmp_path / name).symlink_to(f"data/{name}")
    async with served(config_file=configure(tmp_path)) as server:
        assert await serial(server, authority) == number(pairs["v1"])
        (tmp_path / "new").symlink_to("v2")
        os.replace(tmp_path / "new", tmp_path / "data")  # noqa: PTH105 - as the kubelet does
        assert await serial(server, authority) == number(pairs["v2"])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda at: (at / "s.key").write_text("no key"), id="bad key"),
        pytest.param(lambda at: (at / "s.crt").unlink(), id="no certificate"),
        pytest.param(lambda at: Authority().server().write(at, "s")[1].unlink(), id="no key"),
        pytest.param(lambda at: (at / "web.yml").write_text("tls_server_config: 5"), id="bad file"),
        pytest.param(lambda at: (at / "web.yml").write_text(""), id="tls taken away"),
        pytest.param(lambda at: (at / "web.yml").write_bytes(b"\xff"), id="not UTF-8"),
        pytest.param(lambda at: (at / "web.yml").unlink(), id="no file"),
    ],
)
async def test_damage_leaves_the_last_good_rules_and_is_said_once(
    tmp_path: Path,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
) -> None:
    path = secured(tmp_path, authority)
    async with served(config_file=path) as server:
        before = await serial(server, authority)
        damage(tmp_path)
        for _ in range(3):
            assert await serial(server, authority) == before
        assert [each.levelname for each in caplog.records] == ["ERROR"]
        secured(tmp_path, authority)
        before, replaced = await serial(server, authority), before
        assert before != replaced
        damage(tmp_path)
        assert await serial(server, authority) == before
        assert [each.levelname for each in caplog.records].count("ERROR") == 2


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda at: (at / "s.key").write_text("x"),
            r"web\.yml: tls_server_config: s\.crt with s\.key",
        ),
        (lambda at: (at / "s.crt").unlink(), "No such file"),
        (
            lambda at: (
                Authority().issue("x").write(at, "s")[0].write_text(Authority().server().cert)
            ),
            "key values mismatch",
        ),
        (lambda at: (at / "ca.crt").write_text("x"), r"ca\.crt: no certificate or crl found"),
        (lambda at: (at / "web.yml").unlink(), r"web\.yml: No such file"),
    ],
)
async def test_a_server_does_not_start_with_what_it_cannot_use(
    tmp_path: Path, authority: Authority, damage: Callable[[Path], object], complaint: str
) -> None:
    more = "  client_ca_file: ca.crt\n  client_auth_type: VerifyClientCertIfGiven\n"
    path = secured(tmp_path, authority, more)
    damage(tmp_path)
    with pytest.raises(ConfigError, match=complaint):
        async with served(config_file=path):
            pass


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_handshake_that_never_ends_is_cut(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, hello: bytes
) -> None:
    limit = "HANDSHAKE_SECONDS" if hello else "HEAD_SECONDS"
    monkeypatch.setattr(connections, limit, 0.1)
    async with (
        served(config_file=secured(tmp_path, authority)) as server,
        connected(server.address) as (reader, writer),
    ):
        writer.write(hello)
        async with asyncio.timeout(5):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(10_000)
        assert await fetch(server, trusting(authority)) == 200


async def test_a_stop_does_not_wait_for_a_handshake(tmp_path: Path, authority: Authority) -> None:
    async with AsyncExitStack() as stack:
        async with served(config_file=secured(tmp_path, authority), grace_seconds=30) as server:
            reader, _ = await stack.enter_async_context(connected(server.address))
            assert await fetch(server, trusting(authority)) == 200
            started = time.perf_counter()
        assert time.perf_counter() - started < 5
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_silent_handshakes_do_not_keep_a_scraper_out(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_TLS_CONNECTIONS", 3)
    async with (
        served(config_file=secured(tmp_path, authority)) as server,
        connected(server.address),
        connected(server.address),
        connected(server.address),
    ):
        assert await fetch(server, trusting(authority)) == 200
