//! Lists that are appended to, and sets that only grow, read whole.
//!
//! ```text
//!   lists   [] [1] [1,2]            each read a prefix of the longest      append of the j-th: rank 2j      read of j: rank 2j+1
//!   sets    {} {2} {1,2}            a chain of inclusion                   add of level l:     rank 2l      read of level l: 2l+1
//! ```
//! What was added and acknowledged, and is in no read, comes after all reads; what was not acknowledged and is in none may not have happened.
//! Equal results are one text, so each is taken apart once. References: rank sweep, `rank.rs`.
use super::rank::{sweep, Ranked};
use super::{foreign, illegal, unrecorded, Adders, Call, Map};
use crate::columns::Columns;
use crate::intern::NONE;
use crate::jsonl::elements;
use crate::register::{Answer, Status};
use std::collections::hash_map::Entry;

struct Split {
    adds: Vec<u32>,
    reads: Vec<u32>,
}

/// Adds, and reads that returned, as places.
fn split(columns: &Columns, calls: &[Call], add: &[u8]) -> Result<Split, Answer> {
    let (add, read) = (columns.fs.find(add), columns.fs.find(b"\"read\""));
    let mut split = Split {
        adds: Vec::new(),
        reads: Vec::new(),
    };
    for (place, call) in calls.iter().enumerate() {
        if Some(call.f) == add {
            split.adds.push(place as u32);
        } else if Some(call.f) != read {
            return Err(foreign(columns, call));
        } else if call.ok() {
            split.reads.push(place as u32);
        }
    }
    Ok(split)
}

/// A distinct result, and the first read that returned it.
struct Shown<'a> {
    text: &'a [u8],
    reader: u32,
}

impl Shown<'_> {
    /// The elements as value ids, NONE for what is no value of any other operation.
    fn ids(&self, columns: &Columns) -> Vec<u32> {
        let elements = elements(self.text).unwrap_or_default();
        elements
            .iter()
            .map(|text| columns.values.find(text).unwrap_or(NONE))
            .collect()
    }
}

type Distinct<'a> = (Vec<Shown<'a>>, Map<u32, usize>);

fn distinct<'a>(columns: &'a Columns, calls: &[Call], reads: &[u32]) -> Result<Distinct<'a>, Answer> {
    let mut known: Map<u32, usize> = Map::default();
    let mut shown: Vec<Shown> = Vec::new();
    for &place in reads {
        let call = &calls[place as usize];
        if call.result == NONE {
            return Err(unrecorded(columns, call));
        }
        if known.contains_key(&call.result) {
            continue;
        }
        let text = columns.values.text(call.result);
        if text.first() != Some(&b'[') {
            return Err(unrecorded(columns, call));
        }
        known.insert(call.result, shown.len());
        shown.push(Shown { text, reader: place });
    }
    Ok((shown, known))
}

/// Is the list a prefix of the other? Both are canonical text: `[1,2]` and `[1,2,3]` are equal up to where the first closes.
fn prefix(short: &[u8], long: &[u8]) -> bool {
    let body = &short[..short.len() - 1];
    short == b"[]" || (long.starts_with(body) && matches!(long.get(body.len()), Some(b',' | b']')))
}

/// For each number of elements how long the text of that prefix is, without its closing bracket.
fn lengths(text: &[u8]) -> Vec<usize> {
    let mut ends = vec![1];
    for element in elements(text).unwrap_or_default() {
        let end = ends[ends.len() - 1] + usize::from(ends.len() > 1) + element.len();
        ends.push(end);
    }
    ends
}

pub fn append_list(columns: &Columns, calls: &[Call]) -> Answer {
    ranked_list(columns, calls).unwrap_or_else(|answer| answer)
}

fn ranked_list(columns: &Columns, calls: &[Call]) -> Result<Answer, Answer> {
    let split = split(columns, calls, b"\"append\"")?;
    let adders = Adders::collect(columns, calls, &split.adds)?;
    let (shown, known) = distinct(columns, calls, &split.reads)?;
    let at = |place: u32| calls[place as usize].at;
    let longest = shown.iter().max_by_key(|list| list.text.len());
    let ends = longest.map_or_else(|| vec![1], |list| lengths(list.text));
    let size = |list: &Shown| ends.partition_point(|&end| end < list.text.len() - 1) as u64;
    let mut position: Map<u32, u64> = Map::default();
    if let Some(longest) = longest {
        for list in &shown {
            if !prefix(list.text, longest.text) {
                strangers(columns, calls, &adders, list)?;
                strangers(columns, calls, &adders, longest)?;
                let core = vec![at(list.reader), at(longest.reader)];
                return Err(illegal("incompatible-order", core));
            }
        }
        for (j, value) in longest.ids(columns).into_iter().enumerate() {
            let Some(&add) = adders.by_value.get(&value) else {
                let with = shown.iter().filter(|list| size(list) > j as u64);
                let first = with.min_by_key(|list| list.text.len()).unwrap_or(longest);
                return Err(adders.stranger(calls, Some(value), at(first.reader)));
            };
            if position.insert(add, j as u64 + 1).is_some() {
                return Err(illegal("duplicate-element", vec![at(add), at(longest.reader)]));
            }
        }
    }
    let rank_of_read = |place: u32| 2 * size(&shown[known[&calls[place as usize].result]]) + 1;
    let items = items(calls, &split, &position, 2 * ends.len() as u64, rank_of_read);
    Ok(sweep(items).map_or_else(
        |(a, b)| {
            pair(calls, &position, &split, a, b, |_| {
                longest.map(|list| list.reader)
            })
        },
        |order| Answer::Legal(order.into_iter().map(at).collect()),
    ))
}

/// The adds of a result's elements; or what is in it and nobody added, or is there twice.
fn strangers(columns: &Columns, calls: &[Call], adders: &Adders, list: &Shown) -> Result<Vec<u32>, Answer> {
    let reader = calls[list.reader as usize].at;
    let mut adds = Vec::new();
    for value in list.ids(columns) {
        match adders.by_value.get(&value) {
            None => return Err(adders.stranger(calls, Some(value), reader)),
            Some(&add) => adds.push(add),
        }
    }
    let mut sorted = adds.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(illegal(
            "duplicate-element",
            vec![calls[two[0] as usize].at, reader],
        )),
        None => Ok(adds),
    }
}

pub fn grow_set(columns: &Columns, calls: &[Call]) -> Answer {
    ranked_set(columns, calls).unwrap_or_else(|answer| answer)
}

fn ranked_set(columns: &Columns, calls: &[Call]) -> Result<Answer, Answer> {
    let split = split(columns, calls, b"\"add\"")?;
    let adders = Adders::collect(columns, calls, &split.adds)?;
    let (shown, known) = distinct(columns, calls, &split.reads)?;
    let at = |place: u32| calls[place as usize].at;
    let adds = shown.iter().map(|set| strangers(columns, calls, &adders, set));
    let adds: Vec<Vec<u32>> = adds.collect::<Result<_, _>>()?;
    let mut by_size: Vec<usize> = (0..shown.len()).collect();
    by_size.sort_by_key(|&n| adds[n].len());
    let mut level_of_add: Map<u32, u64> = Map::default();
    let mut level_of_shown = vec![0u64; shown.len()];
    let mut readers = Vec::with_capacity(shown.len()); // of each level the reader, levels from 1
    for (n, &which) in by_size.iter().enumerate() {
        let before = level_of_add.len();
        let mut kept = 0;
        let same = before == adds[which].len() && n > 0; // the same set in another order of elements
        let level = if same {
            level_of_shown[by_size[n - 1]]
        } else {
            n as u64 + 1
        };
        for &add in &adds[which] {
            match level_of_add.entry(add) {
                Entry::Occupied(_) => kept += 1,
                Entry::Vacant(entry) => drop(entry.insert(level)),
            }
        }
        if kept != before {
            let core = vec![at(readers[n - 1]), at(shown[which].reader)];
            return Err(illegal("incompatible-order", core));
        }
        level_of_shown[which] = level;
        readers.push(shown[which].reader);
    }
    let top = shown.len() as u64;
    let rank_of_read = |place: u32| 2 * level_of_shown[known[&calls[place as usize].result]] + 1;
    let items = items(calls, &split, &level_of_add, 2 * (top + 1), rank_of_read);
    let between = |b: u32| level_of_add.get(&b).map(|&level| readers[level as usize - 1]);
    Ok(sweep(items).map_or_else(
        |(a, b)| pair(calls, &level_of_add, &split, a, b, between),
        |order| Answer::Legal(order.into_iter().map(at).collect()),
    ))
}

/// Everything that must have happened, with its rank.
fn items(
    calls: &[Call],
    split: &Split,
    shown: &Map<u32, u64>,
    unread: u64,
    rank_of_read: impl Fn(u32) -> u64,
) -> Vec<Ranked> {
    let item = |place: u32, rank: u64| {
        let call = &calls[place as usize];
        Ranked {
            rank,
            call: call.call,
            ret: call.ret,
            place,
        }
    };
    let adds =
        split
            .adds
            .iter()
            .filter_map(|&place| match (shown.get(&place), calls[place as usize].status) {
                (_, Status::Fail) | (None, Status::Info) => None,
                (Some(&level), _) => Some(item(place, 2 * level)),
                (None, Status::Ok) => Some(item(place, unread)),
            });
    adds.chain(split.reads.iter().map(|&place| item(place, rank_of_read(place))))
        .collect()
}

/// The core of two operations that time and results put in opposite orders; between two adds a read that tells their order.
fn pair(
    calls: &[Call],
    adds: &Map<u32, u64>,
    split: &Split,
    a: u32,
    b: u32,
    between: impl Fn(u32) -> Option<u32>,
) -> Answer {
    let is_add = |place: u32| adds.contains_key(&place) || split.adds.binary_search(&place).is_ok();
    let mut core = vec![calls[a as usize].at, calls[b as usize].at];
    let anomaly = match (is_add(a), is_add(b)) {
        (true, false) => "stale-read",
        (false, false) => "new-old-inversion",
        (false, true) => "future-read",
        (true, true) => {
            core.extend(between(b).map(|reader| calls[reader as usize].at));
            "out-of-order"
        }
    };
    illegal(anomaly, core)
}
