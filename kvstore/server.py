"""A running node: sockets, timers, threads and clocks around a `Node`, which has none.

    clients ──► client_port ─┐                        ┌─► client_port ──► clients
    peers ────► peer_port ───┼─► feed: node.step ─────┼─► peer_port ────► peers
    timers ──────────────────┤    (no waiting)        ├─► loop.call_later
    group_commit ─ Committed ┘                        └─► group_commit (the only other thread)

Rule 1. Everything that happens goes through `feed` or `deliver`, on the loop's thread.
Rule 2. Output is gathered during a turn of the loop and leaves at its end (`_flush`): one write per
connection, one frame per peer, one commit for all Writes.
Rule 3. Clocks are read in this file and nowhere else in the store.
Rule 4. What must never happen (a failed fsync, an exception in the node) ends the process at once: peers and
clients are made for that, and not for a node that goes on with a broken promise.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, cast

from kvstore import admin, server_info
from kvstore import bugs as seeded
from kvstore.client_port import ClientConnection
from kvstore.config import NodeConfig
from kvstore.engine import SqliteEngine
from kvstore.engine_errors import EngineError, stopping
from kvstore.events import (
    Clock,
    Close,
    Closed,
    Command,
    Committed,
    Deliver,
    Drain,
    Effect,
    Event,
    Fired,
    Halt,
    Link,
    Log,
    Reply,
    Send,
    SetTimer,
    Snapshot,
    UseProtocol,
    Verified,
    Verify,
    Write,
)
from kvstore.group_commit import GroupCommit
from kvstore.messages import Message
from kvstore.node import STOPPING, Node
from kvstore.peer_port import PeerConnection, PeerLink
from kvstore.server_log import line
from kvstore.server_logins import Logins
from kvstore.server_snapshots import SnapshotWriter
from kvstore.server_tls import Gate, Tls, served
from kvstore.strangers import PLAIN_COST, ROOM, TLS_COST, TLS_ROOM, Strangers

EXIT_BROKEN = 255
LINGER_S = 0.25  # a stopping node stays so long for clients between two commands, to refuse the next in words
DRAIN_POLL_S = 0.005
# Objects between two collections, and collections between two of older objects (`gc.set_threshold`). The usual 700 is for small programs;
# with 20,000 a collection takes up to 14 ms of processor time, for which everybody waits; with these 6
GC_THRESHOLDS = (2_000, 3, 1_000)


class Server:
    """One node at work. Make it inside a running loop; `run` returns after SIGTERM or SIGINT."""

    def __init__(self, config: NodeConfig, engine: SqliteEngine, tls: Tls | None = None) -> None:
        self.tls = tls
        self.config = config
        self.metrics = admin.Metrics()
        self.open_to_all = config.open_to_all
        self.strangers = Strangers(ROOM if tls is None else TLS_ROOM)
        self.stranger_cost = PLAIN_COST if tls is None else TLS_COST
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._node = Node(config, engine, random.Random())
        self._clients: dict[int, ClientConnection] = {}
        self._touched: dict[ClientConnection, None] = {}
        self._links = {peer: PeerLink(self, peer, address) for peer, address in config.peers.items()}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._peers: dict[str, PeerConnection] = {}
        self._flushing = False
        self._request_bytes = 0
        self._complaints = 0
        self._born = self._clock()
        self._stop = asyncio.Event()
        self._hurry = False
        self._draining = False
        self._logins = Logins(lambda conn, good: self.feed(Verified(conn, good)))
        self._snapshots = SnapshotWriter(config, self.feed)
        self._commit = GroupCommit(
            engine, self.metrics, committed=lambda done: self.feed(Committed(done)), failed=self._broken
        )
        self._perform: dict[type, Callable[[Any], None]] = {
            Reply: self._reply,
            Send: self._send,
            Write: self._commit.add,
            SetTimer: self._set_timer,
            Log: self._log,
            Link: self._link,
            Halt: lambda effect: self._broken(SystemExit(effect.text)),
            Close: self._close,
            UseProtocol: self._use_protocol,
            Snapshot: self._snapshots.write,
            Verify: lambda effect: self._logins.check(effect.conn, effect.hash, effect.password),
        }

    async def run(self, client: socket.socket, peer: socket.socket, web: socket.socket | None = None) -> None:
        """Serve on the listening sockets until told to stop."""
        loop = self._loop
        loop.set_exception_handler(self._loop_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._do(self._node.start(self._clock()))
        tls = self.tls
        gate = Gate(self.strangers)
        peers = await served(peer, lambda: PeerConnection(self), tls and tls.peers_in, gate)
        for link in self._links.values():
            if link.peer not in self._tasks:
                self._run_link(link)
        clients = await served(client, lambda: ClientConnection(self), tls and tls.clients, gate)
        if web is not None:  # without it a node needs neither the time nor the libraries
            from kvstore.server_picture import show

            await show(web, self._seen, self.strangers)
        gc.set_threshold(*GC_THRESHOLDS)
        gc.collect()
        gc.freeze()
        for name in sorted(self.config.bugs):
            self.log("bug", f"the seeded bug {name} is on: {seeded.TABLE[name].mistake}")
        self.log("started", f"serves clients on {self.config.client}, peers on {self.config.peer}")
        await self._stop.wait()
        clients.close()
        await self._drain()
        peers.close()
        await self._commit.idle()
        self._flush()
        for task in self._tasks.values():
            task.cancel()
        for one in list(self._clients.values()):
            one.close()
        for other in self._peers.values():
            other.close()
        for stranger in self.strangers.all():
            if isinstance(stranger, PeerConnection):
                stranger.evict()
        self._commit.close()
        self._logins.close()
        self.log("stopped", "has stopped")

    def stop(self) -> None:
        """Let `run` come to its end: once what is in progress is answered, or at once if told again."""
        self._hurry = self._stop.is_set()
        self._stop.set()

    async def _drain(self) -> None:
        """Answer what is in progress, refuse what comes, while peers and timers go on as ever."""
        self.log("stopping", "answers what is in progress and stops")
        self._draining = True
        self.feed(Drain())
        until = self._loop.time() + self.config.request_timeout_ms / 1000 + LINGER_S
        while not self._hurry and self._loop.time() < until:
            if all(client.idle for client in self._clients.values()):
                until = min(until, self._loop.time() + LINGER_S)
                if not self._clients:
                    return
            await asyncio.sleep(DRAIN_POLL_S)

    def feed(self, event: Event) -> None:
        """Let the node see an event, and do what it says."""
        try:
            effects = self._node.step(self._clock(), event)
        except Exception as error:
            self._broken(error)
        if effects:
            self._do(effects)

    def log(self, event: str, text: str, trace: str = "") -> None:
        """Write a line to the node's log, which is standard error."""
        config = self.config
        said = line(config.log_format, time.time(), config.name, event, text, trace)
        print(said, file=sys.stderr, flush=True)

    def _log(self, log: Log) -> None:
        if log.event == "login":
            self.complain(log.text, log.event)
        else:
            self.log(log.event, log.text)

    def complain(self, text: str, event: str = "stranger") -> None:
        """Log what a stranger did, once a second at most: whoever can connect must not be able to fill the disk."""
        self._complaints += 1
        if self._complaints == 1:
            self.log(event, text)
            self._loop.call_later(1.0, self._end_complaints)

    def _end_complaints(self) -> None:
        if self._complaints > 1:
            self.log(
                "stranger",
                f"{self._complaints - 1} more strangers were cut off or refused in the last second",
            )
        self._complaints = 0

    def nonce(self) -> bytes:
        """A number nobody can guess, for a handshake."""
        return os.urandom(16)

    # ---- clients ---------------------------------------------------------------------------------------

    def admit(self, client: ClientConnection) -> bool:
        """Give a new client its number; False if there are too many."""
        if len(self._clients) >= self.config.max_clients:
            self.metrics.connections_refused += 1
            return False
        self.metrics.connections += 1
        client.number = self.metrics.connections
        self._clients[client.number] = client
        return True

    def room_for(self, size: int) -> bool:
        """Count bytes of requests in hand, or no longer so if negative; False, and not counted, if they are too many."""
        if size > 0 and self._request_bytes + size > self.config.max_request_bytes:
            return False
        self._request_bytes += size
        return True

    def client_gone(self, client: ClientConnection) -> None:
        """A client has closed."""
        self._touched.pop(client, None)
        if self._clients.pop(client.number, None) is not None:
            self.feed(Closed(client.number))

    def command(self, client: ClientConnection, request: int, args: tuple[bytes, ...]) -> None:
        """A client's command. INFO is answered here: it is about the server around the node."""
        self.metrics.commands += 1
        if self._draining:
            client.answer(request, STOPPING)
            client.close_when_answered()
        elif len(args[0]) == 4 and args[0].upper() == b"INFO" and self._node.may(client.number, args):
            client.answer(request, admin.render_info(self.info(), args[1:]))
        else:
            self.feed(Command(client.number, request, args))

    def touch(self, client: ClientConnection) -> None:
        """The client has output: flush it at the end of the turn."""
        self._touched[client] = None
        self._flush_soon()

    def _seen(self) -> tuple[Any, ...]:
        return self._node, self.metrics, self._links, self._born, self._clock(), len(self._clients)

    def info(self) -> dict[str, admin.Section]:
        """What INFO shows."""
        return server_info.sections(
            self.config,
            self._node,
            self.metrics,
            up_ms=self._clock().mono_ms - self._born.mono_ms,
            now=self._clock(),
            clients=len(self._clients),
            strangers=self.strangers,
            links=self._links,
            inbound=self._peers,
        )

    # ---- peers -----------------------------------------------------------------------------------------

    def peer_came(self, connection: PeerConnection) -> None:
        """A peer has proved who it is; an older connection of it is given up."""
        assert connection.node is not None
        self.strangers.remove(connection)
        old = self._peers.get(connection.node)
        self._peers[connection.node] = connection
        if old is not None:
            old.close()

    def peer_gone(self, connection: PeerConnection) -> None:
        """A connection from a peer is closed."""
        self.strangers.remove(connection)
        if connection.node is not None and self._peers.get(connection.node) is connection:
            del self._peers[connection.node]

    def deliver(self, src: str, messages: list[Message]) -> None:
        """Messages have come from a peer."""
        self.metrics.messages_received += len(messages)
        clock, step = self._clock(), self._node.step
        effects: list[Effect] = []
        try:
            for message in messages:
                effects += step(clock, Deliver(src, message))
        except Exception as error:
            self._broken(error)
        if effects:
            self._do(effects)

    # ---- effects ---------------------------------------------------------------------------------------

    def _do(self, effects: list[Effect]) -> None:
        perform = self._perform
        for effect in effects:
            perform[type(effect)](effect)
        self._flush_soon()

    def _reply(self, reply: Reply) -> None:
        client = self._clients.get(reply.conn)
        if client is not None:
            client.answer(reply.request, reply.value)

    def _send(self, send: Send) -> None:
        link = self._links.get(send.dst)
        if link is not None:  # a node that is no member any more may still be answered, if it ever was one
            link.send(cast(Message, send.message))

    def _link(self, link: Link) -> None:
        """A member that is new, or has moved."""
        old = self._tasks.pop(link.peer, None)
        if old is not None:
            old.cancel()
        self._links[link.peer] = PeerLink(self, link.peer, link.address)
        self._run_link(self._links[link.peer])

    def _run_link(self, link: PeerLink) -> None:
        self._tasks[link.peer] = self._loop.create_task(link.run())

    @property
    def cluster(self) -> str:
        """What tells this cluster from others."""
        return self._node.view.document.cluster

    def known(self, peer: str) -> bool:
        """Whether a node of this name may connect: a member; anybody of the cluster while this one is none."""
        view = self._node.view
        return peer in view.members or peer in self.config.peers or not view.joined

    def _set_timer(self, timer: SetTimer) -> None:
        self._loop.call_later(timer.delay_ms / 1000, self.feed, Fired(timer.timer))

    def _close(self, close: Close) -> None:
        client = self._clients.get(close.conn)
        if client is not None:
            client.hang_up()

    def _use_protocol(self, use: UseProtocol) -> None:
        client = self._clients.get(use.conn)
        if client is not None:
            client.version = use.version

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._engine.share_reads()
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._engine.release_reads()
        for link in self._links.values():
            link.flush()
        touched, self._touched = self._touched, {}
        for client in touched:
            client.flush()
        self._commit.begin()

    # ---- clocks, and the end ---------------------------------------------------------------------------

    def _clock(self) -> Clock:
        return Clock(time.monotonic() * 1000, time.time() * 1000)

    def _broken(self, error: BaseException) -> NoReturn:
        """End without another word to anybody: no answer may leave after this."""
        if isinstance(error, sqlite3.Error):
            error = stopping(error, self._engine.file)
        ours = not isinstance(error, EngineError | SystemExit)  # else its words say all
        trace = "".join(traceback.format_exception(error)) if ours else ""
        self.log("broken", f"stops at once: {error}", trace)
        os._exit(EXIT_BROKEN)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # a connection, not us
            self.log("connection", f"{context.get('message', 'a connection failed')}: {error}")
            return
        self._broken(error or RuntimeError(context.get("message", "the loop failed")))
