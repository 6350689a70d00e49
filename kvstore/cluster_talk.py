"""One connection of `quorate cluster` to a node: the login and the certificates come from the environment, and whatever fails is one sentence.

Talk("127.0.0.1:7001").ask("KV.CLUSTER", "STATUS") ──► the answer; BadParameter: what the node refused; Unreachable: it cannot be talked to
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

USER, PASSWORD = "QUORATE_USER", "QUORATE_PASSWORD"
CA, CERT, KEY = "QUORATE_CA", "QUORATE_CERT", "QUORATE_KEY"
TIMEOUT_S = 10.0
BROKEN = 255
USUAL_NODE = "127.0.0.1:7001"


class Unreachable(TyperException):
    """A node that cannot be talked to: the infrastructure's, not the command line's."""

    exit_code = BROKEN


def _tls() -> ssl.SSLContext | None:
    """What connections are wrapped in, if the environment names an authority; with a certificate, if it names one."""
    if not os.environ.get(CA):
        return None
    try:
        context = ssl.create_default_context(cafile=os.environ[CA])
        if os.environ.get(CERT):
            context.load_cert_chain(os.environ[CERT], os.environ.get(KEY))
    except OSError as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise typer.BadParameter(
            f"the files of {CA}, {CERT} and {KEY} cannot be used ({why}); they must be PEM"
        ) from None
    return context


class Talk:
    """A connection to a node. Refusals are errors of the command line: what the node said, exit status 254."""

    def __init__(self, address: str) -> None:
        import hiredis

        host, _, port = address.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) <= 65535:
            raise typer.BadParameter(
                f"{address!r} is not host:port with a port from 1 to 65535, such as {USUAL_NODE}"
            )
        self._address, tls, host = address, _tls(), host.strip("[]")
        try:
            self._socket = socket.create_connection((host, int(port)), TIMEOUT_S)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        except UnicodeError:
            self._lost("is no address: no host can have this name")
        except OSError as error:
            self._lost(f"does not answer ({error.strerror or error}); is the node started?")
        self._reader = hiredis.Reader(encoding="utf-8", errors="backslashreplace")
        password = os.environ.get(PASSWORD)
        login = ["AUTH", os.environ.get(USER, "default"), password] if password else []
        self.ask("HELLO", "3", *login)

    def patient(self, timeout_s: float) -> Talk:
        """The same, waiting so long for an answer."""
        self._socket.settimeout(timeout_s)
        return self

    def ask(self, *words: str) -> Any:
        """One command's answer."""
        import hiredis

        from kvstore import resp
        from kvstore.events import Value

        try:
            said: list[Value] = [os.fsencode(word) for word in words]
            self._socket.sendall(resp.encode(said, 2))
            while (answer := self._reader.gets()) is False:
                data = self._socket.recv(65536)
                if not data:
                    self._lost("closed the connection")
                self._reader.feed(data)
        except OSError as error:
            self._lost(f"did not answer {words[0]} ({error})")
        except hiredis.ProtocolError:
            self._lost("does not speak the store's protocol; give the port for clients")
        if isinstance(answer, hiredis.ReplyError):
            raise typer.BadParameter(f"the node refused: {answer}{_hint(str(answer))}")
        return answer

    def _lost(self, what: str) -> NoReturn:
        raise Unreachable(f"{self._address} {what}")


def _hint(answer: str) -> str:
    return f"; set {PASSWORD}" if answer.startswith("NOAUTH") else ""
