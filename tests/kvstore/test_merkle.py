"""Trees that differ exactly where what they stand for differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvstore.events import Record, Tag
from kvstore.merkle import FANOUT, LEAVES, Tree, differing, entry_of, leaf_of

CLUSTER = b"cluster-1"
Content = dict[bytes, tuple[int, bytes | None]]

contents = st.dictionaries(
    st.binary(min_size=1, max_size=3),
    st.tuples(st.integers(1, 3), st.none() | st.binary(max_size=2)),
    max_size=12,
)


def record(key: bytes, version: tuple[int, bytes | None]) -> Record:
    return Record("b", key, Tag(version[0], "n1", 1), version[1])


def tree_of(content: Content) -> Tree:
    tree = Tree()
    for key, version in content.items():
        tree.toggle(leaf_of(key), entry_of(CLUSTER, record(key, version), by_state=False))
    return tree


def differing_leaves(a: Tree, b: Tree) -> set[int]:
    """The exchange between two replicas, as they do it."""
    if a.root == b.root:
        return set()
    return {
        branch * FANOUT + leaf
        for branch in differing(a.branches(), b.branches())
        for leaf in differing(a.leaves(branch), b.leaves(branch))
    }


@given(contents, contents)
def test_the_descent_finds_exactly_the_leaves_of_keys_that_differ(a: Content, b: Content) -> None:
    keys = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
    assert differing_leaves(tree_of(a), tree_of(b)) == {leaf_of(key) for key in keys}


@given(contents, contents)
def test_a_tree_kept_up_per_write_equals_one_built_anew(before: Content, after: Content) -> None:
    tree = tree_of(before)
    for key in before.keys() | after.keys():
        for version in (before.get(key), after.get(key)):
            if version is not None:
                tree.toggle(leaf_of(key), entry_of(CLUSTER, record(key, version), by_state=False))
    fresh = tree_of(after)
    assert (tree.root, tree.branches()) == (fresh.root, fresh.branches())
    assert [tree.leaf(n) for n in range(LEAVES)] == [fresh.leaf(n) for n in range(LEAVES)]


def test_a_tombstone_is_an_entry() -> None:
    live, dead = tree_of({b"k": (1, b"")}), tree_of({b"k": (1, None)})
    assert differing_leaves(live, dead) == {leaf_of(b"k")}
    assert differing_leaves(Tree(), dead) == {leaf_of(b"k")}


def test_a_class_that_merges_states_compares_states() -> None:
    a, b = Record("b", b"k", Tag(1, "", 0), b"state"), Record("b", b"k", Tag(9, "", 0), b"state")
    assert entry_of(CLUSTER, a, by_state=True) == entry_of(CLUSTER, b, by_state=True)
    assert entry_of(CLUSTER, a, by_state=False) != entry_of(CLUSTER, b, by_state=False)


def test_another_cluster_hashes_differently() -> None:
    one = record(b"k", (1, b"v"))
    assert entry_of(b"cluster-1", one, by_state=False) != entry_of(b"cluster-2", one, by_state=False)


def test_key_and_version_do_not_run_into_each_other() -> None:
    a = Record("b", b"k1", Tag(1, "n", 1), b"v")
    b = Record("b", b"k", Tag(11, "n", 1), b"v")
    assert entry_of(CLUSTER, a, by_state=False) != entry_of(CLUSTER, b, by_state=False)
