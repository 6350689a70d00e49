//! Cores: from the place where a check failed to a few operations that are impossible on their own.
//!
//! The operations at fault are the seeds. A seed alone may be innocent, so the core is closed: with each read its write, with each
//! compare-and-set the write it expects, with each write of unknown outcome what proves that it happened.

use super::{Register, Violation, Zone};
use crate::intern::NONE;
use crate::register::{Act, Op, Status, ALWAYS, NIL};

impl Register<'_> {
    pub(super) fn unwritten(&self, at: u32, value: u32, anomaly: &'static str) -> Violation {
        match self.failed[value as usize] {
            NONE => (anomaly, self.closed(&[at])),
            failed => ("aborted-read", self.closed(&[at, failed])),
        }
    }

    /// `early` returned before `late` was called, but must come after it in their chain.
    pub(super) fn order_anomaly(&self, early: u32, late: u32) -> &'static str {
        match (self.op(early).act, self.op(late).act) {
            (_, Act::Write | Act::Cas) => "future-read",
            (Act::Read, Act::Read) => "new-old-inversion",
            (_, Act::Read) => "stale-read",
        }
    }

    /// Needed values that no root reaches form a cycle of compare-and-set.
    pub(super) fn cycle(&self, zones: &[Zone]) -> Violation {
        let mut reached = vec![false; self.why.len()];
        for zone in zones {
            let mut value = zone.root;
            while value != NONE {
                reached[value as usize] = true;
                value = self.next[value as usize];
            }
        }
        let start = (0..reached.len())
            .find(|&v| self.why[v] != NONE && !reached[v])
            .unwrap_or(0);
        ("cas-cycle", self.closed(&[self.writer[start]])) // closing goes round the circle
    }

    pub(super) fn conflict(&self, a: &Zone, b: &Zone) -> Violation {
        let mut seeds: Vec<u32> = [a.f_op, a.s_op, b.f_op, b.s_op]
            .into_iter()
            .filter(|&at| at != NONE)
            .collect();
        for zone in [a, b] {
            if zone.root != NIL {
                seeds.push(self.writer[zone.root as usize]);
            }
        }
        let core = self.closed(&seeds);
        if !b.forward() && b.ops == 1 {
            return ("lost-write", core);
        }
        let stale = core.iter().any(|&read| self.stale(self.op(read), &core));
        (if stale { "stale-read" } else { "new-old-inversion" }, core)
    }

    /// Did a write follow the read's own write and return before the read was called?
    fn stale(&self, read: &Op, core: &[u32]) -> bool {
        let ret = match read.new {
            NIL => ALWAYS,
            value => self.op(self.writer[value as usize]).ret,
        };
        let newer = |op: &Op| op.writes() && op.status == Status::Ok && ret < op.call && op.precedes(read);
        read.act == Act::Read && core.iter().any(|&at| newer(self.op(at)))
    }

    /// The operations, and what they cannot be understood without: writers of what they saw, proof that an info write happened.
    pub(super) fn closed(&self, seeds: &[u32]) -> Vec<u32> {
        let mut core: Vec<u32> = Vec::new();
        let mut work: Vec<u32> = seeds.to_vec();
        while let Some(at) = work.pop() {
            if core.contains(&at) {
                continue;
            }
            core.push(at);
            let op = self.op(at);
            let writer = self.writer[op.seen() as usize]; // NIL has none
            if writer != NONE && op.status != Status::Fail {
                work.push(writer);
            }
        }
        core.sort_unstable();
        for at in core.clone() {
            self.prove(at, &mut core);
        }
        core.sort_unstable();
        core
    }

    /// Add what proves that the info write at `at` happened, unless an operation in the core already saw its value.
    fn prove(&self, mut at: u32, core: &mut Vec<u32>) {
        while self.op(at).writes() && self.op(at).status == Status::Info {
            let value = self.op(at).new;
            let saw = |op: &Op| op.seen() == value && op.status == Status::Ok;
            let why = self.why[value as usize]; // not known yet when two compare-and-sets are caught early
            if why == NONE || core.iter().any(|&other| saw(self.op(other))) {
                return;
            }
            at = why;
            if !core.contains(&at) {
                core.push(at);
            }
        }
    }
}
