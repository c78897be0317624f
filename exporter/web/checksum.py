"""CRC-32 of texts one after the other, from those of each: what gzip's trailer needs.

A CRC is a polynomial over GF(2), modulo CRC-32's; the highest of its 32 bits is the coefficient of
x to the power of 0. To put n bytes behind a text multiplies its CRC by x to the power of 8n.
"""

from functools import cache, cached_property, reduce
from typing import Final
from zlib import crc32

_ALL: Final = 0xFFFFFFFF
_ONE: Final = 1 << 31
_X8: Final = _ONE >> 8

# A bit to a byte: products of integers are then products of polynomials, each coefficient up to
# 32, of which the lowest bit counts. As characters they are 0 and 1.
_BITS: Final = int.from_bytes(b"\1" * 63)
_DIGITS: Final = int.from_bytes(b"0" * 63)


class Sum:
    """The CRC-32 (RFC 1952) and the length of a text in bytes."""

    def __init__(self, size: int = 0, crc: int = 0) -> None:
        self.size = size
        self.crc = crc

    def then(self, other: "Sum") -> "Sum":
        """Give those of this text and another one behind it."""
        return Sum(self.size + other.size, _times(self.crc, other.shift) ^ other.crc)

    def behind(self, first: "Sum") -> "Sum":
        """Give those of what this text has behind *first*, with which it begins."""
        rest = Sum(self.size - first.size)
        rest.crc = self.crc ^ _times(first.crc, rest.shift)
        return rest

    @cached_property
    def shift(self) -> int:
        """What the CRC of a text in front of this one is multiplied by."""
        bits = (bit for bit in range(self.size.bit_length()) if self.size >> bit & 1)
        return reduce(_times, map(_power, bits), _ONE)


@cache
def _power(exponent: int) -> int:
    """Give x to the power of 8 times 2 to the power of the exponent."""
    if not exponent:
        return _X8
    root = _power(exponent - 1)
    return _times(root, root)


def _times(one: int, other: int) -> int:
    """Multiply two polynomials."""
    digits = (_spread(one) * _spread(other) & _BITS | _DIGITS).to_bytes(63)
    product = int(digits, 2)
    # Its lowest 31 bits are of x to the power of 32 and more, as are those that a CRC pushes out
    # when four zeros follow (whose bits are inverted before and after, says RFC 1952).
    more = product << 1 & _ALL
    return product >> 31 ^ crc32(b"\0\0\0\0", more ^ _ALL) ^ _ALL


def _spread(polynomial: int) -> int:
    return int.from_bytes(f"{polynomial:032b}".encode()) & _BITS
