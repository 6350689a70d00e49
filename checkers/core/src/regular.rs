//! Weaker promises of one register: regularity, safety and integrity; and how stale reads were.
//!
//! A read r of w's value is *definitely stale* if another acknowledged write w' lies wholly between: w.ret < w'.call and w'.ret < r.call.
//!
//! ```text
//!   |--w1--|  |--w2--|   |--r 1--|        weakly regular registers never do this (multi-writer regularity)
//! ```
//! A safe register keeps this only for reads that overlap no write; the others may return anything, even what nobody wrote.
//!
//! References: Lamport 1986; Shao, Welch, Pierce & Lee 2011 (MWR1); staleness as in Golab et al., k-atomicity.

use crate::intern::NONE;
use crate::register::{Act, Answer, Key, Op, Status, ALWAYS, NIL};

/// Per value: the write, the first call of any write of it; and whether values were unique.
struct Writers {
    writer: Vec<u32>,
    earliest: Vec<u32>,
    failed: Vec<u32>,
    doubt: Option<String>,
}

impl Writers {
    fn of(key: &Key) -> Writers {
        let column = || vec![NONE; key.values];
        let mut found = Writers {
            writer: column(),
            earliest: column(),
            failed: column(),
            doubt: None,
        };
        for (at, op) in key.ops.iter().enumerate().filter(|(_, op)| op.writes()) {
            let value = op.new as usize;
            if op.status == Status::Fail {
                found.failed[value] = at as u32;
                continue;
            }
            if op.new == NIL || found.writer[value] != NONE {
                let number = key.index[at];
                found.doubt = Some(format!(
                    "#{number} writes a value that was there before; write unique values"
                ));
            }
            if found.earliest[value] == NONE {
                found.earliest[value] = at as u32; // operations come in order of call
            }
            found.writer[value] = at as u32;
        }
        found
    }

    /// When the write of a value returned; long ago for the initial value.
    fn ret(&self, key: &Key, value: u32) -> i64 {
        match self.writer[value as usize] {
            NONE => ALWAYS,
            at => key.ops[at as usize].ret,
        }
    }

    /// A value from nowhere, from a failed write, or from the future.
    fn corrupt(&self, key: &Key, at: u32, seen: u32) -> Option<(&'static str, Vec<u32>)> {
        let writer = self.earliest[seen as usize];
        if seen == NIL {
            return None;
        }
        if writer != NONE {
            let early = key.ops[at as usize].precedes(&key.ops[writer as usize]);
            return early.then(|| ("future-read", sorted(vec![at, writer])));
        }
        Some(match self.failed[seen as usize] {
            NONE => ("thin-air", vec![at]),
            failed => ("aborted-read", sorted(vec![at, failed])),
        })
    }
}

fn sorted(mut ops: Vec<u32>) -> Vec<u32> {
    ops.sort_unstable();
    ops
}

/// What an ok operation observed: a read's result, a cas's expectation.
fn observed(op: &Op) -> Option<u32> {
    match (op.status, op.act) {
        (Status::Ok, Act::Read) => Some(op.new),
        (Status::Ok, Act::Cas) => Some(op.old),
        _ => None,
    }
}

/// Every value read was written, not by a failed write, and not later. Second: how many reads were not so.
pub fn integrity(key: &Key) -> (Answer, u32) {
    if let Some(reason) = &key.strange {
        return (Answer::Unknown(reason.clone()), 0);
    }
    let writers = Writers::of(key);
    let mut worst = None;
    let mut bad = 0;
    for (at, op) in key.ops.iter().enumerate() {
        let found = observed(op).and_then(|seen| writers.corrupt(key, at as u32, seen));
        bad += u32::from(found.is_some());
        worst = worst.or(found);
    }
    (answer(worst), bad)
}

/// Integrity, and no read definitely stale.
pub fn regular(key: &Key) -> (Answer, u32) {
    weak(key, observed)
}

/// The same, but only of reads that no write is concurrent with: the others may return anything (Lamport's safe register).
pub fn safe(key: &Key) -> (Answer, u32) {
    let quiet = Quiet::of(key);
    weak(key, |op| if quiet.is(op) { Some(op.new) } else { None })
}

/// How many reads a safe register says something about.
pub fn quiet_reads(key: &Key) -> usize {
    let quiet = Quiet::of(key);
    key.ops.iter().filter(|op| quiet.is(op)).count()
}

fn weak(key: &Key, observed: impl Fn(&Op) -> Option<u32>) -> (Answer, u32) {
    if let Some(reason) = &key.strange {
        return (Answer::Unknown(reason.clone()), 0);
    }
    let writers = Writers::of(key);
    let newest = Newest::of(key);
    let mut worst = None;
    let mut bad = 0;
    for (at, op) in key.ops.iter().enumerate() {
        let Some(seen) = observed(op) else { continue };
        let mut found = writers.corrupt(key, at as u32, seen);
        if found.is_none() && writers.doubt.is_none() {
            let newer = newest
                .before(op.call)
                .filter(|&w| writers.ret(key, seen) < key.ops[w as usize].call);
            found = newer.map(|w| {
                let own = writers.writer[seen as usize];
                let core = if own == NONE {
                    vec![at as u32, w]
                } else {
                    vec![own, at as u32, w]
                };
                ("stale-read", sorted(core))
            });
        }
        bad += u32::from(found.is_some());
        worst = worst.or(found);
    }
    match writers.doubt {
        Some(reason) if worst.is_none() => (Answer::Unknown(reason), bad),
        _ => (answer(worst), bad),
    }
}

fn answer(worst: Option<(&'static str, Vec<u32>)>) -> Answer {
    match worst {
        Some((anomaly, core)) => Answer::Illegal { anomaly, core },
        None => Answer::Legal(Vec::new()),
    }
}

/// Writes that may have happened by call, each with the latest return so far.
struct Quiet(Vec<(i64, i64)>);

impl Quiet {
    fn of(key: &Key) -> Quiet {
        let writes = key
            .ops
            .iter()
            .filter(|op| op.writes() && op.status != Status::Fail);
        let mut times: Vec<(i64, i64)> = writes.map(|op| (op.call, op.ret)).collect();
        for n in 1..times.len() {
            times[n].1 = times[n].1.max(times[n - 1].1); // operations come in order of call
        }
        Quiet(times)
    }

    /// Is it a read that returned, with every write wholly before or wholly after it?
    fn is(&self, op: &Op) -> bool {
        let called = self.0.partition_point(|&(call, _)| call <= op.ret);
        let over = called.checked_sub(1).is_none_or(|at| self.0[at].1 < op.call);
        op.act == Act::Read && op.status == Status::Ok && over
    }
}

/// Acknowledged writes by return, each with the latest-called so far.
struct Newest {
    rets: Vec<i64>,
    latest: Vec<u32>,
}

impl Newest {
    fn of(key: &Key) -> Newest {
        let acked = |&at: &u32| key.ops[at as usize].writes() && key.ops[at as usize].status == Status::Ok;
        let mut latest: Vec<u32> = (0..key.ops.len() as u32).filter(acked).collect();
        latest.sort_by_key(|&at| key.ops[at as usize].ret);
        let rets = latest.iter().map(|&at| key.ops[at as usize].ret).collect();
        for n in 1..latest.len() {
            latest[n] = latest[n].max(latest[n - 1]); // operations come in order of call
        }
        Newest { rets, latest }
    }

    /// The latest-called of the writes that returned strictly before `time`.
    fn before(&self, time: i64) -> Option<u32> {
        let count = self.rets.partition_point(|&ret| ret < time);
        count.checked_sub(1).map(|at| self.latest[at])
    }
}

/// A stale read: its position, versions definitely missed, and how long ago the first of them had been acknowledged.
pub struct Stale {
    pub at: u32,
    pub versions: u32,
    pub age: i64,
}

/// Count what each read definitely missed: one sweep by call over a Fenwick tree. Second: how many reads there were. None: cannot be judged.
pub fn staleness(key: &Key) -> Option<(Vec<Stale>, u64)> {
    let writers = Writers::of(key);
    let ops = &key.ops;
    if writers.doubt.is_some() || key.strange.is_some() {
        return None;
    }
    let by_call: Vec<&Op> = ops
        .iter()
        .filter(|op| op.writes() && op.status == Status::Ok)
        .collect();
    let mut by_ret: Vec<usize> = (0..by_call.len()).collect();
    by_ret.sort_by_key(|&rank| by_call[rank].ret);
    let mut first_ret = vec![i64::MAX; by_call.len() + 1];
    for rank in (0..by_call.len()).rev() {
        first_ret[rank] = first_ret[rank + 1].min(by_call[rank].ret);
    }
    let mut tree = Fenwick(vec![0; by_call.len() + 1]);
    let (mut inserted, mut reads, mut stale) = (0, 0, Vec::new());
    for (at, op) in ops.iter().enumerate() {
        if op.act != Act::Read || op.status != Status::Ok {
            continue;
        }
        reads += 1;
        while inserted < by_ret.len() && by_call[by_ret[inserted]].ret < op.call {
            tree.add(by_ret[inserted]);
            inserted += 1;
        }
        if op.new != NIL && writers.writer[op.new as usize] == NONE {
            continue; // from thin air: integrity speaks of it
        }
        let own = writers.ret(key, op.new);
        let rank = by_call.partition_point(|write| write.call <= own);
        let versions = inserted as u32 - tree.below(rank);
        if versions > 0 {
            stale.push(Stale {
                at: at as u32,
                versions,
                age: op.call - first_ret[rank],
            });
        }
    }
    Some((stale, reads))
}

struct Fenwick(Vec<u32>);

impl Fenwick {
    fn add(&mut self, rank: usize) {
        let mut at = rank + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn below(&self, rank: usize) -> u32 {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}
