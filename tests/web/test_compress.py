"""A body that is compressed part by part, some of them long ago, is one gzip member."""

import asyncio
import gzip
import zlib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.checksum import Sum
from exporter.web.compress import PIECE_BYTES, GzipStream

LONG = bytes(range(256)) * (PIECE_BYTES // 200)
texts = st.binary(max_size=40) | st.sampled_from([b"", b"\0" * 700, LONG])


@dataclass(eq=False)
class Written:
    """A part that is its own content, and counts how often it was written."""

    body: bytes
    times: int = field(default=0, init=False)

    @property
    def content(self) -> "Written":
        return self

    def text(self) -> bytes:
        self.times += 1
        return self.body


@given(st.lists(texts, min_size=1, max_size=6), st.lists(st.lists(st.integers(0, 5), max_size=9)))
def test_parts_in_any_order_again_and_again(
    bodies: list[bytes], checkpointer: list[list[int]]
) -> None:
    compress, known = GzipStream().compress, [Written(body) for body in bodies]
    for moment in checkpointer:
        parts = [known[index % len(known)] for index in moment]
        (packed,) = asyncio.run(compress(parts))
        reader = zlib.decompressobj(wbits=31)
        assert reader.decompress(packed) == b"".join(part.body for part in parts)
        assert reader.eof
        assert not reader.unused_data
    used = {index % len(known) for moment in checkpointer for index in moment}
    assert [part.times for part in known] == [int(index in used) for index in range(len(known))]


def test_what_is_not_shown_any_more_is_not_remembered() -> None:
    compressor = GzipStream()
    known = Written(b"known")
    asyncio.run(compressor.compress([known, Written(b"forgotten")]))
    assert list(compressor._known) == [known]


async def test_others_have_their_turn_and_may_compress_meanwhile() -> None:
    compressor = GzipStream()
    parts = [[Written(LONG), Written(b"end")], [Written(b"begin"), Written(LONG[:-1])]]
    packed = await asyncio.gather(*map(compressor.compress, parts))
    read = [gzip.decompress(body) for (body,) in packed]
    assert read == [LONG + b"end", b"begin" + LONG[:-1]]


@given(st.lists(texts, max_size=5))
def test_sums_of_parts_are_the_sum_of_the_whole(parts: list[bytes]) -> None:
    whole, total = b"".join(parts), Sum()
    for part in parts:
        self_metrics, before = Sum(len(part), zlib.crc32(part)), total
        total = before.then(self_metrics)
        rest = total.behind(before)
        assert (rest.size, rest.crc, rest.shift) == (
            self_metrics.size,
            self_metrics.crc,
            self_metrics.shift,
        )
    assert (total.size, total.crc) == (len(whole), zlib.crc32(whole))
