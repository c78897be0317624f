"""TLS contexts follow their files."""

import logging
import ssl
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.kube.tls import ClientTlsContext, TlsFiles
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
    assert caplog.text.count("former certificates are kept") == 1, "said once"
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
