"""What a machine boots from, byte by byte: the archive the kernel unpacks, and the order in which modules are loaded."""

from __future__ import annotations

import pytest

from harness.provision import qemu
from harness.provision.qemu_boot import DIRECTORIES, archive, in_order, joined
from harness.worlds import WorldError

DEPENDENCIES = """kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
"""


def read(packed: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each entry of a "newc" archive, as its description says; the offsets are of that, not of our code."""
    entries, at = {}, 0
    while True:
        assert packed[at : at + 6] == b"070701"
        mode, size, length = (
            int(packed[at + 6 + 8 * field : at + 14 + 8 * field], 16) for field in (1, 6, 11)
        )
        name = packed[at + 110 : at + 110 + length - 1].decode()
        assert packed[at + 110 + length - 1] == 0
        start = -(-(at + 110 + length) // 4) * 4
        if name == "TRAILER!!!":
            assert len(packed) == start
            return entries
        entries[name] = (mode, packed[start : start + size])
        at = -(-(start + size) // 4) * 4


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5])
def test_an_archive_has_every_file_whole_and_ends_on_a_word(size: int) -> None:
    content = bytes(range(size))
    packed = archive({"init": b"#!", "host/key": content}, executable=("init",))
    entries = read(packed)
    assert {name: entry for name, entry in entries.items() if name not in DIRECTORIES} == {
        "init": (0o100755, b"#!"),
        "host/key": (0o100600, content),
    }
    assert all(entries[name][0] == 0o040755 for name in DIRECTORIES)
    assert list(entries).index("host") < list(entries).index("host/key"), (
        "the kernel makes no directories of its own accord"
    )


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_an_archive_behind_a_compressed_one_is_where_the_kernel_looks_for_it(size: int) -> None:
    """`unpack_to_rootfs`: at a multiple of four, with nothing but zeros before it."""
    compressed, own = b"\x1f\x8b" + b"x" * size, archive({"host/key": b"secret"})
    both = joined(compressed, own)
    at = both.index(b"070701")
    assert at % 4 == 0
    assert both[:at].rstrip(b"\0") == compressed
    assert read(both[at:])["host/key"] == (0o100600, b"secret")


def test_a_module_comes_after_all_that_it_needs_and_once() -> None:
    order = [
        path.rsplit("/", 1)[-1] for path in in_order(("virtio_pci", "virtio_blk", "virtio_rng"), DEPENDENCIES)
    ]
    assert sorted(order) == sorted(
        {line.split(":")[0].rsplit("/", 1)[-1] for line in DEPENDENCIES.splitlines()}
    )
    for line in DEPENDENCIES.splitlines():
        module, needs = line.split(":")
        for need in needs.split():
            assert order.index(need.rsplit("/", 1)[-1]) < order.index(module.rsplit("/", 1)[-1]), (
                need,
                module,
            )


def test_what_is_built_into_the_kernel_is_not_loaded() -> None:
    assert in_order(("ext4",), DEPENDENCIES) == []
    assert in_order(("ext4", "virtio_ring"), DEPENDENCIES) == ["kernel/drivers/virtio/virtio_ring.ko"]


def test_more_machines_than_there_is_memory_for_are_refused() -> None:
    qemu.require_room(0)
    with pytest.raises(
        WorldError, match=r"1000000 machines need 320000000 MB of memory, and \d+ MB are free"
    ):
        qemu.require_room(1_000_000)
