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
//! Such orders exist exactly if no strongly connected component has two writes. To keep the edges few, what a session has written (RYW) or read
//! (WFR) of a key is a chain of helper nodes: each stands for all values up to there.
//!
//! Reference: Terry, Demers, Petersen, Spreitzer, Theimer & Welch, Session guarantees for weakly consistent replicated data, PDIS 1994, in the
//! form that a black box shows (one arbitration of the writes of a key).

use crate::causal::{edge, Broken, Edge, Found};
use crate::digraph::{Arc, Digraph};
use crate::intern::NONE;
use crate::sessions::{ByKey, Sessions, INITIAL};

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
/// How many edges of a bad component are tried for the shortest cycle.
const TRIES: usize = 24;

/// `from` is not after `to`; nodes are steps, or helpers above them. `by` is the step that shows it.
#[derive(Clone, Copy)]
struct Order {
    from: u32,
    to: u32,
    by: u32,
    kind: u8,
}

/// What one session has done to one key.
#[derive(Clone, Copy)]
struct Past {
    session: u32,
    read: u32,
    wrote: u32,
    written: u32,
    seen: u32,
}

const NOTHING: Past = Past {
    session: NONE,
    read: NONE,
    wrote: NONE,
    written: NONE,
    seen: NONE,
};

struct Search<'a> {
    run: &'a Sessions,
    wanted: u8,
    orders: Vec<Order>,
    /// Per helper: the step that made it.
    helpers: Vec<u32>,
    /// Reads that made a helper of what their session had seen, ascending; and per such read its helper.
    readers: Vec<u32>,
    helper_of: Vec<u32>,
    /// A read of the initial value by one who had to know better.
    broken: Option<Broken>,
    tested: u64,
}

/// Search for a contradiction of the wanted guarantees together.
pub fn search(run: &Sessions, wanted: u8) -> Found {
    let mut search = Search {
        run,
        wanted,
        orders: Vec::new(),
        helpers: Vec::new(),
        readers: Vec::new(),
        helper_of: vec![
            NONE;
            if wanted & WRITES_FOLLOW_READS > 0 {
                run.steps.len()
            } else {
                0
            }
        ],
        broken: None,
        tested: 0,
    };
    search.own();
    if wanted & (MONOTONIC_WRITES | WRITES_FOLLOW_READS) > 0 {
        search.seen_from_outside();
    }
    let broken = search.broken.take().or_else(|| search.contradiction());
    Found {
        broken,
        tested: search.tested,
    }
}

impl Search<'_> {
    fn order(&mut self, kind: u8, from: u32, to: u32, by: u32) {
        if self.wanted & kind > 0 && from != to {
            self.orders.push(Order { from, to, by, kind });
        }
    }

    fn helper(&mut self, by: u32) -> u32 {
        self.helpers.push(by);
        (self.run.steps.len() + self.helpers.len() - 1) as u32
    }

    /// A session that must not see the initial value of a key has seen it.
    fn too_old(&mut self, kind: u8, from: u32, because: Vec<u32>) {
        self.broken.get_or_insert_with(|| Broken {
            anomaly: NAMES[kind.trailing_zeros() as usize],
            edges: vec![Edge {
                from,
                to: INITIAL,
                kind: NAMES[kind.trailing_zeros() as usize],
                because,
            }],
        });
    }

    /// What a session's own past of a key demands.
    fn own(&mut self) {
        let mut pasts = vec![NOTHING; self.run.keys];
        for at in 0..self.run.steps.len() as u32 {
            let step = *self.run.step(at);
            let mut past = pasts[step.key as usize];
            if past.session != step.session {
                past = Past {
                    session: step.session,
                    ..NOTHING
                };
            }
            if step.reads() {
                self.read(at, &mut past);
            }
            if step.writes {
                self.write(at, &mut past);
            }
            pasts[step.key as usize] = past;
        }
    }

    fn read(&mut self, at: u32, past: &mut Past) {
        let from = self.run.step(at).from;
        let (wrote, read) = (past.wrote != NONE, past.read != NONE);
        self.tested += u64::from(self.wanted & READ_YOUR_WRITES > 0 && wrote);
        self.tested += u64::from(self.wanted & MONOTONIC_READS > 0 && read);
        if from == INITIAL {
            if wrote && self.wanted & READ_YOUR_WRITES > 0 {
                self.too_old(READ_YOUR_WRITES, past.wrote, vec![at]);
            }
            if read && self.wanted & MONOTONIC_READS > 0 {
                let seen = self.run.step(past.read).from;
                if seen != INITIAL {
                    self.too_old(MONOTONIC_READS, seen, vec![past.read, at]);
                }
            }
            past.read = if read { past.read } else { at };
            return;
        }
        let before = if read {
            self.run.step(past.read).from
        } else {
            INITIAL
        };
        if wrote {
            self.order(READ_YOUR_WRITES, past.written, from, at);
        }
        if before != INITIAL {
            self.order(MONOTONIC_READS, before, from, at);
        }
        if self.wanted & WRITES_FOLLOW_READS > 0 && (past.seen == NONE || before != from) {
            let helper = self.helper(at);
            if past.seen != NONE {
                self.order(WRITES_FOLLOW_READS, past.seen, helper, at);
            }
            self.order(WRITES_FOLLOW_READS, from, helper, at);
            past.seen = helper;
            self.readers.push(at);
            self.helper_of[at as usize] = helper;
        }
        past.read = at;
    }

    fn write(&mut self, at: u32, past: &mut Past) {
        if past.seen != NONE {
            self.order(WRITES_FOLLOW_READS, past.seen, at, at);
        }
        if past.wrote != NONE {
            self.order(MONOTONIC_WRITES, past.wrote, at, at);
        }
        if self.wanted & READ_YOUR_WRITES > 0 {
            let helper = self.helper(at);
            if past.written != NONE {
                self.order(READ_YOUR_WRITES, past.written, helper, at);
            }
            self.order(READ_YOUR_WRITES, at, helper, at);
            past.written = helper;
        }
        past.wrote = at;
    }

    /// What a session must not overlook once it has read a write of p: p's earlier writes, and what p had read.
    fn seen_from_outside(&mut self) {
        let run = self.run;
        let chosen = |kind: u8| self.wanted & kind > 0;
        let (writes, reads) = (chosen(MONOTONIC_WRITES), chosen(WRITES_FOLLOW_READS));
        let all = 0..run.steps.len() as u32;
        let written: Vec<u32> = all.filter(|&at| writes && run.step(at).writes).collect();
        let (written, read) = (ByKey::of(run, &written), ByKey::of(run, &self.readers));
        let mut done_writes = vec![(NONE, NONE); written.segments()];
        let mut done_reads = vec![(NONE, NONE); read.segments()];
        let mut latest = vec![0u32; run.count()]; // per session: one past its latest write that was read
        for session in 0..run.count() {
            latest.fill(0);
            for at in run.steps_of(session).filter(|&at| run.step(at).reads()) {
                let step = *run.step(at);
                let mut bound = false;
                if writes {
                    written.last(
                        step.key,
                        |p| latest[p as usize].saturating_sub(1),
                        |n, write| {
                            bound = true;
                            self.outside(MONOTONIC_WRITES, write, write, at, &mut done_writes[n]);
                        },
                    );
                }
                if reads {
                    read.last(
                        step.key,
                        |p| latest[p as usize],
                        |n, reader| {
                            bound = true;
                            let helper = self.helper_of[reader as usize];
                            self.outside(WRITES_FOLLOW_READS, helper, reader, at, &mut done_reads[n]);
                        },
                    );
                }
                self.tested += u64::from(bound);
                if step.from < INITIAL {
                    let slot = &mut latest[run.step(step.from).session as usize];
                    *slot = (*slot).max(step.from + 1);
                }
            }
        }
    }

    /// The read `at` must not be older than `node`: a write, or the helper of the read `source`.
    fn outside(&mut self, kind: u8, node: u32, source: u32, at: u32, done: &mut (u32, u32)) {
        let from = self.run.step(at).from;
        if from == INITIAL {
            if self.broken.is_none() {
                let first = if node == source {
                    node
                } else {
                    self.run.step(source).from
                };
                let because = self.relay(source, at, node == source);
                self.too_old(kind, first, because);
            }
        } else if std::mem::replace(done, (node, from)) != (node, from) {
            self.order(kind, node, from, at);
        }
    }

    /// How the session of `at` came to know of `source`: the write c after it, the read of c, and `at`. For a read, with it in front.
    fn relay(&self, source: u32, at: u32, is_write: bool) -> Vec<u32> {
        let run = self.run;
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

    /// Two writes of one component contradict each other: the shortest circle through them.
    fn contradiction(&self) -> Option<Broken> {
        let steps = self.run.steps.len();
        let graph = Digraph::of(steps + self.helpers.len(), |place| {
            for (label, order) in (0..).zip(&self.orders) {
                let cost = u8::from((order.to as usize) < steps);
                place(
                    order.from,
                    Arc {
                        to: order.to,
                        label,
                        cost,
                    },
                );
            }
        });
        let component = graph.components();
        let mut member = vec![NONE; component.len()];
        let mut pairs = Vec::new();
        for at in (0..steps as u32).filter(|&at| self.run.step(at).writes) {
            let slot = &mut member[component[at as usize] as usize];
            if *slot != NONE && pairs.len() < TRIES {
                pairs.push((*slot, at));
            }
            *slot = at;
        }
        let circles = pairs.iter().filter_map(|&(a, b)| {
            let mut circle = graph.path(a, b)?;
            circle.extend(graph.path(b, a)?);
            Some(circle)
        });
        let circle =
            circles.min_by_key(|circle| circle.iter().map(|(_, arc)| arc.cost as usize).sum::<usize>())?;
        Some(Broken {
            anomaly: "contradicted-order",
            edges: self.told(&circle),
        })
    }

    /// The circle from write to write, helpers left out.
    fn told(&self, circle: &[(u32, Arc)]) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut first = 0;
        for (at, &(_, arc)) in circle.iter().enumerate() {
            if arc.cost == 0 {
                continue;
            }
            let (from, order) = (circle[first].0, self.orders[arc.label as usize]);
            let entry = self.orders[circle[first].1.label as usize].by; // into the chain of helpers, if there is one
            let to = arc.to;
            let mut told = edge(from, to, NAMES[order.kind.trailing_zeros() as usize]);
            told.because = match order.kind {
                READ_YOUR_WRITES => vec![order.by],
                MONOTONIC_READS => vec![self.read_before(order.by), order.by],
                MONOTONIC_WRITES if order.by == to => Vec::new(),
                MONOTONIC_WRITES => self.relay(from, order.by, true),
                _ if order.by == to => vec![entry],
                _ => self.relay(entry, order.by, false),
            };
            if from != to {
                edges.push(told);
            }
            first = at + 1;
        }
        edges
    }

    /// The read of the same key that the session did before this one.
    fn read_before(&self, at: u32) -> u32 {
        let key = self.run.step(at).key;
        let same = |&other: &u32| self.run.step(other).reads() && self.run.step(other).key == key;
        (0..at).rev().find(same).unwrap_or(at)
    }
}
