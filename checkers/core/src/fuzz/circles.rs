//! Is a violation what it says? Each edge is held against the run, and the circle must close.
//!
//! ```text
//!   session order   a before b in one session            reads-from   b returned what a wrote; to INITIAL: a returned the first value
//!   conflict        a causally before a read of b's value, step by step: a is before b
//!   a guarantee     the reads and writes that it speaks of, in their order
//! ```
use super::runs::Run;
use crate::causal::{Broken, Edge};
use crate::sessions::{Sessions, INITIAL};

struct Circle<'a> {
    run: &'a Run,
    sessions: &'a Sessions,
}

/// The run as recorded: every event is two records, so a call's index is twice its number.
pub fn validate(run: &Run, sessions: &Sessions, broken: &Broken) -> Result<(), String> {
    let circle = Circle { run, sessions };
    for (n, edge) in broken.edges.iter().enumerate() {
        if !circle.holds(edge) {
            return Err(format!(
                "edge {n} of {}, {}, does not hold",
                broken.anomaly, edge.kind
            ));
        }
    }
    let edges = &broken.edges;
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
        return Err("no edges".into());
    };
    let step = |from: usize, to: usize| edges[from].to == edges[to].from;
    let closes = if last.kind == "reads-from" && broken.anomaly == "write-co-read" {
        // two ways from one write: to a later write and on to the read, and straight to the read
        let path = (1..edges.len() - 1).all(|n| step(n - 1, n));
        path && first.from == last.from && edges[edges.len() - 2].to == last.to
    } else if last.to == INITIAL {
        (1..edges.len()).all(|n| step(n - 1, n))
    } else {
        (1..edges.len()).all(|n| step(n - 1, n)) && last.to == first.from
    };
    closes
        .then_some(())
        .ok_or(format!("the edges of {} do not close", broken.anomaly))
}

impl Circle<'_> {
    fn event(&self, step: u32) -> usize {
        self.sessions.step(step).call as usize / 2
    }

    fn so(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.event(a), self.event(b));
        self.run[a].session == self.run[b].session && a < b
    }

    fn rf(&self, a: u32, b: u32) -> bool {
        let (a, b) = (&self.run[self.event(a)], &self.run[self.event(b)]);
        a.key == b.key && b.read.is_some() && a.write == b.read
    }

    fn one_key(&self, a: u32, b: u32) -> bool {
        self.run[self.event(a)].key == self.run[self.event(b)].key
    }

    /// The step returned what `write` wrote, or the first value.
    fn returned(&self, read: u32, write: u32) -> bool {
        match write {
            INITIAL => self.run[self.event(read)].read == Some(0),
            write => self.rf(write, read),
        }
    }

    fn holds(&self, edge: &Edge) -> bool {
        let (a, b, why) = (edge.from, edge.to, &edge.because[..]);
        let keys = b == INITIAL || self.one_key(a, b);
        match (edge.kind, why) {
            ("session order", []) => self.so(a, b),
            ("reads-from", []) if b == INITIAL => self.returned(a, INITIAL),
            ("reads-from", []) => self.rf(a, b),
            ("conflict", [.., last]) => {
                let way: Vec<u32> = std::iter::once(a).chain(why.iter().copied()).collect();
                let linked = way
                    .windows(2)
                    .all(|pair| self.so(pair[0], pair[1]) || self.rf(pair[0], pair[1]));
                keys && linked && self.rf(b, *last)
            }
            ("read-your-writes", &[read]) => keys && self.so(a, read) && self.returned(read, b),
            ("monotonic-reads", &[first, then]) => {
                keys && self.rf(a, first) && self.so(first, then) && self.returned(then, b)
            }
            ("monotonic-writes", []) => keys && b != INITIAL && self.so(a, b),
            ("writes-follow-reads", &[read]) => {
                keys && b != INITIAL && self.rf(a, read) && (self.so(read, b) || read == b)
            }
            ("monotonic-writes", &[c, reader, last]) => {
                keys && self.so(a, c) && self.rf(c, reader) && self.so(reader, last) && self.returned(last, b)
            }
            ("writes-follow-reads", &[first, c, reader, last]) => {
                let told = self.rf(a, first) && (self.so(first, c) || first == c);
                keys && told && self.rf(c, reader) && self.so(reader, last) && self.returned(last, b)
            }
            _ => false,
        }
    }
}
