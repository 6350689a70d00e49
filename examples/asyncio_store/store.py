"""A store on a primary and its backups, as a plain asyncio program: streams, tasks, time-outs, a condition, and a log on disk.

The primary takes the writes and hands its log on, line by line; every node answers reads from what it has. A write is acknowledged once all nodes have it on disk,
or, with the bug `early`, once the primary has. Tried by `quorate run examples/asyncio_store/plan.toml`.
"""

import asyncio

from harness.worlds.sim.aio import asyncio_system

CLIENTS, PEERS = 7000, 7001


class Store:
    def __init__(self, host):
        self.disk, self.early = host.disk, host.options["early"]
        self.is_primary, self.backups = host.name == host.nodes[0], host.nodes[1:]
        whole, newline, _torn = (self.disk.read("log") or b"").rpartition(b"\n")
        self.disk.write("log", whole + newline)  # without what a crash has torn
        self.log = whole.split(b"\n") if whole else []
        self.rows = dict(line.split() for line in self.log)
        self.have = dict.fromkeys(self.backups, 0)  # how much of the log each has on disk
        self.news = asyncio.Condition()

    async def run(self):
        async with asyncio.TaskGroup() as group:
            await asyncio.start_server(self.serve_primary, port=PEERS)
            await asyncio.start_server(self.serve_client, port=CLIENTS)
            for backup in self.backups if self.is_primary else ():
                group.create_task(self.feed(backup))
            await asyncio.Event().wait()

    async def keep(self, line):
        self.disk.append("log", line + b"\n")
        await self.disk.sync()
        self.log.append(line)
        self.rows.update([line.split()])

    async def serve_client(self, reader, writer):
        try:
            while True:
                match await command(reader):
                    case [b"GET", key] if key in self.rows:
                        writer.write(b"$%d\r\n%b\r\n" % (len(self.rows[key]), self.rows[key]))
                    case [b"GET", _]:
                        writer.write(b"$-1\r\n")
                    case [b"SET", key, value] if self.is_primary:
                        await self.put(key, value)
                        writer.write(b"+OK\r\n")
                    case _:
                        writer.write(b"-UNAVAILABLE only the primary takes writes\r\n")
        except (OSError, EOFError):
            writer.close()

    async def put(self, key, value):
        async with self.news:
            await self.keep(b"%b %b" % (key, value))
            self.news.notify_all()
            number = len(self.log)
            await self.news.wait_for(lambda: self.early or min(self.have.values()) >= number)

    async def feed(self, backup):  # at the primary
        while True:
            try:
                async with asyncio.timeout(0.5):
                    reader, writer = await asyncio.open_connection(backup, PEERS)
                while True:
                    async with asyncio.timeout(0.5):
                        count = int(await reader.readuntil())
                    async with self.news:
                        self.have[backup] = count
                        self.news.notify_all()
                        await self.news.wait_for(lambda count=count: len(self.log) > count)
                    writer.write(self.log[count] + b"\n")
            except (OSError, EOFError):
                await asyncio.sleep(0.1)

    async def serve_primary(self, reader, writer):  # at a backup
        try:
            while True:
                count = len(self.log)
                writer.write(b"%d\n" % count)
                line = await reader.readuntil()
                async with self.news:  # of two connections one is the primary's last
                    if count == len(self.log):
                        await self.keep(line.rstrip())
        except (OSError, EOFError):
            writer.close()


async def command(reader):
    words = []
    for _ in range(int((await reader.readuntil())[1:])):
        size = int((await reader.readuntil())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


system = asyncio_system(Store, client_port=CLIENTS, early=False)
