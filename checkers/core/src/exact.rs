//! Objects whose results force the order of the operations, so that no search is needed.
//!
//! ```text
//!   append-list, grow-set, revisions    each result has a rank, and any order must go by rank        rank.rs
//!   counter, fetch-and-add              increments are matched with the counts that were seen        counting.rs
//!   set                                 each element alone: one add, at most one remove              members.rs
//! ```
//! The answer names why, where a history does not meet what the method needs; the general search takes it then.

mod counting;
mod lists;
mod matching;
mod members;
mod rank;
mod revisions;

use crate::columns::{Columns, FAIL, OK};
use crate::intern::NONE;
use crate::parallel::over;
use crate::register::{by_key, Answer, Status, NEVER};
use crate::special::Said;

/// A call with what became of it. `arg` and `result` are value ids, NONE if not known; `at` is its index in the history.
#[derive(Clone, Copy)]
struct Call {
    f: u32,
    arg: u32,
    result: u32,
    status: Status,
    call: i64,
    ret: i64,
    at: u32,
}

impl Call {
    fn ok(&self) -> bool {
        self.status == Status::Ok
    }
}

/// Numbers as keys: one multiplication and a fold, where the standard hash takes longer than all the rest.
#[derive(Default, Clone, Copy)]
struct Fold(u64);

impl std::hash::Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Map<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<Fold>>;

type Judge = fn(&Columns, &[Call]) -> Answer;

/// Judge every key, so many at once, 0 for one per core; None if there is no such case for the model.
pub fn check(columns: &Columns, model: &str, threads: usize) -> Option<Vec<Said>> {
    let (judge, blind): (Judge, &[&[u8]]) = match model {
        "append-list" => (lists::append_list, &[b"\"append\""]),
        "grow-set" => (lists::grow_set, &[b"\"add\""]),
        "revisions" => (revisions::judge, &[]),
        "counter" => (counting::counter, &[b"\"add\""]),
        "fetch-and-add" => (counting::fetch_and_add, &[]),
        "set" => (members::judge, &[b"\"add\"", b"\"remove\""]),
        _ => return None,
    };
    let blind: Vec<u32> = blind.iter().filter_map(|name| columns.fs.find(name)).collect();
    let (calls, starts) = by_key(columns);
    let size = |key: usize| (starts[key + 1] - starts[key]) as usize;
    let keys: Vec<usize> = (0..columns.keys.len()).filter(|&key| size(key) > 0).collect();
    let sizes: Vec<usize> = keys.iter().map(|&key| size(key)).collect();
    let judge_key = |(): &mut (), n: usize| {
        let key = keys[n];
        let calls = &calls[starts[key] as usize..starts[key + 1] as usize];
        let calls: Vec<Call> = calls.iter().map(|&at| cut(columns, at)).collect();
        let seen = calls.iter().filter(|c| c.ok() && !blind.contains(&c.f)).count();
        let (word, text, ops) = match judge(columns, &calls) {
            Answer::Legal(order) => ("valid", String::new(), order),
            Answer::Illegal { anomaly, core } => ("invalid", anomaly.to_string(), core),
            Answer::Unknown(why) => ("unknown", format!("not applicable: {why}"), Vec::new()),
        };
        (key as u32, word, text, ops, calls.len(), seen)
    };
    Some(over(&sizes, threads, || (), judge_key))
}

fn cut(columns: &Columns, call: u32) -> Call {
    let at = call as usize;
    let (outcome, end) = (columns.outcome(at), columns.pair[at]);
    let ok = outcome == OK;
    Call {
        f: columns.f[at],
        arg: columns.value[at],
        result: if ok { columns.value[end as usize] } else { NONE },
        status: match outcome {
            OK => Status::Ok,
            FAIL => Status::Fail,
            _ => Status::Info,
        },
        call: columns.time[at],
        ret: if ok { columns.time[end as usize] } else { NEVER },
        at: call,
    }
}

/// `name #at`, for a sentence.
fn told(columns: &Columns, call: &Call) -> String {
    let name = String::from_utf8_lossy(columns.fs.text(call.f)).into_owned();
    format!("{} #{}", name.trim_matches('"'), call.at)
}

fn foreign(columns: &Columns, call: &Call) -> Answer {
    Answer::Unknown(format!(
        "{} is no operation that this method has",
        told(columns, call)
    ))
}

fn unrecorded(columns: &Columns, call: &Call) -> Answer {
    Answer::Unknown(format!(
        "{} has no value, or none of the right shape; record it",
        told(columns, call)
    ))
}

fn illegal(anomaly: &'static str, mut core: Vec<u32>) -> Answer {
    core.sort_unstable();
    core.dedup();
    Answer::Illegal { anomaly, core }
}

/// A value that is an integer of 64 bits.
fn integer(columns: &Columns, value: u32) -> Option<i64> {
    (value != NONE).then(|| std::str::from_utf8(columns.values.text(value)).ok()?.parse().ok())?
}

/// Who adds each value. Unknown if two might.
struct Adders {
    by_value: Map<u32, u32>,
    failed: Map<u32, u32>,
}

impl Adders {
    /// `calls` that are adds, as places in the slice they come from.
    fn collect(columns: &Columns, calls: &[Call], adds: &[u32]) -> Result<Adders, Answer> {
        let mut adders = Adders {
            by_value: Map::with_capacity_and_hasher(adds.len(), Default::default()),
            failed: Map::default(),
        };
        for &place in adds {
            let add = &calls[place as usize];
            if add.arg == NONE {
                return Err(unrecorded(columns, add));
            }
            if add.status == Status::Fail {
                adders.failed.insert(add.arg, place);
            } else if let Some(first) = adders.by_value.insert(add.arg, place) {
                let (first, second) = (calls[first as usize].at, add.at);
                return Err(Answer::Unknown(format!(
                    "#{first} and #{second} add the same value"
                )));
            }
        }
        Ok(adders)
    }

    /// What a read of something that nobody added is.
    fn stranger(&self, calls: &[Call], value: Option<u32>, reader: u32) -> Answer {
        match value.and_then(|value| self.failed.get(&value)) {
            Some(&add) => illegal("aborted-read", vec![calls[add as usize].at, reader]),
            None => illegal("thin-air", vec![reader]),
        }
    }
}
