"""What an operator may ask a running node: counters, and INFO in the sections and form of Redis.

    # Server          who and since when
    # Clients         connections
    # Stats           commands, commits, batch sizes, messages
    # Replication     this node, its ring epoch, and the state of each peer link

No password or key is ever shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

Section = Mapping[str, object]


@dataclasses.dataclass(slots=True)
class Metrics:
    """Counters since the process began."""

    connections: int = 0  # client connections ever accepted
    connections_refused: int = 0
    commands: int = 0
    protocol_errors: int = 0
    commits: int = 0
    loose_commits: int = 0  # of them without an fsync
    committed_rows: int = 0
    largest_commit_rows: int = 0
    commit_ms: float = 0.0  # spent in commits, in all
    messages_sent: int = 0
    messages_received: int = 0
    messages_dropped: int = 0  # the queue to a peer was full, or the message too large for a frame
    peer_errors: int = 0  # broken frames and refused handshakes

    def committing(self, rows: int, *, loose: bool = False) -> None:
        """Count a commit; a loose one has no fsync."""
        self.commits += 1
        self.loose_commits += loose
        self.committed_rows += rows
        self.largest_commit_rows = max(self.largest_commit_rows, rows)

    def stats(self) -> dict[str, object]:
        """The Stats section, with averages."""
        commits = max(1, self.commits)
        return {
            "total_connections_received": self.connections,
            "rejected_connections": self.connections_refused,
            "total_commands_processed": self.commands,
            "protocol_errors": self.protocol_errors,
            "commits": self.commits,
            "commits_without_fsync": self.loose_commits,
            "commit_rows_mean": round(self.committed_rows / commits, 2),
            "commit_rows_max": self.largest_commit_rows,
            "commit_ms_mean": round(self.commit_ms / commits, 3),
            "messages_sent": self.messages_sent,
            "messages_received": self.messages_received,
            "messages_dropped": self.messages_dropped,
            "peer_errors": self.peer_errors,
        }


def render_info(sections: Mapping[str, Section], wanted: Sequence[bytes] = ()) -> bytes:
    """INFO's answer: all sections, or those asked for by name in any case ("all" means all)."""
    names = {name.decode(errors="replace").lower() for name in wanted}
    everything = not names or names & {"all", "everything", "default"}
    parts = [
        "".join([f"# {title}\r\n", *(f"{name}:{value}\r\n" for name, value in section.items())])
        for title, section in sections.items()
        if everything or title.lower() in names
    ]
    return "\r\n".join(parts).encode()
