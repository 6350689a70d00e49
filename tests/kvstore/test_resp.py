"""RESP: any cutting of the stream, limits with Redis's own words, and one view of values in both worlds."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.events import Failure, Simple, Value
from kvstore.resp import LARGE_BYTES, LIMITS, STRANGER, CommandDecoder, as_parsed, encode, split_inline

COMMANDS = st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5).map(tuple), max_size=5)
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.binary(max_size=20)
    | st.integers(-(2**63), 2**63 - 1)
    | st.builds(Simple, TEXT)
    | st.builds(Failure, st.sampled_from(["ERR", "TIMEOUT"]), TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def plain(value: Any) -> Any:
    """Errors do not compare: replace them by their words."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return ("error", str(value)) if isinstance(value, Exception) else value


@given(VALUES, st.sampled_from([2, 3]))
def test_hiredis_sees_what_as_parsed_says(value: Value, version: int) -> None:
    reader = hiredis.Reader()
    reader.feed(encode(value, version))
    assert plain(reader.gets()) == plain(as_parsed(value, version))
    assert reader.gets() is False


@given(COMMANDS, st.data())
def test_commands_come_out_as_they_went_in_however_the_stream_is_cut(
    commands: list[tuple[bytes, ...]], data: st.DataObject
) -> None:
    stream = b"".join(hiredis.pack_command(command) for command in commands)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder, found = CommandDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert (found, decoder.error) == (commands, None)


@given(st.binary(max_size=100) | st.text("*$-0123456789\r\n a'\"\\", max_size=60).map(str.encode))
def test_noise_ends_in_an_error_or_in_commands_never_in_an_exception(noise: bytes) -> None:
    whole, pieces = CommandDecoder(), CommandDecoder()
    found = whole.feed(noise)
    assert found == [command for byte in noise for command in pieces.feed(bytes([byte]))]
    assert whole.error == pieces.error


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"*65537\r\n", "invalid multibulk length"),
        (b"*1000000000000000000000000000", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1_0\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999\r\n", "invalid bulk length"),
        (b"*1\r\n$1\r\nabc\r\n", "does not end"),
        (b"x" * 70_000, "too big inline request"),
        (b'SET k "v\r\n', "unbalanced quotes"),
    ],
)
def test_a_broken_stream_gives_what_came_before_and_then_an_error(stream: bytes, said: str) -> None:
    decoder = CommandDecoder()
    assert decoder.feed(b"PING\r\n" + stream) == [(b"PING",)]
    assert said in str(decoder.error)
    assert decoder.feed(b"PING\r\n") == []


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:6379\r\n\r\n",
        b"post /\r\n",
        b"PUT / HTTP/1.1\r\nUser-Agent: x\r\nhost: evil\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nHOST:  evil\r\n\r\n",
    ],
)
def test_what_a_web_page_has_a_browser_send_is_no_command(request_: bytes) -> None:
    for cut in (len(request_), 1):
        decoder, commands = CommandDecoder(), []
        for start in range(0, len(request_), cut):
            commands += decoder.feed(request_[start : start + cut])
        commands += decoder.feed(b"SET k v\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        assert not any(command[0] == b"SET" for command in commands)
        assert "HTTP" in str(decoder.error)


def test_empty_commands_are_passed_over() -> None:
    assert CommandDecoder().feed(b"*0\r\n*-1\r\n\r\n  \r\nPING\r\n") == [(b"PING",)]


@given(st.lists(st.integers(0, 60_000), max_size=8), st.integers(0, 150_000), st.data())
def test_room_is_asked_for_large_commands_and_given_back(
    sizes: list[int], room: int, data: st.DataObject
) -> None:
    """Whatever fits is given whole, the rest as (), in order; room is taken for exactly what was given."""
    taken = [0]

    def reserve(size: int) -> bool:
        if size > 0 and taken[0] + size > room:
            return False
        taken[0] += size
        return True

    commands = [(b"SET", b"k", b"x" * (size // 2), b"y" * (size - size // 2)) for size in sizes]
    stream = b"".join(hiredis.pack_command(command) for command in commands)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    decoder, found = CommandDecoder(room=reserve), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        given_now = decoder.feed(stream[start:end])
        reserved = sum(decoder.large.values())
        assert all(sum(map(len, given_now[index])) >= size for index, size in decoder.large.items())
        taken[0] -= reserved  # they have been answered
        found += given_now
    assert (taken[0], decoder.held, decoder.error) == (0, 0, None)
    assert len(found) == len(commands)
    for command, given_as in zip(commands, found, strict=True):
        assert given_as in (command, ())
        if sum(map(len, command)) <= LARGE_BYTES:
            assert given_as == command
    decoder.feed(stream[: len(stream) // 2])
    taken[0] -= sum(decoder.large.values())
    decoder.let_go()
    assert (taken[0], decoder.held) == (0, 0)


def test_a_stranger_may_send_little() -> None:
    within = hiredis.pack_command((b"a" * STRANGER.arg_bytes,) + (b"b",) * (STRANGER.args - 1))
    assert len(CommandDecoder(STRANGER).feed(within)) == 1
    for command in [(b"a",) * (STRANGER.args + 1), (b"a" * (STRANGER.arg_bytes + 1),), (b"a" * 16_000,) * 5]:
        decoder = CommandDecoder(STRANGER)
        assert decoder.feed(hiredis.pack_command(command)) == []
        assert decoder.error is not None
        assert len(CommandDecoder(LIMITS).feed(hiredis.pack_command(command))) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"GET k", [b"GET", b"k"]),
        (b"  GET \t k  \r", [b"GET", b"k"]),
        (rb'SET k "a\x00\n\"b c"', [b"SET", b"k", b'a\0\n"b c']),
        (rb"SET 'it\'s' '\n'", [b"SET", b"it's", rb"\n"]),
        (b'SET k ""', [b"SET", b"k", b""]),
    ],
)
def test_typed_lines_are_split_as_redis_does(line: bytes, words: list[bytes]) -> None:
    assert split_inline(line) == words
