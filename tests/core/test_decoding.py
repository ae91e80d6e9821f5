import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # ships no type information
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.decoding import StreamDecoder, decode_bounded, stream_decoder

TEXT = b"".join(b'data: {"n": %d, "word": "%x"}\n\n' % (n, n * 2654435761) for n in range(4000))
MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def compress_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def compress_brotli(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=5))


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("identity", bytes),
    ("", bytes),
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", compress_brotli),
    ("zstd", compress_zstd),
    ("gzip, br", lambda data: compress_brotli(gzip.compress(data))),
    ("zstd,identity , gzip", lambda data: gzip.compress(compress_zstd(data))),
]
IDS = [f"{coding or 'none'}-{number}" for number, (coding, _) in enumerate(CODINGS)]
COMPRESSED = [row for row in CODINGS if row[0] not in ("", "identity")]
COMPRESSED_IDS = [name for row, name in zip(CODINGS, IDS, strict=True) if row in COMPRESSED]


def decoder_for(coding: str, limit: int = MIB) -> StreamDecoder:
    decoder = stream_decoder(coding, limit)
    assert decoder is not None
    return decoder


@pytest.mark.parametrize("coding, compress", CODINGS, ids=IDS)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_a_body_decodes_the_same_in_chunks_of_any_size(
    coding: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    wire = compress(TEXT)
    decoder = decoder_for(coding)
    output = b"".join(decoder.feed(wire[start : start + size]) for start in range(0, len(wire), size))
    assert (output == TEXT, decoder.failed, decoder.exhausted, decoder.complete) == (True, False, False, True)


@pytest.mark.parametrize("coding, compress", CODINGS, ids=IDS)
def test_a_whole_body_decodes_up_to_exactly_its_limit(coding: str, compress: Callable[[bytes], bytes]) -> None:
    wire = compress(TEXT)
    assert decode_bounded(wire, coding, len(TEXT)) == TEXT
    assert decode_bounded(wire, coding, len(TEXT) - 1) is None


@pytest.mark.parametrize("coding, compress", CODINGS, ids=IDS)
def test_the_output_limit_counts_everything_and_ends_the_output(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    wire = compress(TEXT)
    # Stacked codings limit every layer, so the limit lies below what the innermost compressed form takes.
    decoder = decoder_for(coding, limit=100)
    output = b"".join(decoder.feed(wire[start : start + 50]) for start in range(0, len(wire), 50))
    assert TEXT.startswith(output)
    assert len(output) <= 100
    assert decoder.exhausted
    assert decoder.feed(wire) == b""


@pytest.mark.parametrize(
    "coding, flushed",
    [
        ("gzip", lambda c: c.compress(b"one") + c.flush(zlib.Z_SYNC_FLUSH)),
    ],
)
def test_output_is_available_as_soon_as_the_sender_flushed_it(coding: str, flushed: Callable[..., bytes]) -> None:
    assert decoder_for(coding).feed(flushed(zlib.compressobj(wbits=31))) == b"one"


def test_a_flushed_brotli_event_is_available_at_once() -> None:
    compressor = brotli.Compressor()
    assert decoder_for("br").feed(compressor.process(b"one") + compressor.flush()) == b"one"


def test_a_flushed_zstd_event_is_available_at_once() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    wire = compressor.compress(b"one") + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    assert decoder_for("zstd").feed(wire) == b"one"


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("coding, compress", [("gzip", gzip.compress), ("zstd", compress_zstd)])
def test_members_and_frames_may_follow_one_another(coding: str, compress: Callable[[bytes], bytes], size: int) -> None:
    wire = compress(b"one ") + compress(b"") + compress(b"two")
    decoder = decoder_for(coding)
    output = b"".join(decoder.feed(wire[start : start + size]) for start in range(0, len(wire), size))
    assert (output, decoder.complete) == (b"one two", True)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_zstd_frames_that_are_to_be_skipped_are_skipped_wherever_they_stand(size: int) -> None:
    skipped, empty = (struct.pack("<II", 0x184D2A50 + n, n) + bytes(n) for n in (5, 0))
    wire = skipped + compress_zstd(b"one ") + empty + skipped + compress_zstd(b"two") + skipped
    decoder = decoder_for("zstd")
    output = b"".join(decoder.feed(wire[start : start + size]) for start in range(0, len(wire), size))
    assert (output, decoder.complete) == (b"one two", True)


def test_zeros_after_a_gzip_member_are_padding() -> None:
    assert decode_bounded(gzip.compress(b"x") + b"\0" * 9, "gzip", 10) == b"x"


@pytest.mark.parametrize("coding, compress", COMPRESSED, ids=COMPRESSED_IDS)
@pytest.mark.parametrize("garbage", [b"<html>not compressed at all</html>", b"\xff" * 400], ids=["html", "ones"])
def test_garbage_fails_quietly_and_for_good(coding: str, compress: Callable[[bytes], bytes], garbage: bytes) -> None:
    decoder = decoder_for(coding)
    assert decoder.feed(garbage) == b""
    assert decoder.failed
    assert not decoder.complete
    assert decoder.feed(compress(TEXT)) == b""
    assert decode_bounded(garbage, coding, MIB) is None


@pytest.mark.parametrize("coding, compress", COMPRESSED, ids=COMPRESSED_IDS)
def test_garbage_behind_a_body_fails_but_keeps_the_body(coding: str, compress: Callable[[bytes], bytes]) -> None:
    decoder = decoder_for(coding)
    assert decoder.feed(compress(TEXT)) == TEXT
    assert decoder.feed(b"trailing garbage") == b""
    assert decoder.failed


@pytest.mark.parametrize("coding, compress", COMPRESSED, ids=COMPRESSED_IDS)
def test_a_body_cut_short_is_not_taken_for_a_whole_one(coding: str, compress: Callable[[bytes], bytes]) -> None:
    wire = compress(TEXT)
    assert decode_bounded(wire[: len(wire) // 2], coding, MIB) is None
    assert decode_bounded(wire[:1], coding, MIB) is None


@pytest.mark.parametrize("coding", ["", "gzip", "br", "zstd", "deflate"])
def test_an_empty_body_is_empty_whatever_it_claims_to_be(coding: str) -> None:
    assert decode_bounded(b"", coding, 10) == b""
    assert decoder_for(coding).feed(b"") == b""


@pytest.mark.parametrize("coding", ["compress", "gzip, aws-chunked", "gzip br", "*", "gzip,gzip,gzip,gzip"])
def test_an_unknown_or_endless_coding_has_no_decoder(coding: str) -> None:
    assert stream_decoder(coding, 10) is None
    assert decode_bounded(b"x", coding, 10) is None


@settings(deadline=None)
@given(st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br"]), st.lists(st.binary(max_size=200)))
def test_nothing_that_is_fed_makes_a_decoder_raise(coding: str, chunks: list[bytes]) -> None:
    decoder = decoder_for(coding, limit=1000)
    assert sum(len(decoder.feed(chunk)) for chunk in chunks) <= 1000


def zeros_as_gzip(wbits: int) -> bytes:
    compressor = zlib.compressobj(wbits=wbits)
    zeros = bytes(MIB)
    return b"".join([compressor.compress(zeros) for _ in range(256)] + [compressor.flush()])


def zeros_as_brotli() -> bytes:
    compressor = brotli.Compressor(quality=1)
    zeros = bytes(MIB)
    return b"".join([compressor.process(zeros) for _ in range(256)] + [compressor.finish()])


def zeros_as_zstd() -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj(size=1024 * MIB)
    zeros = bytes(MIB)
    return b"".join([compressor.compress(zeros) for _ in range(1024)] + [compressor.flush()])


BOMBS: list[tuple[str, Callable[[], bytes]]] = [
    ("gzip", lambda: zeros_as_gzip(16 + zlib.MAX_WBITS)),
    ("deflate", lambda: zeros_as_gzip(zlib.MAX_WBITS)),
    ("deflate", lambda: zeros_as_gzip(-zlib.MAX_WBITS)),
    ("br", zeros_as_brotli),
    ("zstd", zeros_as_zstd),
    ("gzip, gzip", lambda: gzip.compress(zeros_as_gzip(16 + zlib.MAX_WBITS))),
    ("zstd, gzip", lambda: gzip.compress(zeros_as_zstd())),
]


@pytest.mark.parametrize("coding, bomb", BOMBS)
def test_a_bomb_stops_at_the_limit_in_little_memory(coding: str, bomb: Callable[[], bytes]) -> None:
    wire = bomb()
    decoder = decoder_for(coding, limit=64 * 1024)
    tracemalloc.start()
    try:
        output = decoder.feed(wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not output.strip(b"\0")
    assert len(output) <= 64 * 1024
    assert decoder.exhausted
    assert peak < 8 * MIB


def test_a_stacked_bomb_that_yields_nothing_is_stopped_by_its_inner_layer() -> None:
    # 64 MiB of empty gzip members between the layers, not a byte of body.
    wire = gzip.compress(gzip.compress(b"") * (64 * MIB // 20))
    decoder = decoder_for("gzip, gzip", limit=64 * 1024)
    assert decoder.feed(wire) == b""
    assert decoder.exhausted


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    decoder = decoder_for("zstd")
    assert decoder.feed(compressor.compress(b"small") + compressor.flush()) == b""
    assert decoder.failed
