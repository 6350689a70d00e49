"""What we take from "Dynamo: Amazon's Highly Available Key-value Store" (SOSP'07), section by section."""

from __future__ import annotations

from kvstore.config import bucket
from kvstore.messages import Query, Repair, Store
from kvstore.ring import PARTITIONS, Ring, partition_of
from tests.kvstore.cluster import Cluster, failed


def test_section_4_2_a_key_belongs_to_a_position_on_the_ring_and_its_owner() -> None:
    ring = Ring.striped("abcde")
    assert ring.replicas(b"cart", 1)[0] == ring.owners[partition_of(b"cart")]


def test_section_4_3_the_preference_list_skips_positions_to_hold_distinct_nodes() -> None:
    ring = Ring(["a", "a", "a", "b"] * (PARTITIONS // 8) + ["c", "c", "b", "a"] * (PARTITIONS // 8))
    assert ring.preferences(3)[0] == ("a", "b", "c")


def test_section_4_3_any_node_can_coordinate_any_key() -> None:
    made = Cluster("abcde", bucket("default", "quorum"))
    for name in "abcde":
        made.ask(name, "SET", "cart", name)
        assert made.ask("a", "GET", "cart") == name.encode()


def test_section_4_5_a_write_succeeds_when_w_nodes_answer() -> None:
    made = Cluster("abc", bucket("default", "quorum"))
    made.crash("c")
    assert failed(made.ask("a", "SET", "cart", "1")) is None
    made.crash("b")
    assert failed(made.ask("a", "SET", "cart", "2")) == "TIMEOUT"


def test_section_4_5_a_read_succeeds_when_r_nodes_answer() -> None:
    made = Cluster("abc", bucket("default", "quorum", r=1, w=3))
    made.ask("a", "SET", "cart", "1")
    made.crash("b")
    made.crash("c")
    assert made.ask("a", "GET", "cart") == b"1"
    assert failed(made.ask("a", "SET", "cart", "2")) == "TIMEOUT"


def test_section_4_5_the_write_goes_to_all_n() -> None:
    made = Cluster("abcde", bucket("default", "eventual"), by_hand=True)
    coordinator = next(name for name in "abcde" if name not in made.ring.replicas(b"cart", 3))
    made.send(coordinator, "SET", "cart", "1")
    stores = [flight.dst for flight in made.flights if isinstance(flight.message, Store)]
    assert sorted(stores) == sorted(made.ring.replicas(b"cart", 3))


def test_section_5_read_repair_brings_the_stale_up_to_date() -> None:
    made = Cluster("abc", bucket("default", "eventual"))
    made.run(for_ms=50.0)
    made.network.cut = {("a", "b"), ("a", "c")}
    made.ask("a", "SET", "cart", "1")
    made.idle(2_000.0)
    made.network.cut.clear()
    made.ask("a", "GET", "cart")
    made.idle(2_000.0)
    assert any(isinstance(message, Repair) for message in made.stored)
    raw = made.ask("b", "KV.RAW", "cart")
    assert isinstance(raw, dict)
    assert len({str(held) for held in raw.values()}) == 1


def test_section_6_2_the_third_placement_cuts_the_ring_in_equal_partitions() -> None:
    counts = Ring.striped("abcdefg").counts().values()
    assert max(counts) - min(counts) <= 1


def test_reads_ask_all_n_as_well() -> None:
    made = Cluster("abcde", bucket("default", "eventual"), by_hand=True)
    coordinator = next(name for name in "abcde" if name not in made.ring.replicas(b"cart", 3))
    made.send(coordinator, "GET", "cart")
    assert sum(isinstance(flight.message, Query) for flight in made.flights) == 3
