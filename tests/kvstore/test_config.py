from __future__ import annotations

import pytest

from kvstore.config import ConfigError, address_checked, bucket, from_toml
from kvstore.config_checks import COUNTS, DURATIONS_MS

GOOD = 'name = "n1"\n[peers]\nn2 = "h:1"\nn3 = "h:2"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "line 1"),
        ('name = "n1"\nhost = \n', "line 2, column 8"),
        ('nam = "n1"', 'did you mean "name"'),
        ("client = 'h:1'", "There is no name"),
        (GOOD + "[bucket]\nr = 4\n", "r = 4 is more than n = 3"),
        (GOOD + "[bucket]\nr = 1\n", "mode register needs majorities"),
        (GOOD + "[bucket]\nmode = 'fast'\n", "choose from eventual, quorum, monotonic, register"),
        (GOOD + "[bucket]\nn = '3'\n", "should be a whole number"),
        (GOOD + "[bucket]\nmode = 'monotonic'\nread_repair = 'none'\n", "leave it out"),
        (GOOD + "[bucket]\nmode = 'monotonic'\nr = 1\n", "r + w > n"),
        ('bugs = ["nonsense"]\n' + GOOD, 'no seeded bug "nonsense"'),
        ('client = "here"\n' + GOOD, "is not host:port"),
        ("request_timeout_ms = 0\n" + GOOD, "from 1 to 3,600,000"),
        (GOOD + "[buckets.default]\nmode = 'quorum'\n", "Two buckets"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(text, "node.toml")
    message = str(caught.value)
    assert says in message
    assert message.startswith("node.toml")
    assert "\n" not in message


def test_defaults_follow_the_mode() -> None:
    config = from_toml(GOOD + "[buckets.cart]\nmode = 'quorum'\nn = 5\n")
    assert config.members == ("n1", "n2", "n3")
    assert (config.default.mode, config.default.r, config.default.w) == ("register", 2, 2)
    (cart,) = config.buckets
    assert (cart.r, cart.w, cart.read_repair) == (3, 3, "async")
    assert bucket("b", "eventual").r == 1
    assert bucket("b", "monotonic").read_repair == "blocking"


@pytest.mark.parametrize("field", [*DURATIONS_MS, *COUNTS])
def test_a_number_has_a_range_and_is_refused_by_its_name_outside_of_it(field: str) -> None:
    least, most = {**DURATIONS_MS, **COUNTS}[field]
    for within in (least, most):
        assert getattr(from_toml(f'name = "n1"\n{field} = {within}\n'), field) == within
    for beyond in (least - 1, most + 1, "-1", "1e300", "inf", "nan", "true", '"1"', "9" * 4000):
        with pytest.raises(ConfigError, match=rf"{field} = .{{1,60}} is (out of range|not a)") as caught:
            from_toml(f'name = "n1"\n{field} = {beyond}\n')
        assert f"{most:,}" in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["scrub_ms = " + "9" * 5000, "buckets = " + "[" * 20_000])
def test_what_python_does_not_read_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.toml .*correct"):
        from_toml(f'name = "n1"\n{text}\n', "a.toml")


@pytest.mark.parametrize(
    "address", ["n1:7000", "127.0.0.1:1", "[::1]:7000", "::1:0", "a_b-c.example:65535", "fe80::1%eth0:1"]
)
def test_addresses(address: str) -> None:
    assert address_checked(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "a:",
        "a",
        "a:65536",
        "a:²",
        "a:" + "9" * 5000,
        "a b:1",
        "a\0:1",
        "ä:1",
        "a" * 254 + ":1",
        "a:1\n",
        "[]:1",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match=r"is not host:port") as caught:
        address_checked(address)
    assert len(str(caught.value)) < 400
