"""`python -m kvstore --config node.toml` runs one node until SIGTERM or SIGINT.

Exit status: 0 stopped as asked, 254 a wrong configuration or argument, 255 the world's fault (a port in use,
a disk). Each failure is one sentence on standard error.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import socket
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import uvloop

from kvstore.config import ConfigError, NodeConfig, from_toml
from kvstore.engine import FILE, SqliteEngine
from kvstore.engine_errors import EngineError, opening
from kvstore.events import CorruptRecord
from kvstore.server import Server
from kvstore.server_tls import Tls, tls_from

BAD_INPUT = 254
BROKEN = 255


class PortError(Exception):
    """An address cannot be listened on: one sentence."""


def serve(config_path: str | Path, *, replace: bool = False) -> int:
    """Run the node that a TOML file describes, to its end. Returns the exit status."""
    try:
        config = load(Path(config_path))
        if replace:
            config = msgspec.structs.replace(config, replace=True)
        tls = tls_from(config.tls) if config.tls else None
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    try:
        _run(config, tls)
    except (PortError, EngineError) as error:
        print(error, file=sys.stderr)
        return BROKEN
    except CorruptRecord as error:
        what = "what the node has promised may be lost here; start with an empty `data` and --replace"
        print(f"{error}, so {what}.", file=sys.stderr)
        return BROKEN
    except sqlite3.Error as error:
        print(opening(error, Path(config.data) / FILE), file=sys.stderr)
        return BROKEN
    return 0


def load(path: Path) -> NodeConfig:
    """The configuration in a file, fit to be served. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); give the path of a node's TOML."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; give the path of a node's TOML.") from None
    config = from_toml(text, str(path))
    if config.protected_mode:
        for field in ["client"] * config.open_to_all + ["peer"] * (
            config.password is None and config.tls is None
        ):
            address = getattr(config, field)
            if not is_loopback(address.rpartition(":")[0]):
                raise ConfigError(
                    f'{path}: {field} = "{address}" can be reached from other machines, and there is no '
                    f'password; set `password = "…"`, or `protected_mode = false` if the network is closed.'
                )
        if config.http and not is_loopback(config.http.rpartition(":")[0]):
            raise ConfigError(
                f'{path}: http = "{config.http}" can be reached from other machines, and asks nobody for a password; '
                f"choose a loopback address, or set `protected_mode = false` if the network is closed."
            )
    return config


def is_loopback(host: str) -> bool:
    """True if only this machine can connect to the host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listen(address: str, field: str) -> socket.socket:
    """A listening socket. Raises PortError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no host can have this name"
        raise PortError(f"{host} is no address of this machine ({why}); correct {field}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortError(
                f"port {port} on {host} is in use (another program listens there); choose another {field} "
                f"port or stop what listens there."
            ) from None
        raise PortError(f"cannot listen on {address} ({error.strerror}); correct {field}.") from None
    return listener


def _run(config: NodeConfig, tls: Tls | None) -> None:
    fields = ["client", "peer", *(["http"] if config.http else [])]
    with ExitStack() as opened:
        sockets = [opened.enter_context(listen(getattr(config, field), field)) for field in fields]
        engine = opened.enter_context(closing(SqliteEngine(Path(config.data))))
        uvloop.run(_serve(config, engine, tls, sockets))


async def _serve(
    config: NodeConfig, engine: SqliteEngine, tls: Tls | None, sockets: Sequence[socket.socket]
) -> None:
    await Server(config, engine, tls).run(*sockets)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kvstore", description="Run one node of the store.")
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="the node's TOML; see kvstore/config.py"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="the disk is empty: wait for KV.CLUSTER REPLACE, as a new incarnation",
    )
    try:
        arguments = parser.parse_args()
    except SystemExit as asked:
        return BAD_INPUT if asked.code else 0
    return serve(arguments.config, replace=arguments.replace)


if __name__ == "__main__":
    sys.exit(main())
