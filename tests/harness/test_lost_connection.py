"""A host that hangs up while it is asked: that is trouble with the host, in our words, and never another error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from harness.control import Connection, ControlError
from harness.provision.inventory import Host


class HangsUp(paramiko.ServerInterface):
    """Lets anybody in, and ends the connection when it is told to do something."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._connection.shutdown(socket.SHUT_RDWR)
        return True

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        return self.check_channel_exec_request(channel, b"")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """One that listens, and serves each connection once."""
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.start_server(server=HangsUp(connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Host(name="n1", address="127.0.0.1", port=port, key=str(tmp_path / "key"), known_hosts=str(tmp_path / "known_hosts"))  # fmt: skip
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_command_that_gets_no_answer_is_trouble_with_the_host(host: Host) -> None:
    connection = Connection(host)
    with pytest.raises(ControlError, match="gave no answer to `true`"):
        connection.shell("true")
    with pytest.raises(ControlError, match="cannot download"):
        connection.download("/etc/hostname")
    connection.close()
