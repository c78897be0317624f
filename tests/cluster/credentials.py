"""What a control plane and its clients prove themselves with: certificates and signed tokens."""

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=1)
SKEW = timedelta(hours=1)


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(common_name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


class Pair:
    """A certificate and its key, as PEM files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.certificate = directory / f"{name}.crt"
        self.key = directory / f"{name}.key"

    def write(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(_private(key))


class Authority:
    """A certificate authority that lives for one test session."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name("test authority")
        self.pair = Pair(directory, "ca")
        authority = x509.BasicConstraints(ca=True, path_length=0)
        builder = self._builder(self._subject, self._key).add_extension(authority, critical=True)
        self.pair.write(builder.sign(self._key, hashes.SHA256()), self._key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + LIFETIME)
        )

    def issue(self, common_name: str, organization: str = "") -> Pair:
        """Issue a certificate, good for loopback servers and for clients (user and group)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = self._builder(_name(common_name, organization), key)
        certificate = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        pair = Pair(self._directory, common_name)
        pair.write(certificate, key)
        return pair


class TokenKey:
    """The key that signs ServiceAccount tokens; the control plane uses the same one."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.file = directory / "service-account.key"
        self.file.write_bytes(_private(self._key))

    def sign(self, claims: dict[str, object]) -> str:
        """Return the claims as a signed JSON web token."""
        parts = [_segment({"alg": "RS256", "typ": "JWT"}), _segment(claims)]
        message = ".".join(parts).encode()
        signature = self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64url(signature)])


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _segment(value: dict[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())
