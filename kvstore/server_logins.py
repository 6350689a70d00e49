"""Checks passwords off the loop's thread: one at a time, few in waiting, and the good ones once.

    check(conn, hash, password) ──► matched before? ── yes ──► verified(conn, True)
                                        │ no
                                        └─► a thread: scrypt ──► verified(conn, True | False)
                                 more than WAITING_MAX wait ──► verified(conn, None)

Scrypt is slow by design, and one thread of it is all that guessing may take from a node. A password that has matched is
remembered, as a digest under a key that only this process has, so that clients that come back in crowds do not wait.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kvstore.users import matches

WAITING_MAX = 64
REMEMBERED_MAX = 1024


class Logins:
    """`verified` is called on the loop's thread, in a later turn: True, False, or None if too many wait."""

    def __init__(self, verified: Callable[[int, bool | None], None]) -> None:
        self.checked = 0  # by scrypt
        self._verified = verified
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "logins")  # starts its thread when there is something to check
        self._waiting = 0
        self._key = os.urandom(32)
        self._matched: dict[bytes, None] = {}

    def check(self, conn: int, hashed: str, password: bytes) -> None:
        """Whether the password matches the hash, for a connection."""
        digest = hmac.digest(self._key, hashed.encode() + b"\0" + password, "sha256")
        if digest in self._matched:
            self._loop.call_soon(self._verified, conn, True)
        elif self._waiting >= WAITING_MAX:
            self._loop.call_soon(self._verified, conn, None)
        else:
            self._waiting += 1
            checking = self._loop.run_in_executor(self._thread, matches, hashed, password)
            checking.add_done_callback(lambda done: self._done(conn, digest, done))

    def close(self) -> None:
        """End the thread; what waits is not checked any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, conn: int, digest: bytes, done: asyncio.Future[bool]) -> None:
        if done.cancelled():
            return
        good = done.result()
        self._waiting -= 1
        self.checked += 1
        if good:
            while len(self._matched) >= REMEMBERED_MAX:
                del self._matched[next(iter(self._matched))]
            self._matched[digest] = None
        self._verified(conn, good)
