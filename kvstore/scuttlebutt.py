"""What every node knows about every other, spread by reconciliation (van Renesse et al. 2008).

    a ── Syn: digest {node: (incarnation, version)} ──►  b
    a ◄── Ack: what a lacks, and a digest of what b lacks ── b
    a ── Ack2: what b lacks ──►  b

A node owns its own entries: pairs of name and value, each with a version that only it can raise. Whoever has the higher
(incarnation, version) of a node knows more about it, so a digest of two numbers per node says exactly what to send. Deltas
are cut to a budget, oldest versions first and without gaps, so that a cut delta is still a prefix of the truth and the next
round continues it.

A new incarnation replaces all that an older one said. Nothing here is a promise: it carries liveness, load and the
newest ring epoch, which every node could do without for a while.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Digest(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How much somebody knows about a node."""

    node: str
    incarnation: int
    version: int


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One thing a node says about itself."""

    name: str
    value: str
    version: int


class Delta(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """News about a node, versions ascending."""

    node: str
    incarnation: int
    entries: tuple[Entry, ...]


class Endpoint:
    """What is known about one node."""

    __slots__ = ("entries", "incarnation", "version")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.version = 0
        self.entries: dict[str, Entry] = {}


class Knowledge:
    """One node's view of all nodes, its own entries among them."""

    def __init__(self, me: str, incarnation: int) -> None:
        self._me = me
        self.endpoints: dict[str, Endpoint] = {me: Endpoint(incarnation)}

    def say(self, name: str, value: str) -> bool:
        """Set an entry of our own; False if it says so already."""
        mine = self.endpoints[self._me]
        old = mine.entries.get(name)
        if old is not None and old.value == value:
            return False
        mine.version += 1
        mine.entries[name] = Entry(name, value, mine.version)
        return True

    def told(self, node: str, name: str) -> str | None:
        """What a node last said under this name, as far as we know."""
        endpoint = self.endpoints.get(node)
        entry = endpoint.entries.get(name) if endpoint is not None else None
        return None if entry is None else entry.value

    def forget(self, node: str) -> None:
        """A node that has left for good. Never ourselves."""
        if node != self._me:
            self.endpoints.pop(node, None)

    def digests(self) -> tuple[Digest, ...]:
        """How much we know about everybody, by name."""
        return tuple(
            Digest(node, endpoint.incarnation, endpoint.version)
            for node, endpoint in sorted(self.endpoints.items())
        )

    def lacking(self, theirs: Iterable[Digest]) -> tuple[Digest, ...]:
        """Digests of the nodes about which they know more than we do: what to ask for."""
        wanted = []
        for digest in theirs:
            known = self.endpoints.get(digest.node)
            if known is None or known.incarnation < digest.incarnation:
                wanted.append(Digest(digest.node, digest.incarnation, 0))
            elif known.incarnation == digest.incarnation and known.version < digest.version:
                wanted.append(Digest(digest.node, digest.incarnation, known.version))
        return tuple(wanted)

    def deltas(self, theirs: Iterable[Digest], *, complete: bool, bytes_max: int) -> tuple[Delta, ...]:
        """News for somebody who knows as much as these digests say, at most about `bytes_max` of it.

        `complete`: the digests name every node they know, so a node that is not named is news too.
        """
        known = {digest.node: digest for digest in theirs}
        news: list[Delta] = []
        left = bytes_max
        for node, endpoint in sorted(self.endpoints.items()):
            digest = known.get(node)
            if digest is None and not complete:
                continue
            after = _after(endpoint, digest)
            if after is None:
                continue
            entries = []
            for entry in sorted(endpoint.entries.values(), key=_version):
                size = len(entry.name) + len(entry.value.encode()) + 16
                if entry.version > after and size <= left:
                    entries.append(entry)
                    left -= size
                elif entry.version > after:
                    left = 0
                    break
            if entries:
                news.append(Delta(node, endpoint.incarnation, tuple(entries)))
            if left <= 0:
                break
        return tuple(news)

    def learn(self, deltas: Iterable[Delta]) -> set[str]:
        """Take in news; the names of the nodes about which something was new. What others say of us is ignored."""
        changed = set()
        for delta in deltas:
            if delta.node == self._me:
                continue
            endpoint = self.endpoints.get(delta.node)
            if endpoint is None or endpoint.incarnation < delta.incarnation:
                endpoint = self.endpoints[delta.node] = Endpoint(delta.incarnation)
            elif endpoint.incarnation > delta.incarnation:
                continue
            for entry in delta.entries:
                if entry.version > endpoint.version:
                    endpoint.entries[entry.name] = entry
                    endpoint.version = entry.version
                    changed.add(delta.node)
        return changed


def _version(entry: Entry) -> int:
    return entry.version


def _after(endpoint: Endpoint, digest: Digest | None) -> int | None:
    """The version after which our news begins for somebody with this digest; None if there is none."""
    if digest is None or digest.incarnation < endpoint.incarnation:
        return 0
    if digest.incarnation > endpoint.incarnation or digest.version >= endpoint.version:
        return None
    return digest.version
