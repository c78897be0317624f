"""What --web.config.file may say, and what is said about the rest."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.web.webconfig import WebConfig, parse

PATH = Path("web.yml")
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
EVERYTHING = f"""\
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [prometheus, "::1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=60
basic_auth_users:
  prometheus: {HASH}
rate_limit:
  interval: 1m1.5s250ms
  burst: 20
"""


def test_every_key_of_the_toolkit_is_read() -> None:
    config = parse(EVERYTHING, PATH)
    assert config.tls_server_config is not None
    assert config.tls_server_config.client_allowed_sans == ("prometheus", "::1")
    assert config.http_server_config.headers.transport_security == "max-age=60"
    assert config.basic_auth_users == {"prometheus": HASH}
    assert config.seconds_per_request == pytest.approx(61.75)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "rate_limit: {interval: 0}"])
def test_nothing_asks_for_nothing(text: str) -> None:
    assert parse(text, PATH) == WebConfig()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "tls_server_confg: {}",
            r"web\.yml:1: tls_server_confg: .*did you mean tls_server_config\?",
        ),
        (
            "\ntls_server_config:\n  certfile: a",
            r"web\.yml:3: tls_server_config\.certfile: .*cert_file",
        ),
        (
            "nonsense: 1",
            r"web\.yml:1: nonsense: unknown key, expected one of basic_auth_users, http",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Option: deny",
            r"web\.yml:3: http_server_config\.headers\.X-Frame-Option: .*X-Frame-Options",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            (
                r"web\.yml:1: http_server_config\.headers\.X-Frame-Options: 'allow': "
                r"expected one of deny, sameorigin"
            ),
        ),
        ("rate_limit:\n  burst: many", r"web\.yml:2: rate_limit\.burst: expected a whole number"),
        (
            "tls_server_config: {cipher_suites: [a, 5]}",
            r"cipher_suites\[1\]: expected a string, got 5",
        ),
        ("- a", r"web\.yml:1: expected a mapping, got a list"),
        ("rate_limit: {}\nrate_limit: {}", r"web\.yml:2: rate_limit: this key is repeated"),
        ("a: 1\nb: [", r"web\.yml:2: not YAML"),
        ("a: \x00", r"web\.yml: not YAML: .*character"),
        ("rate_limit: {interval: soon}", r"rate_limit\.interval: expected a duration"),
        ("rate_limit: {interval: 5}", r"rate_limit\.interval: expected a duration"),
        ("rate_limit: {interval: 1s}", r"rate_limit\.burst: expected at least 1"),
        ("basic_auth_users: {bob: hunter2}", r"basic_auth_users\.bob: expected a bcrypt hash"),
        ("basic_auth_users: {bob: 5}", r"basic_auth_users\.bob: expected a string, got 5"),
        (f'basic_auth_users: {{"a:b": {HASH}}}', "cannot contain a colon"),
        ("tls_server_config: {cert_file: a}", "key_file: expected exactly one of key and key_file"),
        (
            "tls_server_config: {cert_file: a, cert: b, key: c}",
            "cert_file: expected exactly one of cert and cert_file",
        ),
        (
            "tls_server_config: {cert: a, key: b, min_version: TLS10}",
            "min_version: 'TLS10': expected one of TLS12, TLS13",
        ),
        (
            "tls_server_config: {cert: a, key: b, min_version: TLS13, max_version: TLS12}",
            "TLS13 is above max_version TLS12",
        ),
        (
            "tls_server_config: {cert: a, key: b, cipher_suites: [RC4]}",
            r"cipher_suites: unknown RC4, expected some of TLS_ECDHE",
        ),
        (
            "tls_server_config: {cert: a, key: b, curve_preferences: [X25519, CurveP256]}",
            "expected at most one curve",
        ),
        (
            "tls_server_config: {cert: a, key: b, client_auth_type: RequireAnyClientCert}",
            "is not supported; expected RequireAndVerifyClientCert",
        ),
        (
            "tls_server_config: {cert: a, key: b, client_auth_type: RequireAndVerifyClientCert}",
            "client_ca_file: RequireAndVerifyClientCert needs a client CA",
        ),
        (
            "tls_server_config: {cert: a, key: b, client_ca: c}",
            "client_auth_type: a client CA is set",
        ),
        (
            "tls_server_config: {cert: a, key: b, client_ca: c, client_ca_file: d}",
            "at most one of client_ca",
        ),
        (
            """tls_server_config: {cert: a, key: b, client_ca: c, client_allowed_sans: [d],
                                  client_auth_type: VerifyClientCertIfGiven}""",
            "client_allowed_sans: needs",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(text, PATH)


@pytest.mark.parametrize(
    "text", ["basic_auth_users: {bob: hunter2}", "basic_auth_users: {bob: 'hunter2"]
)
def test_no_complaint_repeats_a_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH)
    assert "hunter2" not in str(caught.value)


@given(st.text() | st.sampled_from(EVERYTHING.splitlines()).map(lambda line: f"{line}\n{line}"))
def test_whatever_the_file_holds_the_answer_is_a_config_or_a_complaint(text: str) -> None:
    try:
        assert isinstance(parse(text, PATH), WebConfig)
    except ConfigError as error:
        place = str(error)
    else:
        place = "web.yml"
    assert place.startswith("web.yml")
