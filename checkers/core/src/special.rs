//! Objects whose histories can be judged in polynomial time when each value is added once.
//!
//! The answer names why, where a history does not meet what the method needs; the general search takes it then.

mod bits;
mod cover;
mod priority;
mod queue;
mod stack;
mod values;

use crate::columns::{Columns, FAIL, OK};
use crate::intern::NONE;
use crate::parallel::over;
use crate::register::{by_key, Answer, Status, NEVER};

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Add,
    Take,
}

/// A call: what it does with which value, and when. A take that found nothing has no value.
#[derive(Clone, Copy)]
struct Item {
    act: Act,
    status: Status,
    value: u32,
    call: i64,
    ret: i64,
}

/// key id, "valid" | "invalid" | "unknown", anomaly or reason, indices of calls, operations, observations.
pub type Said = (u32, &'static str, String, Vec<u32>, usize, usize);

type Judge = fn(&values::Values) -> Result<Vec<u32>, Answer>;

/// Judge every key, so many at once, 0 for one per core; None if there is no special case for the model.
pub fn check(columns: &Columns, model: &str, threads: usize) -> Option<Vec<Said>> {
    let (add, take, judge): (&[u8], &[u8], Judge) = match model {
        "queue" => (b"\"enqueue\"", b"\"dequeue\"", queue::order),
        "stack" => (b"\"push\"", b"\"pop\"", stack::order),
        "priority-queue" => (b"\"insert\"", b"\"poll\"", priority::order),
        _ => return None,
    };
    let role = |f: u32| match columns.fs.text(f) {
        name if name == add => Some(Act::Add),
        name if name == take => Some(Act::Take),
        _ => None,
    };
    let roles: Vec<Option<Act>> = (0..columns.fs.len() as u32).map(role).collect();
    let (calls, starts) = by_key(columns);
    let size = |key: usize| (starts[key + 1] - starts[key]) as usize;
    let keys: Vec<usize> = (0..columns.keys.len()).filter(|&key| size(key) > 0).collect();
    let sizes: Vec<usize> = keys.iter().map(|&key| size(key)).collect();
    let judge_key = |slots: &mut Vec<u32>, n: usize| {
        let key = keys[n];
        let calls = &calls[starts[key] as usize..starts[key + 1] as usize];
        let found = items(columns, &roles, calls).and_then(|(items, index)| {
            let seen = items.iter().filter(|item| saw(item)).count();
            let values = values::Values::collect(columns, &items, &index, slots, model == "priority-queue");
            let order = values.and_then(|values| judge(&values));
            order
                .map(|order| (order, index.clone(), seen))
                .map_err(|answer| (answer, index, seen))
        });
        let place = |ops: Vec<u32>, index: &[u32]| ops.iter().map(|&at| index[at as usize]).collect();
        let (word, text, ops, seen) = match found {
            Ok((order, index, seen)) => ("valid", String::new(), place(order, &index), seen),
            Err((Answer::Illegal { anomaly, core }, index, seen)) => {
                ("invalid", anomaly.to_string(), place(core, &index), seen)
            }
            Err((Answer::Unknown(why), _, seen)) => {
                ("unknown", format!("not applicable: {why}"), Vec::new(), seen)
            }
            Err((Answer::Legal(order), index, seen)) => ("valid", String::new(), place(order, &index), seen),
        };
        (key as u32, word, text, ops, calls.len(), seen)
    };
    Some(over(
        &sizes,
        threads,
        || vec![NONE; columns.values.len()],
        judge_key,
    ))
}

fn saw(item: &Item) -> bool {
    item.act == Act::Take
}

type Refused = (Answer, Vec<u32>, usize);

/// One key's calls as items, failed takes left out, with their indices.
fn items(columns: &Columns, roles: &[Option<Act>], calls: &[u32]) -> Result<(Vec<Item>, Vec<u32>), Refused> {
    let mut items = Vec::with_capacity(calls.len());
    let mut index = Vec::with_capacity(calls.len());
    let refused = |why: String| (Answer::Unknown(why), Vec::new(), 0);
    for &call in calls {
        let (at, f) = (call as usize, columns.f[call as usize]);
        let name = || {
            String::from_utf8_lossy(columns.fs.text(f))
                .trim_matches('"')
                .to_string()
        };
        let Some(act) = roles[f as usize] else {
            return Err(refused(format!(
                "#{call} is {}, which this method does not have",
                name()
            )));
        };
        let (outcome, end) = (columns.outcome(at), columns.pair[at]);
        let value = match (act, outcome) {
            (Act::Take, FAIL) => continue,
            (Act::Take, OK) => columns.value[end as usize],
            (Act::Take, _) => return Err(refused(format!("{} #{call} may have taken any value", name()))),
            (Act::Add, _) => columns.value[at],
        };
        if value == NONE {
            return Err(refused(format!("{} #{call} has no value; record it", name())));
        }
        let empty = columns.values.text(value) == b"null";
        if empty && act == Act::Add {
            return Err(refused(format!(
                "{} #{call} adds null, which looks like empty",
                name()
            )));
        }
        items.push(Item {
            act,
            status: match outcome {
                OK => Status::Ok,
                FAIL => Status::Fail,
                _ => Status::Info,
            },
            value: if empty { NONE } else { value },
            call: columns.time[at],
            ret: if outcome == OK {
                columns.time[end as usize]
            } else {
                NEVER
            },
        });
        index.push(call);
    }
    Ok((items, index))
}
