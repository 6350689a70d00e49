"""SSH control: what is uploaded arrives whole, what cannot be done is said in one sentence, nothing waits for ever."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control import Connection, Control, ControlError
from harness.provision.inventory import Host, Inventory

pytestmark = [pytest.mark.hosts, pytest.mark.slow]


@pytest.fixture
def first(five: Inventory) -> Iterator[Connection]:
    connection = Connection(five.hosts[0])
    yield connection
    connection.close()


def test_words_are_quoted_and_the_status_is_reported(first: Connection) -> None:
    assert (
        first.run("printf", "%s|", "two words", "$HOME", "'; echo no").stdout == "two words|$HOME|'; echo no|"
    )
    assert first.run("sh", "-c", "exit 7", check=False).status == 7
    with pytest.raises(
        ControlError, match=r"n1 \(10\.213\.\d+\.1:22\): `ls /nowhere` exited 2 and said: ls: cannot access"
    ):
        first.run("ls", "/nowhere")


def test_an_upload_arrives_whole_and_comes_back(first: Connection) -> None:
    content = os.urandom(3_000_000)
    first.upload(content, "/tmp/deep/down/blob", mode=0o600)
    assert first.download("/tmp/deep/down/blob") == content
    assert first.run("ls", "/tmp/deep/down").stdout == "blob\n"
    assert first.run("stat", "-c", "%a", "/tmp/deep/down/blob").stdout == "600\n"
    with pytest.raises(ControlError, match="cannot download /tmp/none"):
        first.download("/tmp/none")


def test_an_upload_to_a_full_disk_is_an_error_and_leaves_the_old_file(first: Connection) -> None:
    first.shell(
        "mkdir -p /tmp/small && mount -t tmpfs -o size=64k tmpfs /tmp/small && echo old > /tmp/small/f"
    )
    try:
        with pytest.raises(ControlError, match=r"/tmp/small/f"):
            first.upload(bytes(1_000_000), "/tmp/small/f")
        assert first.download("/tmp/small/f") == b"old\n"
    finally:
        first.shell("umount /tmp/small")


def test_a_command_that_hangs_is_given_up(first: Connection) -> None:
    with pytest.raises(ControlError, match=r"gave no answer to `sleep 60` within 2 s"):
        first.run("sleep", "60", timeout_s=2.0)
    assert first.run("echo", "still here").stdout == "still here\n"


def test_a_host_that_is_slow_has_more_time(five: Inventory) -> None:
    slow = Connection(dataclasses.replace(five.hosts[0], slowness=3.0))
    try:
        with pytest.raises(ControlError, match=r"gave no answer to `sleep 60` within 3 s"):
            slow.run("sleep", "60", timeout_s=1.0)
        slow.upload(b"in time", "/tmp/slow", timeout_s=5.0)
        assert slow.download("/tmp/slow") == b"in time"
    finally:
        slow.close()


def test_a_lost_connection_is_opened_again(first: Connection) -> None:
    first.run("true")
    assert first._client is not None
    transport = first._client.get_transport()
    assert transport is not None
    transport.sock.shutdown(socket.SHUT_RDWR)
    assert first.run("echo", "again").stdout == "again\n"


def test_commands_are_traced(five: Inventory) -> None:
    lines: list[str] = []
    connection = Connection(five.hosts[0], lines.append)
    connection.run("true")
    connection.close()
    assert len(lines) == 1
    assert lines[0].startswith("n1 ")
    assert lines[0].endswith(" ms, exit 0: true")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": 1}, r"n1 \(10\.213\.\d+\.1:1\) refuses SSH: connection refused; is sshd running there"),
        ({"user": "nobody"}, "refuses SSH: .*allowed in for user nobody"),
        ({"known_hosts": "/dev/null"}, "refuses SSH: .*add it with ssh-keyscan"),
        (
            {"known_hosts": "/nowhere"},
            "refuses SSH: there is no known_hosts file /nowhere; correct the inventory",
        ),
        ({"key": "/nowhere"}, "refuses SSH: .*/nowhere"),
    ],
)
def test_a_host_that_refuses_is_named_with_the_reason(
    five: Inventory, change: dict[str, object], message: str
) -> None:
    host: Host = dataclasses.replace(five.hosts[0], **change)  # type: ignore[arg-type]
    connection = Connection(host)
    with pytest.raises(ControlError, match=message) as caught:
        connection.run("true")
    assert "\n" not in str(caught.value)


def test_a_host_with_another_key_is_refused(five: Inventory, tmp_path: Path) -> None:
    second = (five.hosts[1].address, five.hosts[0].address)
    known = Path(five.hosts[0].known_hosts).read_text()
    lines = [line.replace(*second) for line in known.splitlines() if line.startswith(f"{second[0]} ")]
    (tmp_path / "known").write_text("\n".join(lines) + "\n")
    connection = Connection(dataclasses.replace(five.hosts[0], known_hosts=str(tmp_path / "known")))
    with pytest.raises(ControlError, match=r"refuses SSH.*check it, then add it"):
        connection.run("true")


def test_settle_waits_for_what_runs_and_lets_nothing_more_begin(five: Inventory) -> None:
    control = Control({"n1": five.hosts[0]})
    begun = threading.Barrier(5)
    hold, late, given_up = threading.Event(), threading.Event(), threading.Event()

    def busy() -> str:
        begun.wait(300)
        return "done" if hold.wait(300) else "not let go"

    try:
        running = [control.submit(busy) for _ in range(4)]  # as many as one host has threads
        queued = control.submit(late.set)
        queued.add_done_callback(lambda _: given_up.set())
        begun.wait(300)
        settling = threading.Thread(target=control.settle)
        settling.start()
        assert given_up.wait(300)
        assert settling.is_alive()
        hold.set()
        settling.join(300)
        assert [call.done() and call.result() for call in running] == ["done"] * 4
        assert queued.cancelled()
        assert not late.is_set()
    finally:
        hold.set()
        control.close()
