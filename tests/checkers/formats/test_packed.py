"""A compressed history is the history; one that is cut off or damaged is none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from checkers import History, HistoryError, Op, Type
from checkers.formats import dump, load
from checkers.formats.files import LINE_MAX

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two members": lambda text: gzip.compress(text[:100]) + gzip.compress(text[100:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def history(count: int = 2000) -> History:
    return History.from_ops(
        Op(-1, 10 * n, n // 2 % 7, (Type.INVOKE, Type.OK)[n % 2], "write", n // 2 % 5, n // 2)
        for n in range(count)
    )


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("form", ["jsonl", "edn"])
def test_it_is_the_same_history(tmp_path: Path, packer: str, form: str) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "named as it likes"
    dump(history(), plain, form)
    packed.write_bytes(PACKERS[packer](plain.read_bytes()))
    assert list(load(packed)) == list(load(plain)) == list(load(packed, form))


def test_from_a_pipe(tmp_path: Path) -> None:
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    dump(history(), plain)
    os.mkfifo(pipe)
    text = gzip.compress(plain.read_bytes())
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    assert list(load(pipe)) == list(load(plain))
    writer.join()


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_cut_off_anywhere_is_refused(tmp_path: Path, packer: str) -> None:
    dump(history(200), tmp_path / "plain")
    text = PACKERS[packer]((tmp_path / "plain").read_bytes())
    whole = len(gzip.compress((tmp_path / "plain").read_bytes()[:100])) if packer == "two members" else 0
    for size in {*range(6, len(text), 37), len(text) - 1} - {whole}:
        (tmp_path / "cut").write_bytes(text[:size])
        with pytest.raises(HistoryError, match=r"cut: is compressed by .* ends early"):
            load(tmp_path / "cut")


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz"])
def test_a_damaged_byte_is_seen(tmp_path: Path, packer: str) -> None:
    dump(history(200), tmp_path / "plain")
    text = bytearray(PACKERS[packer]((tmp_path / "plain").read_bytes()))
    for at in range(len(text) // 4, len(text) * 3 // 4, 41):
        damaged = bytes((*text[:at], text[at] ^ 0x55, *text[at + 1 :]))
        (tmp_path / "bad").write_bytes(damaged)
        with pytest.raises(HistoryError, match="bad: "):
            load(tmp_path / "bad")


def test_a_line_without_an_end_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(b'{"process":0' + b" " * (LINE_MAX + (1 << 20)), 1))
    with pytest.raises(HistoryError, match="bomb: line 1: is longer than 64 MiB"):
        load(tmp_path / "bomb")


def test_zstd_is_named(tmp_path: Path) -> None:
    (tmp_path / "z").write_bytes(b"\x28\xb5\x2f\xfd and so on")
    with pytest.raises(HistoryError, match=r"z: is compressed by zstd.*zstd -d"):
        load(tmp_path / "z")
