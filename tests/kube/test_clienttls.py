"""TLS contexts follow their files."""

import logging
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from exporter.clienttls import ClientTlsContext, PemPair, TlsFiles
from exporter.errors import ConfigError
from tests.pki import Authority


def test_a_context_is_made_once_and_again_when_a_file_is_replaced(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text(Authority("first").pem)
    tls = ClientTlsContext(TlsFiles(ca=str(ca)))
    context = tls.context()
    assert tls.context() is context
    fresh = tmp_path / "fresh"
    fresh.write_text(Authority("second").pem)
    fresh.replace(ca)
    assert tls.context() is not context
    assert len(tls.context().get_ca_certs()) == 1


def test_files_half_way_through_a_rotation_leave_the_former_ones_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    cert, key = authority.issue("exporter").write(tmp_path, "client")
    tls = ClientTlsContext(TlsFiles(cert=str(cert), key=str(key)))
    context = tls.context()
    cert.write_text(authority.issue("exporter").cert)
    with caplog.at_level(logging.WARNING):
        assert tls.context() is context, "the key does not match yet"
        assert tls.context() is context
    assert caplog.text.count("previous certificates stay in use") == 1, "said once"
    authority.issue("exporter").write(tmp_path, "client")
    assert tls.context() is not context


def test_a_file_that_is_missing_or_is_no_certificate_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.crt")
    with pytest.raises(ConfigError, match=r"missing\.crt: No such file"):
        ClientTlsContext(TlsFiles(ca=missing)).context()
    nonsense = tmp_path / "nonsense.crt"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"nonsense\.crt"):
        ClientTlsContext(TlsFiles(ca=str(nonsense))).context()


def test_verification_can_be_switched_off_and_is_otherwise_on(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text(Authority().pem)
    assert ClientTlsContext(TlsFiles(verify=False)).context().verify_mode == ssl.CERT_NONE
    strict = ClientTlsContext(TlsFiles(ca=str(ca))).context()
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not strict.verify_flags & ssl.VERIFY_X509_STRICT


def test_what_is_given_as_pem_is_named_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientTlsContext(TlsFiles(ca_pem="nonsense")).context()
    assert str(caught.value) == "TLS: certificate authority: expected certificates in PEM"
    authority = Authority()
    pair = PemPair(authority.issue("a").cert, authority.issue("b").key)
    with pytest.raises(ConfigError) as caught:
        ClientTlsContext(TlsFiles(pair=pair)).context()
    assert str(caught.value) == (
        "TLS: client certificate: the key does not belong to the certificate"
    )


def test_a_key_with_a_password_is_refused_instead_of_asking_the_terminal(tmp_path: Path) -> None:
    cert, key = Authority().issue("exporter").write(tmp_path, "client")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    key.write_bytes(encrypted)
    with pytest.raises(ConfigError, match="expected a certificate and its key in PEM"):
        ClientTlsContext(TlsFiles(cert=str(cert), key=str(key))).context()
