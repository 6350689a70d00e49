"""Frames survive any cutting of the stream, and no damaged frame is taken for a message."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import wire
from kvstore.events import Tag
from kvstore.messages import Message, Ping, Query, Store, StoreReply

TAG = Tag(2**63, "n1", 7)
MESSAGES = st.one_of(
    st.builds(Ping, st.integers(0, 2**63), st.integers(0, 9)),
    st.builds(StoreReply, st.integers(0, 2**63), st.just(TAG)),
    st.builds(Query, st.just(1), st.text(max_size=5), st.binary(max_size=9), *map(st.just, (3, 4, 5.5))),
    st.builds(
        Store, st.just(1), st.just("b"), st.binary(max_size=300), *map(st.just, (3, 4, 5.5, TAG)),
        st.none() | st.binary(max_size=300),
    ),
)  # fmt: skip
FRAMES = st.one_of(
    st.builds(wire.Challenge, st.binary(max_size=16)),
    st.builds(wire.Hello, *[st.text(max_size=9)] * 3, *[st.binary(max_size=32)] * 2),
    st.builds(wire.Welcome, st.text(max_size=9), st.binary(max_size=32)),
    st.builds(wire.Refusal, st.text(max_size=9)),
    st.builds(wire.Batch, st.lists(MESSAGES, max_size=5)),
)


def decoder() -> wire.Decoder:
    return wire.Decoder(wire.MAX_BODY_BYTES)


@given(st.lists(FRAMES, max_size=6), st.data())
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    frames: list[wire.Frame], data: st.DataObject
) -> None:
    stream = b"".join(wire.encode(frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, found = decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == frames


@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_a_truncated_stream_gives_a_prefix(frames: list[wire.Frame], data: st.DataObject) -> None:
    stream = b"".join(wire.encode(frame) for frame in frames)
    found = decoder().feed(stream[: data.draw(st.integers(0, len(stream) - 1))])
    assert found == frames[: len(found)]
    assert len(found) < len(frames)


@given(FRAMES, st.data())
def test_a_flipped_bit_is_never_taken_for_a_frame(frame: wire.Frame, data: st.DataObject) -> None:
    stream = bytearray(wire.encode(frame))
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    with pytest.raises(wire.FrameError):  # at once: nobody waits for what a damaged length promises
        decoder().feed(bytes(stream))


@given(st.binary(max_size=200))
def test_noise_raises_only_frame_errors(noise: bytes) -> None:
    with contextlib.suppress(wire.FrameError):
        assert decoder().feed(noise) == []


def test_each_broken_rule_has_its_name() -> None:
    good = wire.encode(wire.Batch([Ping(1, 1)]))
    with pytest.raises(wire.VersionError, match="version 9"):
        decoder().feed(good[:4] + b"\x09" + good[5:])
    with pytest.raises(wire.BodyError, match="unknown kind 77"):
        decoder().feed(good[:5] + b"\x4d" + good[6:])
    with pytest.raises(wire.ChecksumError):
        decoder().feed(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(wire.FrameTooLargeError):
        decoder().feed(b"\xff\xff\xff\xff" + good[4:])
    with pytest.raises(wire.FrameTooLargeError):
        wire.Decoder().feed(wire.encode(wire.Refusal("x" * 2000))[:14])


def test_a_text_that_is_not_utf8_is_a_broken_frame() -> None:
    good = wire.encode(wire.Refusal("xy"))
    body = good[14:].replace(b"xy", b"\xff\xfe")
    head = good[:6] + zlib.crc32(body, zlib.crc32(good[:6])).to_bytes(4, "big")
    with pytest.raises(wire.BodyError):
        wire.Decoder().feed(head + zlib.crc32(head).to_bytes(4, "big") + body)


def test_a_batch_too_large_for_a_frame_is_divided_and_a_message_too_large_is_counted() -> None:
    def store(size: int) -> Message:
        return Store(0, "b", b"k", 1, 1, 1.0, TAG, bytes(size))

    fits = [store(wire.MAX_BODY_BYTES // 2) for _ in range(3)]
    stream, lost = wire.encode_batch([*fits, store(wire.MAX_BODY_BYTES), Ping(1, 1)])
    found = [message for frame in decoder().feed(stream) for message in frame.messages]  # type: ignore[union-attr]
    assert (found, lost) == ([*fits, Ping(1, 1)], 1)


def test_a_cluster_is_its_members_in_any_order() -> None:
    assert wire.cluster_id(["a", "b"]) == wire.cluster_id(["b", "a"]) != wire.cluster_id(["ab"])
