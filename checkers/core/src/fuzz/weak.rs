//! Weaker promises of one register, by their definitions read aloud: integrity, regularity, safety, staleness, Delta and Gamma.
//!
//! Nothing is sorted and nothing is shared with the checkers: every read is held against every write, and every shift is tried.
use super::history::{Model, Op, Recorded, Status, F};
use super::oracle;
use crate::columns::Columns;
use crate::register::{each_key, Answer, Key};
use crate::{gamma, regular};

/// Histories that broke each promise, of so many with unique values; Delta above 0; no shift enough.
#[derive(Default, Debug)]
pub struct Tally {
    pub total: u64,
    pub corrupt: u64,
    pub irregular: u64,
    pub unsafe_: u64,
    pub shifted: u64,
    pub unbounded: u64,
    pub measured: u64,
}

impl Tally {
    pub fn join(&mut self, other: Tally) {
        self.total += other.total;
        self.corrupt += other.corrupt;
        self.irregular += other.irregular;
        self.unsafe_ += other.unsafe_;
        self.shifted += other.shifted;
        self.unbounded += other.unbounded;
        self.measured += other.measured;
    }
}

const LONG_AGO: i32 = i32::MIN;
const NEVER: i32 = i32::MAX;

fn end(op: &Op) -> i32 {
    if op.status == Status::Ok {
        op.ret
    } else {
        NEVER
    }
}

fn writers(ops: &[Op]) -> impl Iterator<Item = &Op> {
    ops.iter()
        .filter(|op| op.written().is_some() && op.status != Status::Fail)
}

/// What an operation that returned saw, if it saw anything.
fn saw(op: &Op) -> Option<i32> {
    match (op.status, op.f) {
        (Status::Ok, F::Read) => Some(op.out),
        (Status::Ok, F::Cas) => Some(op.arg),
        _ => None,
    }
}

/// Its value came from nowhere, or from a write that had not begun.
fn corrupt(ops: &[Op], op: &Op, value: i32) -> bool {
    value != 0 && !writers(ops).any(|write| write.written() == Some(value) && write.call <= op.ret)
}

/// Writes that surely came between the one whose value was seen and the operation: their returns.
fn missed(ops: &[Op], op: &Op, value: i32) -> Vec<i32> {
    let own = writers(ops).find(|write| write.written() == Some(value));
    let done = if value == 0 {
        LONG_AGO
    } else {
        own.map_or(NEVER, end)
    };
    let between = |write: &&Op| write.status == Status::Ok && done < write.call && write.ret < op.call;
    writers(ops).filter(between).map(|write| write.ret).collect()
}

fn quiet(ops: &[Op], op: &Op) -> bool {
    op.f == F::Read
        && op.status == Status::Ok
        && !writers(ops).any(|write| write.call <= op.ret && end(write) >= op.call)
}

fn count(ops: &[Op], broken: impl Fn(&Op, i32) -> bool) -> usize {
    ops.iter()
        .filter(|op| saw(op).is_some_and(|value| broken(op, value)))
        .count()
}

pub fn corrupted(ops: &[Op]) -> usize {
    count(ops, |op, value| corrupt(ops, op, value))
}

pub fn irregular(ops: &[Op]) -> usize {
    count(ops, |op, value| {
        corrupt(ops, op, value) || !missed(ops, op, value).is_empty()
    })
}

pub fn unsafe_(ops: &[Op]) -> usize {
    let bad = |op: &Op, value| corrupt(ops, op, value) || !missed(ops, op, value).is_empty();
    count(ops, |op, value| quiet(ops, op) && bad(op, value))
}

fn unique(ops: &[Op]) -> bool {
    let mut values: Vec<i32> = writers(ops).filter_map(Op::written).collect();
    let all = values.len();
    values.sort_unstable();
    values.dedup();
    values.len() == all && !values.contains(&0)
}

/// Judge registers; `measure` the shifts too, which takes the oracle many runs.
pub fn judge(model: Model, histories: &[Vec<Op>], measure: bool) -> Tally {
    let recorded = Recorded::of(model, histories);
    let columns = Columns::read(recorded.text.as_bytes()).expect("well-formed");
    let mut tally = Tally::default();
    each_key(&columns, |key| {
        let at = recorded.owner[key.index[0] as usize].0;
        let ops = &histories[at as usize];
        // the key has its operations in order of call
        let sorted: Vec<Op> = key
            .index
            .iter()
            .map(|&call| ops[recorded.owner[call as usize].1 as usize].clone())
            .collect();
        compare("integrity", regular::integrity(key), &sorted, corrupted, true);
        compare("regular", regular::regular(key), &sorted, irregular, unique(ops));
        compare("safe", regular::safe(key), &sorted, unsafe_, unique(ops));
        assert_eq!(
            regular::quiet_reads(key),
            ops.iter().filter(|op| quiet(ops, op)).count(),
            "{ops:#?}"
        );
        if !unique(ops) {
            assert!(
                regular::staleness(key).is_none() && gamma::shifts(key).is_none(),
                "{ops:#?}"
            );
            return;
        }
        staleness(key, &sorted);
        tally.total += 1;
        tally.corrupt += u64::from(corrupted(ops) > 0);
        tally.irregular += u64::from(irregular(ops) > 0);
        tally.unsafe_ += u64::from(unsafe_(ops) > 0);
        if oracle::linearizable(model, ops, false) {
            assert_eq!(irregular(ops), 0, "linearizable is regular: {ops:#?}");
        }
        // a compare-and-set that failed, or that changes nothing, is no zone's
        let failed = ops
            .iter()
            .any(|op| op.f == F::Cas && (op.status == Status::Fail || op.arg == op.new));
        if measure && !failed {
            let (delta, gamma) = shifts(model, key, ops);
            tally.measured += 1;
            tally.shifted += u64::from(delta != Some(0) || gamma != Some(0));
            tally.unbounded += u64::from(delta.is_none() || gamma.is_none());
        }
    });
    tally
}

fn compare(
    name: &str,
    (answer, bad): (Answer, u32),
    ops: &[Op],
    definition: fn(&[Op]) -> usize,
    unique: bool,
) {
    let context = || format!("{name}: {answer:?}, {bad} bad, of {ops:#?}");
    if unique {
        assert_eq!(bad as usize, definition(ops), "{}", context());
    }
    match &answer {
        Answer::Legal(_) => assert!(unique && bad == 0, "{}", context()),
        Answer::Unknown(_) => assert!(!unique && bad == 0, "{}", context()),
        Answer::Illegal { core, .. } => {
            // where values repeat, nothing but a value from nowhere or from the future convicts
            let definition = if unique { definition } else { corrupted };
            let core: Vec<Op> = core.iter().map(|&at| ops[at as usize].clone()).collect();
            assert!(
                bad > 0 && definition(&core) > 0,
                "core {core:#?} breaks nothing: {}",
                context()
            );
            assert!(core.len() <= 3, "{}", context());
        }
    }
}

/// Reads, and for each stale one the versions it missed and for how long the first of them had been there.
fn staleness(key: &Key, ops: &[Op]) {
    let (stale, reads) = regular::staleness(key).expect("unique");
    let read = |op: &&Op| op.f == F::Read && op.status == Status::Ok;
    assert_eq!(reads as usize, ops.iter().filter(read).count(), "{ops:#?}");
    let mut found: Vec<(u32, u32, i64)> = stale.iter().map(|one| (one.at, one.versions, one.age)).collect();
    found.sort_unstable();
    let mut expected = Vec::new();
    for (at, op) in (0..).zip(ops).filter(|(_, op)| read(op)) {
        let known = op.out == 0 || writers(ops).any(|write| write.written() == Some(op.out));
        let missed = missed(ops, op, op.out);
        if let (Some(first), true) = (missed.iter().min(), known) {
            expected.push((at, missed.len() as u32, i64::from(op.call - first)));
        }
    }
    assert_eq!(found, expected, "{ops:#?}");
}

/// Delta and Gamma, and what every shift says.
fn shifts(model: Model, key: &Key, ops: &[Op]) -> (Option<i64>, Option<i64>) {
    let found = gamma::shifts(key).expect("unique");
    let earlier = |by: i32| {
        let read = |op: &Op| {
            if op.f == F::Read {
                Op {
                    call: op.call - by,
                    ..op.clone()
                }
            } else {
                op.clone()
            }
        };
        ops.iter().map(read).collect::<Vec<Op>>()
    };
    let wider = |by: i32| {
        // doubled, so that half a unit at both ends is a whole number
        let wide = |op: &Op| Op {
            call: 2 * op.call - by,
            ret: 2 * op.ret + by,
            ..op.clone()
        };
        ops.iter().map(wide).collect::<Vec<Op>>()
    };
    let first = ops.iter().map(|op| op.call).min().unwrap_or(0);
    let span = ops.iter().map(|op| op.call.max(op.ret)).max().unwrap_or(0) - first + 2;
    let least = |moved: &dyn Fn(i32) -> Vec<Op>| {
        (0..=span)
            .find(|&by| oracle::linearizable(model, &moved(by), false))
            .map(i64::from)
    };
    let (delta, gamma) = (least(&earlier), least(&wider));
    assert_eq!(
        (found.delta, found.gamma),
        (delta, gamma),
        "Delta and Gamma of {ops:#?}"
    );
    if ops.iter().all(|op| op.f != F::Cas) {
        // the key's number is the greatest score of a value
        let greatest = |scores: &[i64]| scores.iter().copied().max().unwrap_or(0);
        assert_eq!(greatest(&found.deltas), delta.unwrap_or(0), "{ops:#?}");
        assert_eq!(greatest(&found.gammas), gamma.unwrap_or(0), "{ops:#?}");
        assert!(
            found.deltas.iter().chain(&found.gammas).all(|&score| score > 0),
            "{ops:#?}"
        );
    }
    (delta, gamma)
}
