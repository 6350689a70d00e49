//! Causal consistency (CC) and causal convergence (CCv) with unique written values. O(n · sessions · log n).
//!
//! Causal order co is the closure of session order and reads-from. What a session knows is a vector clock: how many steps of each session.
//! A read looks, in each session, at the last write of its key that it knows of:
//!
//! ```text
//!   write-co-initial-read   w ──co──► r, and r read the initial value
//!   write-co-read           w1 ──co──► w2 ──co──► r, and r read w1
//!   cyclic-co               co has a cycle
//!   cyclic-cf               CCv only: w2 ──co──► r, r read w1: all must agree that w2 came before w1, and these conflicts
//!                           close a cycle with co
//! ```
//! Reference: Bouajjani, Enea, Guerraoui & Hamza, On verifying causal consistency, POPL 2017, section 3 (bad patterns). Clocks for the
//! search: as in AWDIT, PLDI 2025. That a read does not come before its write in real time is no part of these models.

use crate::digraph::{Arc, Digraph};
use crate::intern::NONE;
use crate::sessions::{ByKey, Sessions, INITIAL};

/// An order between two steps, and the steps that prove it. `to` is INITIAL for "before the initial value", which nothing is.
pub struct Edge {
    pub from: u32,
    pub to: u32,
    pub kind: &'static str,
    pub because: Vec<u32>,
}

/// A violation: edges that cannot all be, in the order in which to read them.
pub struct Broken {
    pub anomaly: &'static str,
    pub edges: Vec<Edge>,
}

/// What a search found, and how many reads were really tested.
pub struct Found {
    pub broken: Option<Broken>,
    pub tested: u64,
}

pub const SESSION: &str = "session order";
pub const READS: &str = "reads-from";
pub const CONFLICT: &str = "conflict";
/// The most clocks' entries that are kept: 1 GiB.
const ENTRIES_MAX: usize = 1 << 28;
/// How many conflicts of a cyclic component are tried for the shortest cycle.
const TRIES: usize = 24;

struct Walk<'a> {
    run: &'a Sessions,
    writes: ByKey,
    /// Per session: how many steps of each session it knows.
    now: Vec<u32>,
    /// The same per write, when it was made; `slot` finds a write's row.
    then: Vec<u32>,
    slot: Vec<u32>,
    /// Conflicts w2 before w1, and the read that shows it.
    conflicts: Vec<(u32, u32, u32)>,
    tested: u64,
}

/// Search for a bad pattern; with `convergence`, of CCv. The error says why the search is too large.
pub fn search(run: &Sessions, convergence: bool) -> Result<Found, String> {
    let writes: Vec<u32> = (0..run.steps.len() as u32)
        .filter(|&at| run.step(at).writes)
        .collect();
    let k = run.count();
    if writes.len().saturating_mul(k) > ENTRIES_MAX {
        return Err(format!(
            "{} writes by {k} sessions need more memory than this check allows; check a shorter run, or one with fewer sessions",
            writes.len()
        ));
    }
    let mut slot = vec![NONE; run.steps.len()];
    (0..).zip(&writes).for_each(|(n, &at)| slot[at as usize] = n);
    let mut walk = Walk {
        run,
        writes: ByKey::of(run, &writes),
        now: vec![0; k * k],
        then: vec![0; writes.len() * k],
        slot,
        conflicts: Vec::new(),
        tested: 0,
    };
    let mut broken = walk.go(convergence);
    if broken.is_none() && convergence {
        broken = walk.agree();
    }
    Ok(Found {
        broken,
        tested: walk.tested,
    })
}

impl Walk<'_> {
    /// Visit every step after all that it depends on.
    fn go(&mut self, convergence: bool) -> Option<Broken> {
        let run = self.run;
        let mut next: Vec<u32> = run.starts[..run.count()].to_vec();
        let mut seen: Vec<(u32, u32)> = vec![(NONE, NONE); self.writes.segments()];
        loop {
            let mut moved = false;
            for session in 0..run.count() {
                while next[session] < run.starts[session + 1] {
                    let at = next[session];
                    let from = run.step(at).from;
                    if from < INITIAL && next[run.step(from).session as usize] <= from {
                        break; // its write was not visited yet
                    }
                    if let Some(broken) = self.visit(at, convergence, &mut seen) {
                        return Some(broken);
                    }
                    next[session] += 1;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        (0..run.count())
            .find(|&session| next[session] < run.starts[session + 1])
            .map(|session| self.circle(&next, session))
    }

    fn visit(&mut self, at: u32, convergence: bool, seen: &mut [(u32, u32)]) -> Option<Broken> {
        let (run, k) = (self.run, self.run.count());
        let step = *run.step(at);
        let session = step.session as usize;
        let place = at - run.starts[session];
        if step.reads() {
            self.tested += u64::from(place > 0);
            self.learn(session, step.from);
            let row = &self.now[session * k..][..k];
            let (mut bad, mut conflicts) = (None, std::mem::take(&mut self.conflicts));
            self.writes.last(
                step.key,
                |t| run.starts[t as usize] + row[t as usize],
                |segment, newer| {
                    let overwritten = || newer != step.from && self.knew(newer, step.from);
                    if step.from == INITIAL || overwritten() {
                        bad = bad.or(Some(newer));
                    } else if convergence && newer != step.from && !self.knew(step.from, newer) {
                        let edge = (newer, step.from);
                        if std::mem::replace(&mut seen[segment], edge) != edge {
                            conflicts.push((edge.0, edge.1, at));
                        }
                    }
                },
            );
            self.conflicts = conflicts;
            if let Some(newer) = bad {
                return Some(self.overwritten(at, newer));
            }
        }
        if step.writes {
            let row = self.slot[at as usize] as usize * k;
            self.then[row..row + k].copy_from_slice(&self.now[session * k..][..k]);
        }
        self.now[session * k + session] = place + 1;
        None
    }

    /// A session reads `from`: it knows now what the writer knew, and the write.
    fn learn(&mut self, session: usize, from: u32) {
        if from == INITIAL {
            return;
        }
        let (k, writer) = (self.run.count(), self.run.step(from).session as usize);
        let then = &self.then[self.slot[from as usize] as usize * k..][..k];
        let now = &mut self.now[session * k..][..k];
        now.iter_mut()
            .zip(then)
            .for_each(|(now, then)| *now = (*now).max(*then));
        now[writer] = now[writer].max(from - self.run.starts[writer] + 1);
    }

    /// Did the write `later` know of the write `earlier`?
    fn knew(&self, later: u32, earlier: u32) -> bool {
        let session = self.run.step(earlier).session as usize;
        let known = self.then[self.slot[later as usize] as usize * self.run.count() + session];
        earlier - self.run.starts[session] < known
    }

    /// The read `at` knew of `newer`, which came after what it read.
    fn overwritten(&self, at: u32, newer: u32) -> Broken {
        let graph = self.graph(&[]);
        let from = self.run.step(at).from;
        if from == INITIAL {
            let mut edges = self.edges(&graph, newer, at);
            edges.push(Edge {
                from: at,
                to: INITIAL,
                kind: READS,
                because: Vec::new(),
            });
            return Broken {
                anomaly: "write-co-initial-read",
                edges,
            };
        }
        let mut edges = self.edges(&graph, from, newer);
        edges.extend(self.edges(&graph, newer, at));
        edges.push(Edge {
            from,
            to: at,
            kind: READS,
            because: Vec::new(),
        });
        Broken {
            anomaly: "write-co-read",
            edges,
        }
    }

    /// Sessions wait for each other's writes: follow who waits for whom.
    fn circle(&self, next: &[u32], start: usize) -> Broken {
        let run = self.run;
        let (mut trail, mut at): (Vec<u32>, u32) = (Vec::new(), next[start]);
        while !trail.contains(&at) {
            trail.push(at);
            at = next[run.step(run.step(at).from).session as usize];
        }
        let first = trail.iter().position(|&read| read == at).unwrap_or(0);
        let mut edges = Vec::new();
        for &read in trail[first..].iter().rev() {
            let from = run.step(read).from;
            let blocked = next[run.step(from).session as usize];
            if blocked != from {
                edges.push(edge(blocked, from, SESSION));
            }
            edges.push(edge(from, read, READS));
        }
        Broken {
            anomaly: "cyclic-co",
            edges,
        }
    }

    /// Is there one order that holds causal order and every conflict?
    fn agree(&self) -> Option<Broken> {
        let graph = self.graph(&self.conflicts);
        let component = graph.components();
        let inside = |&&(from, to, _): &&(u32, u32, u32)| component[from as usize] == component[to as usize];
        let tries = self.conflicts.iter().filter(inside).take(TRIES);
        let cycles = tries.filter_map(|&(from, to, read)| {
            let path = graph.path(to, from)?;
            Some((
                path.iter().map(|(_, arc)| arc.cost as usize).sum::<usize>(),
                from,
                to,
                read,
                path,
            ))
        });
        let (_, from, to, read, path) = cycles.min_by_key(|cycle| cycle.0)?;
        let plain = self.graph(&[]);
        let mut edges = vec![self.conflict(&plain, from, to, read)];
        let mut at = 0;
        while at < path.len() {
            let (node, arc) = path[at];
            match arc.label {
                NONE => {
                    let run = path[at..].iter().take_while(|(_, arc)| arc.cost == 0).count();
                    edges.push(edge(node, path[at + run - 1].1.to, SESSION));
                    at += run;
                    continue;
                }
                label if label == arc.to => edges.push(edge(node, arc.to, READS)),
                read => edges.push(self.conflict(&plain, node, arc.to, read)),
            }
            at += 1;
        }
        Some(Broken {
            anomaly: "cyclic-cf",
            edges,
        })
    }

    /// `newer` came before `from` for all, because `read` knew of `newer` and returned `from`'s value.
    fn conflict(&self, plain: &Digraph, newer: u32, from: u32, read: u32) -> Edge {
        let path = self.edges(plain, newer, read);
        Edge {
            from: newer,
            to: from,
            kind: CONFLICT,
            because: path.iter().map(|edge| edge.to).collect(),
        }
    }

    /// Session order (free), reads-from (labelled by the read) and conflicts (labelled by the read that shows them).
    fn graph(&self, conflicts: &[(u32, u32, u32)]) -> Digraph {
        let run = self.run;
        Digraph::of(run.steps.len(), |place| {
            for (at, step) in (0..).zip(&run.steps) {
                if at + 1 < run.starts[step.session as usize + 1] {
                    place(at, arc(at + 1, NONE, 0));
                }
                if step.from < INITIAL {
                    place(step.from, arc(at, at, 1));
                }
            }
            for &(from, to, read) in conflicts {
                place(from, arc(to, read, 1));
            }
        })
    }

    /// The path from one step to another in causal order, runs of session order taken as one edge.
    fn edges(&self, graph: &Digraph, from: u32, to: u32) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        for (node, arc) in graph.path(from, to).unwrap_or_default() {
            match edges.last_mut() {
                Some(last) if arc.cost == 0 && last.kind == SESSION => last.to = arc.to,
                _ => edges.push(edge(node, arc.to, if arc.cost == 0 { SESSION } else { READS })),
            }
        }
        edges
    }
}

fn arc(to: u32, label: u32, cost: u8) -> Arc {
    Arc { to, label, cost }
}

pub fn edge(from: u32, to: u32, kind: &'static str) -> Edge {
    Edge {
        from,
        to,
        kind,
        because: Vec::new(),
    }
}
