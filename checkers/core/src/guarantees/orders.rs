//! What the guarantees demand of one key: orders between its writes, and a test whether they can all be.
//!
//! Nodes are the key's steps by place, then helpers. What a session has written or read of the key is a chain of helpers, each of which stands
//! for all values up to there, so that one edge from it says "none of these is after":
//!
//! ```text
//!   p:  read a, write b, read c          a   b   c
//!                                        ▼   ▼   ▼
//!                                        g1─►g2─►g3 ──► what another session reads after it learned of p's past up to there
//! ```
//! Along one session such knowledge only grows, so for each p a pointer moves on, and only what is new makes an edge.

use super::layout::{Known, Layout};
use super::{MONOTONIC_READS, MONOTONIC_WRITES, READ_YOUR_WRITES, WRITES_FOLLOW_READS};
use crate::digraph::{Arc, Digraph};
use crate::intern::NONE;
use crate::sessions::{Sessions, INITIAL};

/// `from` is not after `to`, as the step `by` shows. Nodes, but `by` is a step of the run.
#[derive(Clone, Copy)]
pub struct Order {
    pub from: u32,
    pub to: u32,
    pub by: u32,
    pub kind: u8,
}

/// The read `at` returned the initial value, though its session knew better by `source`: a write, or a read of one.
#[derive(Clone, Copy)]
pub struct TooOld {
    pub kind: u8,
    pub source: u32,
    pub at: u32,
}

/// One link of a session's past: who has read a step of this session that is at least the `need`-th knows of it.
struct Mark {
    need: u32,
    node: u32,
    step: u32,
    kind: u8,
}

/// The marks of one session; the reader at hand knows those before `next`, of which those before `told` made an edge.
struct Past {
    session: u32,
    begin: u32,
    end: u32,
    next: u32,
    told: u32,
}

/// What one session has done to the key so far.
#[derive(Default)]
struct Own {
    read: Option<u32>,
    wrote: Option<u32>,
    written: Option<u32>,
    chain: Option<u32>,
}

/// Keeps its memory from key to key.
#[derive(Default)]
pub struct Orders {
    pub orders: Vec<Order>,
    pub steps: u32,
    nodes: u32,
    marks: Vec<Mark>,
    pasts: Vec<Past>,
    pub too_old: Option<TooOld>,
    pub tested: u64,
}

/// What the demands are made from.
pub struct Source<'a> {
    pub run: &'a Sessions,
    pub layout: &'a Layout,
    pub known: &'a Known,
    pub wanted: u8,
}

impl Source<'_> {
    fn wants(&self, kind: u8) -> bool {
        self.wanted & kind > 0
    }
}

impl Orders {
    /// All demands of the key.
    pub fn collect(&mut self, source: &Source, key: u32) {
        let steps = source.layout.steps(key);
        self.orders.clear();
        self.marks.clear();
        self.pasts.clear();
        (self.steps, self.nodes) = (steps.len() as u32, steps.len() as u32);
        (self.too_old, self.tested) = (None, 0);
        let (mut own, mut session) = (Own::default(), NONE);
        for (place, &at) in (0..).zip(steps) {
            let step = *source.run.step(at);
            if step.session != session {
                session = step.session;
                own = Own::default();
                self.open(session);
            }
            if step.reads() {
                self.read(source, at, &mut own);
            }
            if step.writes {
                self.write(source, place, at, &mut own);
            }
            self.pasts.last_mut().expect("opened").end = self.marks.len() as u32;
        }
        if source.wants(MONOTONIC_WRITES | WRITES_FOLLOW_READS) {
            self.seen_from_outside(source, steps);
        }
    }

    fn open(&mut self, session: u32) {
        let begin = self.marks.len() as u32;
        self.pasts.push(Past {
            session,
            begin,
            end: begin,
            next: begin,
            told: begin,
        });
    }

    fn order(&mut self, kind: u8, from: u32, to: u32, by: u32) {
        if from != to {
            self.orders.push(Order { from, to, by, kind });
        }
    }

    fn helper(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    fn older(&mut self, kind: u8, source: u32, at: u32) {
        self.too_old.get_or_insert(TooOld { kind, source, at });
    }

    /// Lengthen a chain by a value. Returns its new end.
    fn lengthen(&mut self, chain: Option<u32>, kind: u8, value: u32, by: u32) -> u32 {
        let helper = self.helper();
        if let Some(before) = chain {
            self.order(kind, before, helper, by);
        }
        self.order(kind, value, helper, by);
        helper
    }

    fn read(&mut self, source: &Source, at: u32, own: &mut Own) {
        let run = source.run;
        let from = run.step(at).from;
        self.tested += u64::from(source.wants(READ_YOUR_WRITES) && own.wrote.is_some());
        self.tested += u64::from(source.wants(MONOTONIC_READS) && own.read.is_some());
        let before = own.read.map_or(INITIAL, |read| run.step(read).from);
        if from == INITIAL {
            if let (Some(write), true) = (own.wrote, source.wants(READ_YOUR_WRITES)) {
                self.older(READ_YOUR_WRITES, write, at);
            }
            if let (Some(read), true) = (own.read, before != INITIAL && source.wants(MONOTONIC_READS)) {
                self.older(MONOTONIC_READS, read, at);
            }
            own.read = own.read.or(Some(at));
            return;
        }
        let value = source.layout.place(from);
        if let Some(written) = own.written {
            self.order(READ_YOUR_WRITES, written, value, at);
        }
        if source.wants(MONOTONIC_READS) && before != INITIAL {
            self.order(MONOTONIC_READS, source.layout.place(before), value, at);
        }
        if source.wants(WRITES_FOLLOW_READS) && before != from {
            let chain = self.lengthen(own.chain, WRITES_FOLLOW_READS, value, at);
            own.chain = Some(chain);
            self.marks.push(Mark {
                need: at + 1,
                node: chain,
                step: at,
                kind: WRITES_FOLLOW_READS,
            });
        }
        own.read = Some(at);
    }

    fn write(&mut self, source: &Source, place: u32, at: u32, own: &mut Own) {
        if let Some(chain) = own.chain {
            self.order(WRITES_FOLLOW_READS, chain, place, at);
        }
        if source.wants(MONOTONIC_WRITES) {
            let mut node = place;
            if source.wants(WRITES_FOLLOW_READS) {
                node = self.lengthen(own.chain, MONOTONIC_WRITES, place, at);
                own.chain = Some(node);
            } else if let Some(before) = own.wrote {
                self.order(MONOTONIC_WRITES, source.layout.place(before), place, at);
            }
            self.marks.push(Mark {
                need: at + 2,
                node,
                step: at,
                kind: MONOTONIC_WRITES,
            });
        }
        if source.wants(READ_YOUR_WRITES) {
            own.written = Some(self.lengthen(own.written, READ_YOUR_WRITES, place, at));
        }
        own.wrote = Some(at);
    }

    /// What a session must not overlook once it has read a write of p: p's earlier writes, and what p had read.
    fn seen_from_outside(&mut self, source: &Source, steps: &[u32]) {
        let (mut pasts, mut session, mut bound) = (std::mem::take(&mut self.pasts), NONE, None);
        for &at in steps.iter().filter(|&&at| source.run.step(at).reads()) {
            let step = source.run.step(at);
            if step.session != session {
                session = step.session;
                bound = None;
                pasts
                    .iter_mut()
                    .for_each(|past| (past.next, past.told) = (past.begin, past.begin));
            }
            let (latest, first) = (source.known.row(session, at), self.orders.len());
            let mut knows = false;
            for past in &mut pasts {
                let latest = latest[past.session as usize];
                while past.next < past.end && self.marks[past.next as usize].need <= latest {
                    past.next += 1;
                }
                if past.next == past.begin {
                    continue;
                }
                knows = true;
                if past.next > past.told && step.from != INITIAL {
                    past.told = past.next;
                    let Mark { node, kind, .. } = self.marks[past.next as usize - 1];
                    self.orders.push(Order {
                        from: node,
                        to: NONE,
                        by: at,
                        kind,
                    });
                }
            }
            self.tested += u64::from(knows);
            if step.from != INITIAL {
                self.bind(source, at, first, &mut bound);
            } else if knows {
                let told = pasts
                    .iter()
                    .find(|past| past.next > past.begin)
                    .expect("one is known");
                let Mark { step, kind, .. } = self.marks[told.next as usize - 1];
                self.older(kind, step, at);
            }
        }
        self.pasts = pasts;
    }

    /// Give the orders from `first` on their end: what the read returned; through a helper that later reads use too, unless monotonic reads
    /// put those after this one anyway.
    fn bind(&mut self, source: &Source, at: u32, first: usize, bound: &mut Option<u32>) {
        let value = source.layout.place(source.run.step(at).from);
        if source.wants(MONOTONIC_READS) {
            self.orders[first..].iter_mut().for_each(|order| order.to = value);
            let mut kept = first;
            for n in first..self.orders.len() {
                if self.orders[n].from != value {
                    self.orders[kept] = self.orders[n];
                    kept += 1;
                }
            }
            self.orders.truncate(kept);
            return;
        }
        if self.orders.len() > first {
            let helper = self.helper();
            self.orders[first..]
                .iter_mut()
                .for_each(|order| order.to = helper);
            if let Some(before) = *bound {
                self.order(MONOTONIC_WRITES, before, helper, at);
            }
            *bound = Some(helper);
        }
        if let Some(helper) = *bound {
            self.order(MONOTONIC_WRITES, helper, value, at);
        }
    }

    /// The demands as a graph; the label of an edge is the number of its order. Helpers cost nothing.
    pub fn graph(&self) -> Digraph {
        Digraph::of(self.nodes as usize, |place| {
            for (label, order) in (0..).zip(&self.orders) {
                let cost = u8::from(order.to < self.steps);
                place(
                    order.from,
                    Arc {
                        to: order.to,
                        label,
                        cost,
                    },
                );
            }
        })
    }

    /// Pairs of writes that each have to be before the other: at most so many.
    pub fn contradictions(&self, source: &Source, key: u32, graph: &Digraph, most: usize) -> Vec<(u32, u32)> {
        let component = graph.components();
        let (mut member, mut pairs) = (vec![NONE; component.len()], Vec::new());
        for (place, &at) in (0..).zip(source.layout.steps(key)) {
            if source.run.step(at).writes {
                let slot = &mut member[component[place as usize] as usize];
                if *slot != NONE && pairs.len() < most {
                    pairs.push((*slot, place));
                }
                *slot = place;
            }
        }
        pairs
    }
}
