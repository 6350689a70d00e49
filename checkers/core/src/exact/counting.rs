//! Counters of increments by one, and ids that are given out by counting.
//!
//! ```text
//!   counter          add 1, read -> n                   the k-th increment happens within [L_k, U_k]:
//!   fetch-and-add    fetch-add 1 -> n before it, read      L_k  the last call of what saw less than k
//!                                                          U_k  the first return of what saw k or more
//! ```
//! L and U grow with k, so each increment fits a range of counts: linearizable if and only if increments can be matched to the counts 1..K that were
//! seen, and all that were acknowledged to any counts (`matching.rs`). A fetch-add that returned says its own count. Increments at the earliest
//! times of their counts, sorted by these times, are an order that fits.
use super::matching::{cover_slots, join, place_jobs, Job};
use super::{foreign, illegal, integer, told, unrecorded, Call};
use crate::columns::Columns;
use crate::intern::NONE;
use crate::register::{Answer, Status, ALWAYS, NEVER};

pub fn counter(columns: &Columns, calls: &[Call]) -> Answer {
    Counted::collect(columns, calls, b"\"add\"", false)
        .and_then(|all| all.counter())
        .unwrap_or_else(|answer| answer)
}

pub fn fetch_and_add(columns: &Columns, calls: &[Call]) -> Answer {
    Counted::collect(columns, calls, b"\"fetch-add\"", true)
        .and_then(|all| all.fetch_and_add())
        .unwrap_or_else(|answer| answer)
}

/// A bound in time, and the place of the call that sets it.
type Bound = (i64, u32);

struct Counted<'a> {
    calls: &'a [Call],
    /// Increments that may have happened, as places.
    incs: Vec<u32>,
    /// What was read, by whom.
    reads: Vec<(usize, u32)>,
    /// The increment whose result says that it is the k-th.
    fixed: Vec<u32>,
    /// Of each count 1..=N, and one beyond.
    low: Vec<Bound>,
    high: Vec<Bound>,
    /// The highest count that was seen.
    top: usize,
}

impl<'a> Counted<'a> {
    fn collect(
        columns: &Columns,
        calls: &'a [Call],
        add: &[u8],
        fetches: bool,
    ) -> Result<Counted<'a>, Answer> {
        let (add, read) = (columns.fs.find(add), columns.fs.find(b"\"read\""));
        let (mut incs, mut seen) = (Vec::new(), Vec::new());
        for (place, call) in calls.iter().enumerate() {
            let place = place as u32;
            if Some(call.f) == add {
                if call.status == Status::Fail {
                    continue;
                }
                if integer(columns, call.arg) != Some(1) {
                    let what = told(columns, call);
                    return Err(Answer::Unknown(format!(
                        "{what} is another: this method is for increments of 1"
                    )));
                }
                incs.push(place);
            } else if Some(call.f) != read {
                return Err(foreign(columns, call));
            }
            let shows = call.ok() && (fetches || Some(call.f) == read);
            if shows {
                let value = integer(columns, call.result).ok_or_else(|| unrecorded(columns, call))?;
                seen.push((value, place, Some(call.f) == add));
            }
        }
        Counted {
            calls,
            incs,
            reads: Vec::new(),
            fixed: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            top: 0,
        }
        .bound(seen)
    }

    /// Note what was seen: the bounds in time of every count.
    fn bound(mut self, seen: Vec<(i64, u32, bool)>) -> Result<Counted<'a>, Answer> {
        let size = self.incs.len();
        self.low = vec![(ALWAYS, NONE); size + 2];
        self.high = vec![(NEVER, NONE); size + 2];
        self.fixed = vec![NONE; size + 2];
        for (value, place, own) in seen {
            let call = &self.calls[place as usize];
            let most = size as i64 - i64::from(own);
            if value < 0 || value > most {
                let anomaly = if value < 0 {
                    "thin-air"
                } else {
                    "above-upper-bound"
                };
                return Err(illegal(anomaly, vec![call.at]));
            }
            let value = value as usize;
            let (from, to) = (value + 1, value + usize::from(own)); // counts from here on came later, up to here earlier
            self.low[from] = self.low[from].max((call.call, place));
            self.high[to] = self.high[to].min((call.ret, place));
            self.top = self.top.max(to);
            if own {
                let first = std::mem::replace(&mut self.fixed[from], place);
                if first != NONE {
                    return Err(illegal("duplicate-id", vec![self.at(first), call.at]));
                }
            } else {
                self.reads.push((value, place));
            }
        }
        for k in 1..size + 2 {
            self.low[k] = self.low[k].max(self.low[k - 1]);
            self.high[size + 1 - k] = self.high[size + 1 - k].min(self.high[size + 2 - k]);
        }
        for k in 1..=size {
            if self.high[k].0 < self.low[k].0 {
                return Err(illegal(
                    "went-back",
                    vec![self.at(self.high[k].1), self.at(self.low[k].1)],
                ));
            }
        }
        Ok(self)
    }

    fn at(&self, place: u32) -> u32 {
        self.calls[place as usize].at
    }

    /// The counts an increment fits.
    fn job(&self, place: u32) -> Job {
        let (call, size) = (&self.calls[place as usize], self.incs.len());
        let lo = 1 + self.high[1..=size].partition_point(|bound| bound.0 < call.call);
        let hi = self.low[1..=size].partition_point(|bound| bound.0 <= call.ret);
        Job { lo, hi, place }
    }

    fn counter(&self) -> Result<Answer, Answer> {
        let all: Vec<Job> = self.incs.iter().map(|&place| self.job(place)).collect();
        let ok = |job: &&Job| self.calls[job.place as usize].ok();
        let mut sure: Vec<Job> = all.iter().filter(ok).copied().collect();
        let placing = place_jobs(&mut sure, self.incs.len()).map_err(|b| self.too_many(&sure, b))?;
        let mut all = all;
        let covering = cover_slots(&mut all, 1..=self.top).map_err(|b| self.too_few(&all, b))?;
        let matched = join(&covering, &placing, self.incs.len(), self.calls.len());
        let mut timed: Vec<(i64, usize, u32)> = matched
            .into_iter()
            .map(|(slot, place)| (self.low[slot].0.max(self.calls[place as usize].call), slot, place))
            .collect();
        timed.sort_unstable();
        Ok(self.witness(timed.into_iter().map(|(_, _, place)| place)))
    }

    fn fetch_and_add(&self) -> Result<Answer, Answer> {
        let open = self
            .incs
            .iter()
            .filter(|&&place| !self.calls[place as usize].ok());
        let mut open: Vec<Job> = open.map(|&place| self.job(place)).collect();
        let wanted = (1..=self.top).filter(|&k| self.fixed[k] == NONE);
        let covering = cover_slots(&mut open, wanted).map_err(|b| self.too_few(&open, b))?;
        let mut order = self.fixed.clone();
        covering.iter().for_each(|&(slot, place)| order[slot] = place);
        Ok(self.witness(order[1..=self.top].iter().copied()))
    }

    /// Reads between the increments they count.
    fn witness(&self, increments: impl Iterator<Item = u32>) -> Answer {
        let mut reads = self.reads.clone();
        reads.sort_unstable_by_key(|&(value, place)| (value, self.calls[place as usize].call));
        let mut order = Vec::with_capacity(self.calls.len());
        let mut next = 0;
        let mut count = 0;
        let mut emit = |count: usize, order: &mut Vec<u32>| {
            while next < reads.len() && reads[next].0 == count {
                order.push(self.at(reads[next].1));
                next += 1;
            }
        };
        emit(0, &mut order);
        for place in increments {
            count += 1;
            order.push(self.at(place));
            emit(count, &mut order);
        }
        Answer::Legal(order)
    }

    /// Counts a..=b have fewer increments that fit than counts: those, and who sets the bounds (a Hall violator).
    fn too_few(&self, jobs: &[Job], b: usize) -> Answer {
        let mut ending = vec![0usize; self.incs.len() + 2]; // of the jobs that begin by b, how many end at a count
        jobs.iter()
            .filter(|job| job.lo <= b)
            .for_each(|job| ending[job.hi] += 1);
        let mut fit: usize = ending[b..].iter().sum();
        let mut need = 0;
        let mut a = b;
        loop {
            need += usize::from(self.fixed[a] == NONE);
            if fit < need || a == 1 {
                break;
            }
            a -= 1;
            fit += ending[a];
        }
        let inside = jobs.iter().filter(|job| job.lo <= b && job.hi >= a);
        let anomaly = if a == 1 {
            "above-upper-bound"
        } else {
            "count-mismatch"
        };
        self.core(
            anomaly,
            inside.map(|job| job.place),
            [self.low[a].1, self.high[b].1],
        )
    }

    /// More increments fit into counts a..=b, and nowhere else, than there are counts.
    fn too_many(&self, jobs: &[Job], b: usize) -> Answer {
        let mut beginning = vec![0usize; self.incs.len() + 2];
        jobs.iter()
            .filter(|job| job.hi <= b)
            .for_each(|job| beginning[job.lo] += 1);
        let mut a = b + 1;
        let mut fit: usize = beginning[a.min(self.incs.len() + 1)..].iter().sum();
        while fit <= b + 1 - a && a > 1 {
            a -= 1;
            fit += beginning[a];
        }
        let inside = jobs.iter().filter(|job| job.hi <= b && job.lo >= a);
        let (before, anomaly) = match a {
            1 => (NONE, "below-lower-bound"),
            _ if b == self.incs.len() => (self.high[a - 1].1, "above-upper-bound"),
            _ => (self.high[a - 1].1, "count-mismatch"),
        };
        self.core(anomaly, inside.map(|job| job.place), [before, self.low[b + 1].1])
    }

    fn core(&self, anomaly: &'static str, incs: impl Iterator<Item = u32>, bounds: [u32; 2]) -> Answer {
        let bounds = bounds.into_iter().filter(|&place| place != NONE);
        illegal(anomaly, incs.chain(bounds).map(|place| self.at(place)).collect())
    }
}
