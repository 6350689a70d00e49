//! Linearizability of one register with unique written values, by zones. O(n log n).
//!
//! All operations of one value (its write and its reads; with compare-and-set, of a chain of values) must stand together in any
//! linearization, because a value never comes back. Let f be their least return and s their greatest call:
//!
//! ```text
//!   f < s  forward zone: the register surely holds the value throughout (f, s)     |--w1--|      |--r1--|
//!                                                                                         f======s
//!   s ≤ f  backward zone: all of them overlap; any one instant of [s, f] will do
//! ```
//!
//! Illegal exactly if two forward zones overlap, or a backward zone lies strictly inside a forward one, or a chain is impossible in itself.
//! References: Gibbons & Korach, Testing shared memories (1997); Golab, Li & Shah, PODC 2011. Chains of compare-and-set: Theorem 4.13 there.
//! Every comparison has the strictness that closed intervals demand: do not "simplify" `<` to `<=`.

mod cores;
mod failed;

use crate::intern::NONE;
use crate::register::{Act, Answer, Key, Op, Status, ALWAYS, NEVER, NIL};

/// One chain of values and the stretch of time it needs.
struct Zone {
    root: u32,
    f: i64,
    s: i64,
    f_op: u32,
    s_op: u32,
    ops: u32,
}

impl Zone {
    fn forward(&self) -> bool {
        self.f < self.s
    }
}

struct Register<'a> {
    ops: &'a [Op],
    writer: Vec<u32>,
    failed: Vec<u32>,
    /// Per value: the operation that proves it was written: an ok write or read of it, or a needed cas that expects it.
    why: Vec<u32>,
    /// Per value: the value that a needed cas replaced it by.
    next: Vec<u32>,
    first_read: Vec<u32>,
    last_read: Vec<u32>,
    reads: Vec<u32>,
    doubt: Option<String>,
    needed: usize,
}

/// What a failed compare-and-set says.
#[derive(Clone, Copy, PartialEq)]
pub enum Failed {
    /// Nobody has said; one of them leaves the answer open.
    Unsaid,
    /// Nothing: it may have failed for any reason.
    Silent,
    /// The value was another one than it expected.
    Saw,
}

/// Judge one key. The witness lists operations in order; the core is closed: impossible on its own.
pub fn check(key: &Key, failed: Failed) -> Answer {
    if let Some(reason) = &key.strange {
        return Answer::Unknown(reason.clone());
    }
    match judge(key, failed) {
        Ok(answer) => answer,
        Err((anomaly, core)) => Answer::Illegal { anomaly, core },
    }
}

type Violation = (&'static str, Vec<u32>);

fn judge(key: &Key, failed: Failed) -> Result<Answer, Violation> {
    let mut register = Register::new(key);
    let failed_cas = register.collect(&key.index);
    register.map_reads()?;
    if let Some(reason) = register.doubt.take() {
        return Ok(Answer::Unknown(reason));
    }
    register.close()?;
    let zones = register.zones()?;
    let points = register.conflicts(&zones)?;
    let lost =
        |cas: u32, why: &str| Answer::Unknown(format!("cas #{} failed, {why}", key.index[cas as usize]));
    match (failed, failed_cas.last()) {
        (Failed::Unsaid, Some(&cas)) => {
            return Ok(lost(
                cas,
                "which says what the value was not; that needs the general search",
            ))
        }
        (Failed::Saw, Some(_)) => register.refute(&zones, &failed_cas)?,
        _ => return Ok(Answer::Legal(register.witness(&zones, &points))),
    }
    let placed = register.place(&register.witness(&zones, &points), &failed_cas);
    Ok(placed.map_or_else(
        |cas| {
            lost(
                cas,
                "and no order found lets the value be another then; use the general search",
            )
        },
        Answer::Legal,
    ))
}

impl<'a> Register<'a> {
    fn new(key: &'a Key) -> Self {
        let column = || vec![NONE; key.values];
        Register {
            ops: &key.ops,
            writer: column(),
            failed: column(),
            why: column(),
            next: column(),
            first_read: column(),
            last_read: column(),
            reads: vec![0; key.values],
            doubt: None,
            needed: 0,
        }
    }

    fn op(&self, at: u32) -> &Op {
        &self.ops[at as usize]
    }

    /// Find each value's writer. Returns the failed compare-and-sets.
    fn collect(&mut self, index: &[u32]) -> Vec<u32> {
        let mut failed_cas = Vec::new();
        for (at, op) in self.ops.iter().enumerate().filter(|(_, op)| op.writes()) {
            let value = op.new as usize;
            if op.status == Status::Fail {
                self.failed[value] = at as u32;
                if op.act == Act::Cas {
                    failed_cas.push(at as u32);
                }
                continue;
            }
            let number = index[at];
            if op.new == NIL {
                self.doubt = Some(format!(
                    "#{number} writes null, which cannot be told from never written; write unique values"
                ));
            } else if op.act == Act::Cas && op.old == op.new {
                self.doubt = Some(format!(
                    "cas #{number} replaces a value by itself; write unique values"
                ));
            } else if self.writer[value] != NONE {
                let first = index[self.writer[value] as usize];
                self.doubt = Some(format!("#{first} and #{number} write the same value; write unique values, or use the general search"));
            } else {
                self.writer[value] = at as u32;
            }
        }
        failed_cas
    }

    /// Every value read must have been written, and not by a write that failed.
    fn map_reads(&mut self) -> Result<(), Violation> {
        for at in 0..self.ops.len() as u32 {
            let op = *self.op(at);
            if op.status != Status::Ok {
                continue;
            }
            let value = op.new as usize;
            if op.act == Act::Read {
                if op.new != NIL && self.writer[value] == NONE {
                    return Err(self.unwritten(at, op.new, "thin-air"));
                }
                self.reads[value] += 1;
                let first = self.first_read[value];
                if first == NONE || op.ret < self.op(first).ret {
                    self.first_read[value] = at;
                }
                self.last_read[value] = at; // operations come in order of call
            }
            if self.why[value] == NONE {
                self.why[value] = at;
            }
        }
        Ok(())
    }

    /// What a needed cas expects is needed too. Link old to new.
    fn close(&mut self) -> Result<(), Violation> {
        let mut work: Vec<u32> = (0..self.why.len() as u32)
            .filter(|&v| self.why[v as usize] != NONE)
            .collect();
        while let Some(value) = work.pop() {
            self.needed += 1;
            let at = self.writer[value as usize];
            if value == NIL || self.op(at).act != Act::Cas {
                continue;
            }
            let old = self.op(at).old;
            if old != NIL && self.writer[old as usize] == NONE {
                return Err(self.unwritten(at, old, "thin-air-cas"));
            }
            let rival = self.next[old as usize];
            if rival != NONE {
                return Err(("double-cas", self.closed(&[self.writer[rival as usize], at])));
            }
            self.next[old as usize] = value;
            if self.why[old as usize] == NONE {
                self.why[old as usize] = at;
                work.push(old);
            }
        }
        Ok(())
    }

    fn zones(&self) -> Result<Vec<Zone>, Violation> {
        let mut zones = Vec::new();
        let mut visited = 0;
        for root in 0..self.why.len() as u32 {
            let blind = root == NIL
                || self.writer[root as usize] != NONE
                    && self.op(self.writer[root as usize]).act == Act::Write;
            if self.why[root as usize] != NONE && blind {
                zones.push(self.chain(root, &mut visited)?);
            }
        }
        if visited != self.needed {
            return Err(self.cycle(&zones));
        }
        Ok(zones)
    }

    /// Walk one chain, stage by stage: the writer, then the reads of what it wrote.
    fn chain(&self, root: u32, visited: &mut usize) -> Result<Zone, Violation> {
        let f = if root == NIL { ALWAYS } else { NEVER };
        let mut zone = Zone {
            root,
            f,
            s: ALWAYS,
            f_op: NONE,
            s_op: NONE,
            ops: 0,
        };
        let mut value = root;
        loop {
            *visited += 1;
            if value != NIL {
                let writer = self.writer[value as usize];
                self.stage(&mut zone, writer, writer)?;
            }
            if self.reads[value as usize] > 0 {
                self.stage(
                    &mut zone,
                    self.first_read[value as usize],
                    self.last_read[value as usize],
                )?;
                zone.ops += self.reads[value as usize] - 1;
            }
            value = self.next[value as usize];
            if value == NONE {
                return Ok(zone);
            }
        }
    }

    /// Add operations that must follow all that the zone has: `first` returns first of them, `last` is called last.
    /// Of equals the zone keeps the one it has: a writer, which every core holds, rather than a read of its value.
    fn stage(&self, zone: &mut Zone, first: u32, last: u32) -> Result<(), Violation> {
        let (early, late) = (self.op(first), self.op(last));
        if early.ret < zone.s {
            return Err((
                self.order_anomaly(first, zone.s_op),
                self.closed(&[first, zone.s_op]),
            ));
        }
        zone.ops += 1;
        if early.ret < zone.f {
            (zone.f, zone.f_op) = (early.ret, first);
        }
        if late.call > zone.s {
            (zone.s, zone.s_op) = (late.call, last);
        }
        Ok(())
    }

    /// Test zones against each other. Returns the instant at which each backward zone can stand.
    fn conflicts(&self, zones: &[Zone]) -> Result<Vec<i64>, Violation> {
        let mut forward: Vec<&Zone> = zones.iter().filter(|zone| zone.forward()).collect();
        forward.sort_by_key(|zone| zone.f);
        for pair in forward.windows(2) {
            if pair[1].f < pair[0].s {
                return Err(self.conflict(pair[0], pair[1]));
            }
        }
        let mut points = Vec::with_capacity(zones.len());
        for zone in zones {
            let mut point = zone.s;
            if !zone.forward() {
                let before = forward.partition_point(|other| other.f < zone.s);
                if let Some(other) = before.checked_sub(1).map(|at| forward[at]) {
                    if zone.f < other.s {
                        return Err(self.conflict(other, zone));
                    }
                    point = zone.s.max(other.s);
                }
            }
            points.push(point);
        }
        Ok(points)
    }

    /// A linearization: chains by where they stand; in a chain each writer, then the reads of its value by call.
    fn witness(&self, zones: &[Zone], points: &[i64]) -> Vec<u32> {
        let mut starts = vec![0u32; self.reads.len() + 1];
        for value in 0..self.reads.len() {
            starts[value + 1] = starts[value] + self.reads[value];
        }
        let mut next = starts.clone();
        let mut reads = vec![0u32; starts[self.reads.len()] as usize];
        for (at, op) in self.ops.iter().enumerate() {
            if op.act == Act::Read && op.status == Status::Ok {
                let slot = &mut next[op.new as usize];
                reads[*slot as usize] = at as u32;
                *slot += 1;
            }
        }
        let place = |(zone, &point): (&Zone, &i64)| match zone.forward() {
            true => (zone.f, true, zone.root),
            false => (point, false, zone.root),
        };
        let mut order: Vec<(i64, bool, u32)> = zones.iter().zip(points).map(place).collect();
        order.sort(); // mostly in order already, which this sort makes use of
        let mut witness = Vec::with_capacity(self.ops.len());
        for (_, _, root) in order {
            let mut value = root;
            while value != NONE {
                if value != NIL {
                    witness.push(self.writer[value as usize]);
                }
                witness.extend_from_slice(
                    &reads[starts[value as usize] as usize..starts[value as usize + 1] as usize],
                );
                value = self.next[value as usize];
            }
        }
        witness
    }
}
