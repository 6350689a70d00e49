//! A priority queue with unique numbers, the greatest first.
//!
//! From the greatest down: a poll needs an instant at which nothing greater is surely inside. It takes the first one; the insert waits as long as it
//! may. So every stay is as short as it can be, and no lesser poll falls into one. Reference: Lee & Mathur, OOPSLA 2025.
use super::cover;
use super::values::{illegal, Value, Values};
use crate::intern::NONE;
use crate::register::Answer;

pub fn order(all: &Values) -> Result<Vec<u32>, Answer> {
    let points = all.empty_points()?;
    let mut values: Vec<&Value> = all.values.iter().collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.rank));
    if let Some(twice) = values.windows(2).find(|pair| pair[0].rank == pair[1].rank) {
        return Err(Answer::Unknown(format!(
            "{} is written in two ways",
            twice[0].rank
        )));
    }
    let mut times: Vec<i64> = values.iter().map(|value| value.rc).collect();
    times.sort_unstable();
    times.dedup();
    let place = |time: i64| times.partition_point(|&other| other < time);
    let mut free: Vec<u32> = (0..=times.len() as u32).collect(); // per time: itself, or a later one that may be free
    let mut events = Vec::with_capacity(values.len() * 2 + points.len());
    for (rank, value) in values.iter().enumerate() {
        let at = find(&mut free, place(value.rc));
        let point = times[at]; // the end of time is among them if anything was never taken
        if point > value.rr {
            return Err(refused(&values, rank));
        }
        let after = times.partition_point(|&other| other <= value.ar);
        let mut covered = find(&mut free, after);
        while covered < times.len() && times[covered] < value.rc {
            free[covered] = covered as u32 + 1;
            covered = find(&mut free, covered);
        }
        // at one instant: polls from the greatest down, what stays for no time among them; then nothing found; then inserts
        let kept = point > value.ar;
        let (time, last) = if kept { (value.ar, 2) } else { (point, 0) };
        events.push((time, last, if kept { 0 } else { rank }, 0, value.add));
        if value.take != NONE {
            events.push((point, 0, rank, 1, value.take));
        }
    }
    let empties = points.into_iter().zip(&all.empties);
    events.extend(empties.map(|(point, empty)| (point, 1, 0, 0, empty.op)));
    events.sort_unstable();
    Ok(events.into_iter().map(|event| event.4).collect())
}

fn find(free: &mut [u32], mut at: usize) -> usize {
    while free[at] as usize != at {
        free[at] = free[free[at] as usize];
        at = free[at] as usize;
    }
    at
}

/// The poll, and greater values that leave it no instant.
fn refused(values: &[&Value], rank: usize) -> Answer {
    let value = values[rank];
    let greater = values[..rank].iter().enumerate().map(|(at, v)| (v.ar, v.rc, at));
    let chain = cover::chain(greater, value.rc, value.rr);
    let core = chain.into_iter().chain([rank]).flat_map(|at| values[at].ops());
    illegal("not-the-greatest", core.collect())
}
