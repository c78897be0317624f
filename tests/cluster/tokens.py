"""ServiceAccount tokens, signed as the control plane signs them."""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class TokenKey:
    """The key that signs ServiceAccount tokens; the control plane uses the same one."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.file = directory / "service-account.key"
        self.file.write_bytes(
            self._key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

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
