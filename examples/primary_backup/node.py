"""A register on a primary and its backups, without I/O: a node is told what happens and says what it wants done.

The primary takes the writes; every node answers reads from what it has. A write is acknowledged once all nodes have it on disk, or, with the bug `early`, once the
primary has. Tried by `quorate run examples/primary_backup/plan.toml`.
"""

from dataclasses import dataclass

from harness.worlds.sim.sansio import (
    Command,
    Committed,
    Deliver,
    ErrorReply,
    Fired,
    Reply,
    Send,
    SetTimer,
    Write,
    sans_io,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    key: bytes
    version: int
    value: bytes


@dataclass(frozen=True)
class Have:
    row: Row


class Register:
    def __init__(self, setting):
        self.name, self.nodes, self.early = setting.name, setting.nodes, setting.options["early"]
        self.rows = dict(setting.disk)
        self.newest = max((row.version for row in self.rows.values()), default=0)
        self.callers = {}  # of the primary: who waits for which row,
        self.lacking = {}  # and the backups that have not said that they have it

    def step(self, clock, event):
        match event:
            case Command(caller, (b"GET", key)):
                yield Reply(caller, self.rows[key].value if key in self.rows else None)
            case Command(caller, (b"SET", key, value)) if self.name == self.nodes[0]:
                self.newest += 1
                row = Row(key, self.newest, value)
                self.callers[row] = caller
                yield from self.keep(row, self.name)
            case Command(caller, _):
                yield Reply(caller, ErrorReply("UNAVAILABLE only the primary takes writes"))
            case Deliver(primary, Row() as row):
                yield from self.keep(row, primary)
            case Committed((row, self.name)):  # at the primary
                self.lacking[row] = list(self.nodes[1:])
                yield from self.spread(row)
            case Committed((row, primary)):
                yield Send(primary, Have(row))
            case Deliver(backup, Have(row)) if backup in self.lacking.get(row, ()):
                self.lacking[row].remove(backup)
                yield from self.acknowledge(row)
            case Fired(row):
                yield from self.spread(row)

    def keep(self, row, primary):
        if row.key not in self.rows or self.rows[row.key].version < row.version:
            self.rows[row.key] = row
        yield Write(row.key, self.rows[row.key], ticket=(row, primary))

    def spread(self, row):
        yield from self.acknowledge(row)
        yield from (Send(backup, row) for backup in self.lacking[row])
        if self.lacking[row]:
            yield SetTimer(50, row)

    def acknowledge(self, row):
        if row in self.callers and (self.early or not self.lacking[row]):
            yield Reply(self.callers.pop(row), "OK")


system = sans_io(Register, early=False)
