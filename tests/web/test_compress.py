"""A body that is compressed segment by segment is one gzip member, and never holds the loop."""

import asyncio
import gzip
import zlib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.respond import PIECE_BYTES, gzipped

LONG = bytes(range(256)) * (PIECE_BYTES // 200)
texts = st.binary(max_size=40) | st.sampled_from([b"", b"\0" * 700, LONG])


@given(st.lists(texts, max_size=9))
def test_segments_are_one_gzip_member(segments: list[bytes]) -> None:
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(asyncio.run(gzipped(segments))) == b"".join(segments)
    assert reader.eof
    assert not reader.unused_data


async def test_others_have_their_turn_and_may_compress_meanwhile() -> None:
    bodies = [[LONG, b"end"], [b"begin", LONG[:-1]]]
    packed = await asyncio.gather(*map(gzipped, bodies))
    assert [*map(gzip.decompress, packed)] == [LONG + b"end", b"begin" + LONG[:-1]]


async def test_no_turn_renders_more_than_a_piece_and_a_segment() -> None:
    turns, rendered = list[int](), list[int]()

    def segments() -> Iterator[bytes]:
        for _ in range(40):
            rendered.append(PIECE_BYTES // 4)
            yield bytes(PIECE_BYTES // 4)

    running = asyncio.create_task(gzipped(segments()))
    while not running.done():
        before = len(rendered)
        await asyncio.sleep(0)
        turns.append(sum(rendered[before:]))
    assert sum(turns) == 10 * PIECE_BYTES
    assert max(turns) <= PIECE_BYTES * 5 // 4
