from __future__ import annotations

import pytest

from kvstore.config import ConfigError, bucket, from_toml

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
        ("request_timeout_ms = 0\n" + GOOD, "above 0"),
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


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true"])
def test_what_is_no_length_of_time_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"anti_entropy_ms = .* is not a number of milliseconds"):
        from_toml(f'name = "n1"\nanti_entropy_ms = {value}\n')
