//! Session guarantees with unique written values: is there, for each key, one order of its writes that no session contradicts?
//!
//! Each guarantee only ever says "a is not after b" of two writes of one key; the initial value is before all.
//!
//! ```text
//!   RYW   a session writes a, later reads b                            a ≤ b
//!   MR    a session reads a, later reads b                             a ≤ b
//!   MW    p writes a, then b                                           a ≤ b      and, seen by another session:
//!         p writes a, then c; a session reads c, later reads b         a ≤ b      c may be of another key
//!   WFR   p reads a, later writes b                                    a ≤ b
//!         p reads a, then writes c; a session reads c, later reads b   a ≤ b
//! ```
//! Such orders exist exactly if no strongly connected component has two writes. Nothing connects keys, so each has a graph of its own (`orders`),
//! small enough for the cache, and they are judged beside each other.
//!
//! Reference: Terry, Demers, Petersen, Spreitzer, Theimer & Welch, Session guarantees for weakly consistent replicated data, PDIS 1994, in the
//! form that a black box shows (one arbitration of the writes of a key).

mod layout;
mod orders;

use crate::causal::{edge, Broken, Edge, Found};
use crate::digraph::Arc;
use crate::parallel::over;
use crate::sessions::{Sessions, INITIAL};
use layout::{Known, Layout};
use orders::{Orders, Source, TooOld};

pub const READ_YOUR_WRITES: u8 = 1;
pub const MONOTONIC_READS: u8 = 2;
pub const MONOTONIC_WRITES: u8 = 4;
pub const WRITES_FOLLOW_READS: u8 = 8;
const NAMES: [&str; 4] = [
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
];
/// How many pairs of contradicting writes are tried for the shortest circle.
const TRIES: usize = 24;

fn name(kind: u8) -> &'static str {
    NAMES[kind.trailing_zeros() as usize]
}

/// What is wrong with a key.
enum Bad {
    TooOld(TooOld),
    Circle,
}

/// Search for a contradiction of the wanted guarantees together; so many keys at once, 0 for one per core.
pub fn search(run: &Sessions, wanted: u8, threads: usize) -> Found {
    within(run, wanted, threads, layout::ENTRIES_MAX)
}

/// The same with at most so many entries of what reads' sessions knew at a time, unless one key needs more.
fn within(run: &Sessions, wanted: u8, threads: usize, entries: usize) -> Found {
    let layout = Layout::of(run);
    let outside = wanted & (MONOTONIC_WRITES | WRITES_FOLLOW_READS) > 0;
    let (mut tested, mut bad) = (0, Vec::new());
    for block in layout.blocks(if outside { run.count() } else { 0 }, entries) {
        let known = if outside {
            Known::of(run, |key| block.contains(&key), threads)
        } else {
            Known::default()
        };
        let source = Source {
            run,
            layout: &layout,
            known: &known,
            wanted,
        };
        let sizes: Vec<usize> = block.clone().map(|key| layout.steps(key).len()).collect();
        let judge = |orders: &mut Orders, n: usize| judge(&source, orders, block.start + n as u32);
        let judged = over(&sizes, threads, Orders::default, judge);
        for (key, (count, wrong)) in block.clone().zip(judged) {
            tested += count;
            bad.extend(wrong.map(|wrong| (key, wrong)));
        }
    }
    let too_old = bad.iter().find_map(|(_, wrong)| match wrong {
        Bad::TooOld(found) => Some(overlooked(run, found)),
        Bad::Circle => None,
    });
    let keys: Vec<u32> = bad.iter().map(|&(key, _)| key).take(TRIES).collect();
    let broken = too_old.or_else(|| shortest(run, &layout, wanted, &keys));
    Found { broken, tested }
}

/// How many reads of the key were bound, and what is wrong.
fn judge(source: &Source, orders: &mut Orders, key: u32) -> (u64, Option<Bad>) {
    orders.collect(source, key);
    if let Some(found) = orders.too_old {
        return (orders.tested, Some(Bad::TooOld(found)));
    }
    let circle = !orders.contradictions(source, key, &orders.graph(), 1).is_empty();
    (orders.tested, circle.then_some(Bad::Circle))
}

/// A session that must not see the initial value of a key has seen it.
fn overlooked(run: &Sessions, found: &TooOld) -> Broken {
    let &TooOld { kind, source, at } = found;
    let wrote = matches!(kind, READ_YOUR_WRITES | MONOTONIC_WRITES);
    let because = match kind {
        READ_YOUR_WRITES => vec![at],
        MONOTONIC_READS => vec![source, at],
        _ => relay(run, source, at, wrote),
    };
    let from = if wrote { source } else { run.step(source).from };
    let edges = vec![Edge {
        from,
        to: INITIAL,
        kind: name(kind),
        because,
    }];
    Broken {
        anomaly: name(kind),
        edges,
    }
}

/// Of the keys with contradictions, the shortest circle.
fn shortest(run: &Sessions, layout: &Layout, wanted: u8, keys: &[u32]) -> Option<Broken> {
    let known = Known::of(run, |key| keys.contains(&key), 1);
    let source = Source {
        run,
        layout,
        known: &known,
        wanted,
    };
    let (mut orders, mut best): (Orders, Option<(usize, Vec<Edge>)>) = Default::default();
    for &key in keys {
        orders.collect(&source, key);
        let graph = orders.graph();
        let tries = TRIES.div_ceil(keys.len());
        for (a, b) in orders.contradictions(&source, key, &graph, tries) {
            let (Some(there), Some(back)) = (graph.path(a, b), graph.path(b, a)) else {
                continue;
            };
            let circle: Vec<(u32, Arc)> = there.into_iter().chain(back).collect();
            let length = circle.iter().map(|(_, arc)| arc.cost as usize).sum();
            if best.as_ref().is_none_or(|&(least, _)| length < least) {
                best = Some((length, told(run, layout.steps(key), &orders, &circle)));
            }
        }
    }
    best.map(|(_, edges)| Broken {
        anomaly: "contradicted-order",
        edges,
    })
}

/// The circle from write to write, helpers left out. What leads into a chain of helpers says which guarantee it is.
fn told(run: &Sessions, steps: &[u32], orders: &Orders, circle: &[(u32, Arc)]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut first = 0;
    for (at, &(_, arc)) in circle.iter().enumerate() {
        if arc.cost == 0 {
            continue;
        }
        let (from, to) = (steps[circle[first].0 as usize], steps[arc.to as usize]);
        let (entry, order) = (
            orders.orders[circle[first].1.label as usize],
            orders.orders[arc.label as usize],
        );
        let mut told = edge(from, to, name(entry.kind));
        told.because = match entry.kind {
            READ_YOUR_WRITES => vec![order.by],
            MONOTONIC_READS => vec![read_before(run, order.by), order.by],
            MONOTONIC_WRITES if order.by == to => Vec::new(),
            MONOTONIC_WRITES => relay(run, from, order.by, true),
            _ if order.by == to => vec![entry.by],
            _ => relay(run, entry.by, order.by, false),
        };
        if from != to {
            edges.push(told);
        }
        first = at + 1;
    }
    edges
}

/// How the session of `at` came to know of `source`: the write c after it, the read of c, and `at`. For a read, with it in front.
fn relay(run: &Sessions, source: u32, at: u32, is_write: bool) -> Vec<u32> {
    let p = run.step(source).session;
    let told = |read: &u32| {
        let from = run.step(*read).from;
        from < INITIAL && run.step(from).session == p && (from > source || (from == source && !is_write))
    };
    let first = run.starts[run.step(at).session as usize];
    let read = (first..at).find(told).unwrap_or(at);
    let mut steps = if is_write { Vec::new() } else { vec![source] };
    steps.extend([run.step(read).from, read, at]);
    steps
}

/// The read of the same key that the session did before this one.
fn read_before(run: &Sessions, at: u32) -> u32 {
    let key = run.step(at).key;
    let same = |&other: &u32| run.step(other).reads() && run.step(other).key == key;
    (0..at).rev().find(same).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;

    /// Three sessions, eight keys; the last key has no order for all four.
    fn run() -> Sessions {
        let mut text = String::new();
        let mut time = 0;
        let mut done = |process: u32, f: &str, key: u32, value: u32| {
            for kind in ["invoke", "ok"] {
                let record = format!("{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"key\":{key},\"value\":{value},\"time\":{time}}}\n");
                text.push_str(&record);
                time += 1;
            }
        };
        for key in 0..8 {
            done(0, "write", key, 1);
            done(1, "read", key, 1);
            done(1, "write", key, 2);
            done(2, "read", key, 2);
            if key == 7 {
                done(2, "read", key, 1);
            }
        }
        Sessions::of(&Columns::read(text.as_bytes()).expect("good"))
    }

    #[test]
    fn what_is_found_does_not_depend_on_the_memory() {
        let run = run();
        for wanted in [WRITES_FOLLOW_READS, MONOTONIC_WRITES, 15] {
            let found = |entries| {
                let found = within(&run, wanted, 1, entries);
                let edges = found.broken.map(|broken| broken.edges).unwrap_or_default();
                let shown = |edge: Edge| (edge.from, edge.to, edge.kind, edge.because);
                (found.tested, edges.into_iter().map(shown).collect::<Vec<_>>())
            };
            let whole = found(usize::MAX);
            assert_eq!(whole.1.is_empty(), wanted != 15);
            for entries in [0, 1, 25, 60] {
                assert_eq!(found(entries), whole, "{entries} entries");
            }
        }
        assert_eq!(Layout::of(&run).blocks(run.count(), 30), [0..2, 2..4, 4..6, 6..8]);
    }
}
