//! A store that numbers its versions, such as etcd: `write v -> revision`, `read -> [revision, v]`, [0, null] before any write.
//!
//! A write has rank (revision, 0), a read (revision, 1), and whoever shows a revision must show one value. A write of unknown outcome counts with the
//! revision under which its value was read; if it was never read, it may not have happened.
use super::rank::{sweep, Ranked};
use super::{foreign, illegal, integer, unrecorded, Call, Map};
use crate::columns::Columns;
use crate::intern::NONE;
use crate::jsonl::elements;
use crate::register::{Answer, Status};

pub fn judge(columns: &Columns, calls: &[Call]) -> Answer {
    ranked(columns, calls).unwrap_or_else(|answer| answer)
}

/// A revision: the value, who wrote it if that is known, and who first showed it.
struct Version {
    value: u32,
    writer: Option<u32>,
    shower: u32,
}

fn ranked(columns: &Columns, calls: &[Call]) -> Result<Answer, Answer> {
    let (write, read) = (columns.fs.find(b"\"write\""), columns.fs.find(b"\"read\""));
    let at = |place: u32| calls[place as usize].at;
    let mut versions: Map<i64, Version> = Map::default();
    let mut open: Map<u32, Vec<u32>> = Map::default(); // writes of unknown outcome by value
    let mut failed: Map<u32, u32> = Map::default();
    let mut ranks: Vec<(u32, i64, bool)> = Vec::with_capacity(calls.len());
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| Some(call.f) == write) {
        let place = place as u32;
        if call.arg == NONE {
            return Err(unrecorded(columns, call));
        }
        match call.status {
            Status::Fail => drop(failed.insert(call.arg, place)),
            Status::Info => open.entry(call.arg).or_default().push(place),
            Status::Ok => {
                let revision = integer(columns, call.result).ok_or_else(|| unrecorded(columns, call))?;
                if revision <= 0 {
                    return Err(unrecorded(columns, call));
                }
                let version = Version {
                    value: call.arg,
                    writer: Some(place),
                    shower: place,
                };
                if let Some(first) = versions.insert(revision, version) {
                    return Err(illegal("duplicate-revision", vec![at(first.shower), call.at]));
                }
                ranks.push((place, revision, false));
            }
        }
    }
    let null = columns.values.find(b"null");
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| Some(call.f) != write) {
        if Some(call.f) != read {
            return Err(foreign(columns, call));
        }
        if !call.ok() {
            continue;
        }
        let place = place as u32;
        let (revision, value) = shown(columns, call).ok_or_else(|| unrecorded(columns, call))?;
        ranks.push((place, revision, true));
        if revision == 0 {
            if value != null {
                return Err(illegal("thin-air", vec![call.at]));
            }
            continue;
        }
        let Some(value) = value else {
            return Err(illegal("thin-air", vec![call.at]));
        };
        match versions.get(&revision) {
            Some(version) if version.value == value => {}
            Some(version) => {
                return Err(illegal(
                    "two-values-of-a-revision",
                    vec![at(version.shower), call.at],
                ))
            }
            None => {
                versions.insert(
                    revision,
                    Version {
                        value,
                        writer: None,
                        shower: place,
                    },
                );
            }
        }
    }
    let mut showers = Vec::new(); // who shows the revision of a write of unknown outcome
    for (&revision, version) in versions.iter().filter(|(_, version)| version.writer.is_none()) {
        let writers = open.get(&version.value).map_or(&[][..], |writers| &writers[..]);
        match writers {
            [writer] => {
                ranks.push((*writer, revision, false));
                showers.push((*writer, version.shower));
            }
            [] => {
                let reader = at(version.shower);
                return Err(match failed.get(&version.value) {
                    Some(&write) => illegal("aborted-read", vec![at(write), reader]),
                    None => illegal("thin-air", vec![reader]),
                });
            }
            [first, second, ..] => {
                let (first, second) = (at(*first), at(*second));
                return Err(Answer::Unknown(format!(
                    "#{first} and #{second} write the same value"
                )));
            }
        }
    }
    twice(calls, &ranks)?;
    let showers: Map<u32, u32> = showers.into_iter().collect();
    Ok(order(calls, &ranks, &showers))
}

/// A write of unknown outcome that was read under two revisions.
fn twice(calls: &[Call], ranks: &[(u32, i64, bool)]) -> Result<(), Answer> {
    let mut met: Map<u32, i64> = Map::default();
    for &(place, revision, reads) in ranks {
        if !reads && met.insert(place, revision).is_some() {
            let at = |place: u32| calls[place as usize].at;
            let readers = ranks
                .iter()
                .filter(|&&(_, r, reads)| reads && (r == revision || r == met[&place]));
            let core = readers
                .map(|&(reader, ..)| at(reader))
                .chain([at(place)])
                .take(3)
                .collect();
            return Err(illegal("written-twice", core));
        }
    }
    Ok(())
}

fn shown(columns: &Columns, call: &Call) -> Option<(i64, Option<u32>)> {
    if call.result == NONE {
        return None;
    }
    let parts = elements(columns.values.text(call.result))?;
    let [revision, value] = parts[..] else { return None };
    let revision: i64 = std::str::from_utf8(revision).ok()?.parse().ok()?;
    (revision >= 0).then(|| (revision, columns.values.find(value)))
}

fn order(calls: &[Call], ranks: &[(u32, i64, bool)], showers: &Map<u32, u32>) -> Answer {
    let items = ranks.iter().map(|&(place, revision, reads)| {
        let call = &calls[place as usize];
        let rank = 2 * revision as u64 + u64::from(reads);
        Ranked {
            rank,
            call: call.call,
            ret: call.ret,
            place,
        }
    });
    let at = |place: u32| calls[place as usize].at;
    let reads: Map<u32, bool> = ranks.iter().map(|&(place, _, reads)| (place, reads)).collect();
    match sweep(items.collect()) {
        Ok(order) => Answer::Legal(order.into_iter().map(at).collect()),
        Err((a, b)) => {
            let anomaly = match (reads[&a], reads[&b]) {
                (false, true) => "stale-read",
                (true, true) => "new-old-inversion",
                (true, false) => "future-read",
                (false, false) => "out-of-order",
            };
            let shown = [a, b].into_iter().filter_map(|place| showers.get(&place));
            illegal(
                anomaly,
                [a, b].iter().chain(shown).map(|&place| at(place)).collect(),
            )
        }
    }
}
