"""`quorate cluster`: look at a running cluster and change its members, through any one of its nodes.

    quorate cluster init cluster/ -n 3             configuration files for nodes on this machine
    quorate cluster status --node 127.0.0.1:7001
    quorate cluster plan join n4 127.0.0.1:7104    what it would move; changes nothing
    quorate cluster join n4 127.0.0.1:7104         then waits, and shows the partitions walk, until it is done
    quorate cluster snapshot monday                every node writes a copy; `restore` puts one back, with all nodes stopped

A change goes on whether somebody watches or not: after Ctrl-C, `status` tells how far it is. What each change does and promises is
in `kvstore.commands_cluster` and `kvstore.document`. The login is read from the variables QUORATE_USER (unless it is "default") and QUORATE_PASSWORD;
with QUORATE_CA (a PEM file) the connection is TLS, and shows QUORATE_CERT and QUORATE_KEY if they are set.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from kvstore.cluster_talk import BROKEN, USUAL_NODE, Talk

app = typer.Typer(
    name="cluster",
    help="Look at a running cluster of the store, and change its members.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SNAPSHOT_S = 610.0
PLAN_S = 300.0  # it looks at everything the node holds, and lets everybody else go first
POLL_S = 0.3

NodeOption = Annotated[str, typer.Option("--node", help="host:port of any node's client port")]
JsonOption = Annotated[bool, typer.Option("--json", help="print the answer as one line of JSON")]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="wait until the change is done")]


class TakenBack(TyperException):
    """A change that somebody has taken back while this command waited for it."""

    exit_code = BROKEN


# ---- what is shown -----------------------------------------------------------------------------------------------


def _emit(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"epoch {status['epoch']}, {status['reachable']} of {status['members']} heard by {status['node']}"
    )
    for column in ("node", "state", "epoch", "partitions", "address", "rack"):
        table.add_column(column)
    for name, node in status["nodes"].items():
        row = (name, node["state"], node["epoch"], node["partitions"], node["address"], node["rack"])
        table.add_row(*("?" if value is None else str(value) for value in row))
    console = Console(highlight=False)
    console.print(table)
    for name, node in status["nodes"].items():
        if node["unreadable"]:
            console.print(
                f"{name} cannot read {node['unreadable']}, nor mend it from others; a change that needs it waits. If no replica comes back that has it: "
                f"KV.NODE FORGET key at {name} gives it up, and what only that replica and a lost one had acknowledged with it",
                soft_wrap=True,
            )
    change = status["change"]
    if change is not None:
        steps = ", ".join(f"{count} {step}" for step, count in change["steps"].items() if count)
        back = ", turning back" if change["back"] else ""
        console.print(
            f"under way: {change['kind']} {change['node']}{back}: partitions {steps}", soft_wrap=True
        )


def _watch(talk: Talk) -> tuple[dict[str, Any], bool]:
    """Wait for the change to end, and for whoever can be reached to know; the last status, and whether it was seen to turn back."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with bar if Console(stderr=True).is_terminal else Progress(disable=True) as progress:
        task, back = progress.add_task("partitions done", total=None), False
        while True:
            status: dict[str, Any] = talk.ask("KV.CLUSTER", "STATUS")
            change = status["change"]
            if change is None and _known(status):
                return status, back
            if change is not None:
                back = bool(change["back"])
                steps = list(change["steps"].values())
                progress.update(task, total=sum(steps), completed=steps[-1] if change["back"] else steps[0])
            time.sleep(POLL_S)  # between polls


def _known(status: dict[str, Any]) -> bool:
    """Whether all members that answer have the newest epoch: any of them may be given the next command."""
    return all(
        node["epoch"] == status["epoch"] for node in status["nodes"].values() if node["state"] == "reachable"
    )


def _undone(words: Sequence[str], status: dict[str, Any]) -> bool:
    """Whether the members are not as this change was to make them."""
    return words[0] in ("JOIN", "LEAVE") and (words[1] in status["nodes"]) is not (words[0] == "JOIN")


def _change(node: str, words: Sequence[str], *, wait: bool, as_json: bool) -> None:
    talk = Talk(node)
    began = talk.ask("KV.CLUSTER", *words)
    status, back = _watch(talk) if wait else (talk.ask("KV.CLUSTER", "STATUS"), False)
    if wait and words[0] != "ABORT" and (back or _undone(words, status)):
        raise TakenBack(f"{' '.join(words[:2])} was taken back: somebody has said `abort` meanwhile")
    if as_json:
        _emit({"began": began, "done": status["change"] is None, "status": status})
    else:
        _show(status)


def _member(name: str, address: str, rack: str, weight: float) -> list[str]:
    return [name, address, *(["RACK", rack] if rack else []), "WEIGHT", f"{weight:g}"]


# ---- commands ----------------------------------------------------------------------------------------------------


@app.command("hash-password")
def hash_password() -> None:
    """Hash a password for the table `users` of a node's configuration. It is read from standard input, or asked for."""
    from kvstore import users

    if sys.stdin is None:
        raise typer.BadParameter("standard input is closed; give the password as one line of it")
    if sys.stdin.isatty():
        password = os.fsencode(getpass.getpass())
    else:  # its bytes, as a client sends them: they need not be text
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
    if not 8 <= len(password) <= users.WORD_MAX:
        raise typer.BadParameter(f"a password has 8 to {users.WORD_MAX} bytes, this one {len(password)}")
    typer.echo(users.hash_password(password, os.urandom(users.SALT_BYTES)))


@app.command()
def status(node: NodeOption = USUAL_NODE, as_json: JsonOption = False) -> None:
    """Show the members, who hears whom, and the change under way."""
    found = Talk(node).ask("KV.CLUSTER", "STATUS")
    if as_json:
        _emit(found)
    else:
        _show(found)


@app.command()
def join(
    name: str,
    address: Annotated[str, typer.Argument(help="its host:port for peers")],
    rack: str = "",
    weight: float = 1.0,
    node: NodeOption = USUAL_NODE,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Take in a node that was started with `joining = true`."""
    _change(node, ["JOIN", *_member(name, address, rack, weight)], wait=wait, as_json=as_json)


@app.command()
def leave(
    name: str, node: NodeOption = USUAL_NODE, wait: WaitOption = True, as_json: JsonOption = False
) -> None:
    """Give a node's partitions to the others. Stop it when it is no member any more."""
    _change(node, ["LEAVE", name], wait=wait, as_json=as_json)


@app.command()
def replace(
    lost: str,
    by: Annotated[str, typer.Argument(help="the other node; left out: itself, with an empty disk")] = "",
    address: Annotated[str, typer.Argument(help="its host:port for peers")] = "",
    rack: str = "",
    weight: float = 1.0,
    node: NodeOption = USUAL_NODE,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Give what a lost node held to another, or to itself after its disk was lost."""
    if bool(by) != bool(address):
        raise typer.BadParameter("give the other node's name and its host:port, or neither")
    words = ["REPLACE", lost, *(_member(by, address, rack, weight) if by else [])]
    _change(node, words, wait=wait, as_json=as_json)


@app.command()
def rebalance(node: NodeOption = USUAL_NODE, wait: WaitOption = True, as_json: JsonOption = False) -> None:
    """Give every member its share."""
    _change(node, ["REBALANCE"], wait=wait, as_json=as_json)


@app.command()
def abort(node: NodeOption = USUAL_NODE, wait: WaitOption = True, as_json: JsonOption = False) -> None:
    """Turn the change under way back."""
    _change(node, ["ABORT"], wait=wait, as_json=as_json)


@app.command()
def plan(
    change: Annotated[
        list[str], typer.Argument(help="join NAME HOST:PORT | leave NAME | replace LOST … | rebalance")
    ],
    node: NodeOption = USUAL_NODE,
    as_json: JsonOption = False,
) -> None:
    """Say what a change would move. Nothing is changed."""
    found = Talk(node).patient(PLAN_S).ask("KV.CLUSTER", "PLAN", *change)
    if as_json:
        _emit(found)
        return
    typer.echo(
        f"{found['replicas']} replicas of {found['partitions']} partitions move, about {found['bytes_estimated']:,} bytes; "
        f"afterwards the fullest node has {found['load_max_over_mean']} of the mean"
    )
    for name, owned in found["owned"].items():
        typer.echo(f"    {name} owns {owned}")
    if found["rack_violations"]:
        typer.echo(f"{found['rack_violations']} partitions have two replicas in one rack")


@app.command()
def repair(
    node: NodeOption = USUAL_NODE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="wait until all is read")] = True,
    as_json: JsonOption = False,
) -> None:
    """Let one node re-read all it holds, mend what is damaged, and compare with all peers, now."""
    talk = Talk(node)
    before = talk.ask("KV.NODE", "STATUS")
    peers = talk.ask("KV.NODE", "REPAIR")["peers"]
    while wait and talk.ask("KV.NODE", "STATUS")["scrub_left"]:
        time.sleep(POLL_S)  # between polls
    after = talk.ask("KV.NODE", "STATUS")
    found = {each: after[each] - before[each] for each in ("damaged_found", "damaged_mended")}
    if as_json:
        _emit({"peers": peers, "scrub_left": after["scrub_left"], **found})
    else:
        typer.echo(
            f"compares with {peers} peers; {after['scrub_left']} of 256 partitions are still to be read; "
            f"{found['damaged_found']} damaged records found, {found['damaged_mended']} mended so far"
        )


@app.command()
def snapshot(
    name: Annotated[str, typer.Argument(help="a word, such as monday; the label has a number behind it")],
    node: NodeOption = USUAL_NODE,
    as_json: JsonOption = False,
) -> None:
    """Let every member write a copy of what it holds, each on its own disk."""
    found = Talk(node).patient(SNAPSHOT_S).ask("KV.CLUSTER", "SNAPSHOT", name)
    if as_json:
        _emit(found)
        return
    typer.echo(f"snapshot {found['label']}")
    for each, told in found["nodes"].items():
        typer.echo(f"    {each}: {told['bytes']:,} bytes in {told['place']}")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="the node's directory of the snapshot")],
    config: Annotated[Path, typer.Option("--config", help="the node's configuration")],
    as_json: JsonOption = False,
) -> None:
    """Put a node's copy in its empty data directory. Do so on every node, from one snapshot, then start them all."""
    from kvstore.config import ConfigError, from_toml
    from kvstore.engine_errors import EngineError
    from kvstore.engine_snapshot import restore as put_back

    try:
        made = from_toml(config.read_text("utf-8"), str(config))
        about = put_back(folder, Path(made.data), made.name)
    except (ConfigError, EngineError) as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        raise typer.BadParameter(f"{config} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{config} is not text in UTF-8; give the node's configuration, a TOML file") from None  # fmt: skip
    if as_json:
        _emit(about)
    else:
        typer.echo(f"{about['records']} records of {about['label']} in {made.data}")


def _quoted(path: Path) -> str:
    """A path as TOML has it. Raises BadParameter for a name that is no text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{str(path)!r} is not text in UTF-8; choose another folder") from None
    return json.dumps(str(path), ensure_ascii=False)


@app.command()
def init(
    folder: Path,
    count: Annotated[int, typer.Option("-n", help="how many nodes", min=1, max=50)] = 3,
    mode: Annotated[str, typer.Option(help="the default bucket's mode")] = "register",
    first_port: Annotated[
        int, typer.Option(help="clients here and on, peers 100 above", min=1024, max=65000)
    ] = 7001,
) -> None:
    """Write the configurations of a cluster on this machine. No file is overwritten."""
    from kvstore.config import ConfigError, from_toml

    names = [f"n{number}" for number in range(1, count + 1)]
    peers = "\n".join(f'{name} = "127.0.0.1:{first_port + 100 + at}"' for at, name in enumerate(names))
    texts = {
        folder / f"{name}.toml": f'name = "{name}"\ndata = {_quoted(folder / f"{name}.data")}\n'
        f'client = "127.0.0.1:{first_port + at}"\npeer = "127.0.0.1:{first_port + 100 + at}"\n\n'
        f'[peers]\n{peers}\n\n[bucket]\nmode = "{mode}"\nn = {min(3, count)}\n'
        for at, name in enumerate(names)
    }
    for file, text in texts.items():
        if file.exists():
            raise typer.BadParameter(f"{file} is there already; choose another folder")
        try:
            from_toml(text, str(file))
        except ConfigError as error:
            raise typer.BadParameter(str(error)) from None
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        file.write_text(text)
        typer.echo(f"quorate node --config {file}")
