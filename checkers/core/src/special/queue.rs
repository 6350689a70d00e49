//! A queue with unique values.
//!
//! Value a must go before value b if a's add returned before b's was called, or the same of their takes. If these demands have no cycle (and a
//! cycle always contains one of two values), any order that meets them will do:
//!
//! ```text
//!   |-add a-|  |-add b-|           |-take b-|  |-take a-|       a before b before a: impossible
//! ```
//!
//! A take of nothing splits time: what may be inside only before that instant goes first. References: Henzinger, Sezgin & Vafeiadis, CONCUR 2013;
//! Lee & Mathur, OOPSLA 2025.
use super::values::{illegal, Value, Values};
use crate::intern::NONE;
use crate::register::{Answer, ALWAYS, NEVER};

pub fn order(all: &Values) -> Result<Vec<u32>, Answer> {
    let points = all.empty_points()?;
    let mut empties: Vec<(i64, u32)> = points.into_iter().zip(all.empties.iter().map(|e| e.op)).collect();
    empties.sort_unstable();
    let mut values: Vec<Value> = all.values.clone();
    values.sort_by_key(|value| value.ar);
    let mut order = Vec::with_capacity(values.len() * 2 + empties.len());
    let (mut begin, mut next) = (0, 0);
    let mut from = ALWAYS;
    loop {
        let to = empties.get(next).map_or(NEVER, |empty| empty.0);
        let size = if next == empties.len() {
            values.len() - begin
        } else {
            values[begin..].partition_point(|value| value.ar < to)
        };
        let ranked = extend(&values[begin..begin + size])?;
        emit(&ranked, from, &mut order);
        begin += size;
        if next == empties.len() {
            return Ok(order);
        }
        order.push(empties[next].1);
        (from, next) = (to, next + 1);
    }
}

/// Values, sorted by `ar`, in an order that respects both demands.
fn extend(values: &[Value]) -> Result<Vec<Value>, Answer> {
    let sorted = |time: fn(&Value) -> i64| {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by_key(|&at| time(&values[at as usize]));
        order
    };
    let (by_ac, by_rc, by_rr) = (sorted(|v| v.ac), sorted(|v| v.rc), sorted(|v| v.rr));
    let (mut ac, mut rc, mut ar, mut rr) = (0, 0, 0, 0);
    let mut gone = vec![false; values.len()];
    let mut met = vec![0u8; values.len()];
    let mut ready: Vec<u32> = Vec::new();
    let mut ranked = Vec::with_capacity(values.len());
    while ranked.len() < values.len() {
        while gone[ar] {
            ar += 1;
        }
        while gone[by_rr[rr] as usize] {
            rr += 1;
        }
        let mut count = |at: u32| {
            met[at as usize] += 1;
            if met[at as usize] == 2 {
                ready.push(at);
            }
        };
        while ac < values.len() && values[by_ac[ac] as usize].ac <= values[ar].ar {
            count(by_ac[ac]);
            ac += 1;
        }
        let first = &values[by_rr[rr] as usize];
        while rc < values.len() && values[by_rc[rc] as usize].rc <= first.rr {
            count(by_rc[rc]);
            rc += 1;
        }
        let Some(at) = ready.pop() else {
            // the first to be added whole is not the first to be taken whole
            return Err(illegal(
                "out-of-order",
                values[ar].ops().chain(first.ops()).collect(),
            ));
        };
        gone[at as usize] = true;
        ranked.push(values[at as usize]);
    }
    Ok(ranked)
}

/// Adds and takes each in the order of values, each as soon as it may be, merged by time.
fn emit(ranked: &[Value], from: i64, order: &mut Vec<u32>) {
    let (mut added, mut taken) = (from, from);
    let mut takes = Vec::with_capacity(ranked.len());
    let mut next = 0;
    for value in ranked {
        added = added.max(value.ac);
        taken = taken.max(value.rc).max(added);
        takes.push((taken, value.take));
    }
    added = from;
    for value in ranked {
        added = added.max(value.ac);
        while next < takes.len() && takes[next].0 < added {
            order.push(takes[next].1);
            next += 1;
        }
        order.push(value.add);
    }
    order.extend(
        takes[next..]
            .iter()
            .map(|take| take.1)
            .filter(|&take| take != NONE),
    );
}
