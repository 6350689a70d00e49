"""Users: passwords are hashed, commands are permitted by category, and no secret is ever shown."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from inside import in_thread, run_inside
from live import LiveCluster, ask, live_cluster, read_answers

from kvstore import resp
from kvstore.__main__ import load
from kvstore.config import ConfigError, from_toml, node_config
from kvstore.events import Verify
from kvstore.server import Server
from kvstore.server_logins import WAITING_MAX
from kvstore.session import TABLE
from kvstore.users import (
    CATEGORIES,
    CATEGORY,
    User,
    category,
    hash_checked,
    hash_password,
    matches,
    nobody_like,
    permitted,
)

PASSWORDS = {"reader": "read-only-please", "shop": "both ways, it says", "root": "all there is"}
MAY = {"reader": ["read"], "shop": ["read", "write"], "root": list(CATEGORIES)}
SECRET = "signs what clients carry"


def cheap_hash(password: str) -> str:
    """A hash at the least cost that is allowed, so that the tests are quick."""
    salt = b"salt" * 4
    key = hashlib.scrypt(password.encode(), salt=salt, n=1 << 12, r=8, p=1, dklen=32)
    return f"scrypt:12:8:1:{base64.b64encode(salt).decode()}:{base64.b64encode(key).decode()}"


HASHES = {name: cheap_hash(password) for name, password in PASSWORDS.items()}
USERS = "\n".join(f'[users.{name}]\nhash = "{HASHES[name]}"\nmay = {MAY[name]}\n' for name in PASSWORDS)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    login = [b"AUTH", b"root", PASSWORDS["root"].encode()]
    cluster = LiveCluster(tmp_path_factory.mktemp("users"), 1, more=f'secret = "{SECRET}"\n{USERS}')
    try:
        cluster.start_all(login)
        yield cluster
    finally:
        cluster.stop_all()


def says(node: LiveCluster, user: str, *command: bytes) -> object:
    """What a user is answered."""
    return ask(node.ports["n1"], [b"AUTH", user.encode(), PASSWORDS[user].encode()], command)[1]


def test_whether_there_is_a_user_makes_no_difference_in_cost() -> None:
    for hashed in HASHES.values():
        assert nobody_like(hash_checked(hashed)).split(":")[:4] == hashed.split(":")[:4]
        assert hash_checked(nobody_like(hashed)) not in HASHES.values()
        assert not matches(nobody_like(hashed), b"")


def test_a_hash_fits_its_password_only() -> None:
    hashed = hash_checked(hash_password(b"correct horse", os.urandom(16)))
    assert matches(hashed, b"correct horse")
    assert not matches(hashed, b"correct horsf")
    assert hashed != hash_password(b"correct horse", os.urandom(16))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (b"GET k", "read"),
        (b"kv.bucket list", "read"),
        (b"SET k v", "write"),
        (b"INFO", "admin"),
        (b"CONFIG GET save", "admin"),
        (b"KV.BUCKET CREATE b", "admin"),
        (b"KV.CLUSTER STATUS", "cluster"),
        (b"ACL CAT", "admin"),
    ],
)
def test_a_user_may_do_what_its_categories_say(node: LiveCluster, command: bytes, needs: str) -> None:
    for user, may in MAY.items():
        answer = str(says(node, user, *command.split()))
        assert answer.startswith("NOPERM") == (needs not in may), (user, answer)


@pytest.mark.slow
def test_everybody_who_is_logged_in_may_talk_about_the_connection(node: LiveCluster) -> None:
    assert says(node, "reader", b"ACL", b"WHOAMI") == b"reader"
    assert says(node, "reader", b"SELECT", b"0") == b"OK"
    assert "NOAUTH" in str(ask(node.ports["n1"], [b"ACL", b"WHOAMI"])[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "login", [("shop", "wrong"), ("nobody", "wrong"), ("default", ""), ("shop", "x" * 300), ("", "")]
)
def test_a_wrong_login_is_refused_and_nothing_else_is_told(node: LiveCluster, login: tuple[str, str]) -> None:
    words = [each.encode() for each in login]
    wrong, hello, after = ask(
        node.ports["n1"], [b"AUTH", *words], [b"HELLO", b"3", b"AUTH", *words], [b"GET", b"k"]
    )
    assert str(wrong) == str(hello) == "WRONGPASS invalid user name or password"
    assert str(after).startswith("NOAUTH")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_logs_in_as_a_user(node: LiveCluster, protocol: int) -> None:
    for _ in range(2):  # the second time the password is remembered
        with redis.Redis(
            port=node.ports["n1"], username="shop", password=PASSWORDS["shop"], protocol=protocol
        ) as shop:
            assert shop.set("k", "v")
            assert shop.acl_whoami() in ("shop", b"shop")
            with pytest.raises(redis.exceptions.NoPermissionError):
                shop.info()


@pytest.mark.slow
def test_another_login_changes_what_one_may_and_a_failed_one_does_not(node: LiveCluster) -> None:
    logins = {name: [b"AUTH", name.encode(), PASSWORDS[name].encode()] for name in PASSWORDS}
    answers = ask(
        node.ports["n1"], logins["shop"], [b"SET", b"k", b"v"], [b"AUTH", b"reader", b"wrong"], [b"SET", b"k", b"v"],
        logins["reader"], [b"SET", b"k", b"v"], [b"RESET"], [b"GET", b"k"],
    )  # fmt: skip
    assert [str(each).split()[0] for each in answers] == [
        "b'OK'", "b'OK'", "WRONGPASS", "b'OK'", "b'OK'", "NOPERM", "b'RESET'", "NOAUTH",
    ]  # fmt: skip


@pytest.mark.slow
def test_guessing_is_one_at_a_time_and_holds_nobody_up(tmp_path: Path) -> None:
    """More guesses at once than may wait: the rest is refused, and a client that is known works on."""
    user = User("shop", HASHES["shop"], frozenset({"read", "write"}))
    good = [b"AUTH", b"shop", PASSWORDS["shop"].encode()]
    guesses = WAITING_MAX + 40

    def guess(port: int) -> None:
        known = socket.create_connection(("127.0.0.1", port), 60)
        known.sendall(resp.encode(good, 2))
        assert read_answers(known, 1) == [b"OK"]
        guessing = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(guesses)]
        for number, each in enumerate(guessing):
            each.sendall(resp.encode([b"AUTH", b"shop", b"guess %d" % number], 2))
        assert ask(port, good, [b"SET", b"k", b"v"]) == [b"OK", b"OK"]  # remembered, so it does not wait
        known.sendall(resp.encode([b"GET", b"k"], 2))
        assert read_answers(known, 1) == [b"v"]
        answers = [str(read_answers(each, 1)[0]).split()[0] for each in guessing]
        assert set(answers) == {"WRONGPASS", "OVERLOADED"}
        assert answers.count("WRONGPASS") >= WAITING_MAX
        for each in (known, *guessing):
            each.close()

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(guess, client))

    run_inside(tmp_path, node_config("n1", {}, users=(user,)), scenario)


def test_every_category_names_commands_that_exist_and_the_rest_is_admin() -> None:
    assert {name.split()[0] for name in CATEGORY} <= set(TABLE)
    assert category((b"NO.SUCH",)) == category((b"kv.bucket", b"explode")) == "admin"
    assert not permitted(frozenset({"read", "write", "cluster"}), (b"KV.NODE", b"REPAIR"))


# ---- configuration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('hash = "plain"\nmay = ["read"]', "make one with `quorate cluster hash-password`"),
        ('hash = "scrypt:10:8:1:c2FsdHNhbHQ=:AAAA"\nmay = []', "cost is out of bounds"),
        ('hash = "scrypt:14:8:1:AAAA:AAAA"\nmay = []', "too short"),
        ('hash = 5\nmay = ["read"]', "hash should be text"),
        (f'hash = "{HASHES["shop"]}"', "has no may"),
        (f'hash = "{HASHES["shop"]}"\nmay = ["reed"]', "choose from read, write, admin, cluster"),
        (f'hash = "{HASHES["shop"]}"\nmay = "read"', "should be a list"),
        (f'hash = "{HASHES["shop"]}"\nmay = []\nmaj = 1', 'did you mean "may"'),
    ],
)
def test_a_wrong_table_of_users_is_one_sentence(table: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(f'name = "n1"\n[users.shop]\n{table}\n')
    assert said in str(caught.value)
    assert "plain" not in str(caught.value)
    assert HASHES["shop"] not in str(caught.value)


def test_hash_password_reads_standard_input(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "quorate"), "cluster", "hash-password"]
    done = subprocess.run(command, input="correct horse\n", capture_output=True, text=True, timeout=120)
    assert matches(done.stdout.strip(), b"correct horse")
    short = subprocess.run(command, input="short\n", capture_output=True, text=True, timeout=120)
    assert (short.returncode, short.stdout) == (254, "")
    assert "short" not in short.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_password_of_any_bytes_is_hashed_as_it_is_sent(locale: str) -> None:
    """`quorate cluster` sends the bytes of QUORATE_PASSWORD, whatever they mean in the locale."""
    command = [str(Path(sys.executable).parent / "quorate"), "cluster", "hash-password"]
    environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        command, input=b"p\xe4ssword\xff\n", capture_output=True, timeout=20, env=environment
    )
    assert matches(done.stdout.decode().strip(), b"p\xe4ssword\xff")


def test_hash_password_without_an_input_is_one_sentence() -> None:
    command = f"{Path(sys.executable).parent / 'quorate'} cluster hash-password <&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (254, "")
    assert "standard input" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("field", "more", "served"),
    [
        ("client", USERS, True),
        ("peer", USERS, False),
        ("peer", '[tls]\ncert = "c"\nkey = "k"\nca = "a"\n', True),
        ("client", '[tls]\ncert = "c"\nkey = "k"\nca = "a"\n', False),
    ],
)
def test_other_machines_are_served_where_nobody_comes_in_unknown(
    tmp_path: Path, field: str, more: str, served: bool
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'name = "n1"\n{field} = "0.0.0.0:7000"\n{more}')
    if served:
        assert getattr(load(path), field) == "0.0.0.0:7000"
    else:
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            load(path)


# ---- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ['password = ["hunter2"]', 'secret = ["hunter2"]', 'password = "hunter2'])
def test_an_error_about_a_secret_does_not_show_it(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(f'name = "n1"\n{line}\n')
    assert "hunter2" not in str(caught.value)


def test_no_form_of_an_object_shows_a_secret() -> None:
    config = from_toml(f'name = "n1"\npassword = "hunter2"\nsecret = "{SECRET}"\n{USERS}')
    for shown in (repr(config), str(config), f"{config.users}", repr(Verify(1, HASHES["shop"], b"hunter2"))):
        assert not any(each in shown for each in ("hunter2", SECRET, *HASHES.values()))
    assert "name='n1'" in repr(config)


@pytest.mark.slow
def test_neither_answers_nor_logs_show_a_secret(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 1, password="hunter2", more=f'secret = "{SECRET}"') as nodes:
        port, login = nodes.ports["n1"], [b"AUTH", b"hunter2"]
        ask(port, [b"AUTH", b"wrong hunter2"], [b"HELLO", b"3", b"AUTH", b"hunter2"])
        shown = ask(
            port, login, [b"INFO"], [b"CONFIG", b"GET", b"*"], [b"KV.CLUSTER", b"STATUS"], [b"KV.NODE", b"STATUS"],
            [b"CLIENT", b"INFO"], [b"ACL", b"USERS"], [b"COMMAND"], [b"HELLO", b"9", b"AUTH", b"default", b"hunter2"],
        )  # fmt: skip
        assert str(ask(port, [b"AUTH", b"nobody", b"hunter2"])[0]).startswith("WRONGPASS")
        nodes.stop("n1")
        assert "n1 a client gave a wrong password\n" in (tmp_path / "n1.log").read_text()
        told = repr(shown) + (tmp_path / "n1.log").read_text()
        assert len(told) > 500
        assert "hunter2" not in told
        assert SECRET not in told
