//! Matching in a convex bipartite graph: each job fits a range of slots, each slot takes one job.
//!
//! ```text
//!   slots   1   2   3   4         in order of slots, each takes of the jobs that fit the one whose range ends first
//!   job a   ─────────                                                                               (Glover, 1967)
//!   job b       ─────
//! ```
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A job and the slots it fits, both ends included.
#[derive(Clone, Copy)]
pub struct Job {
    pub lo: usize,
    pub hi: usize,
    pub place: u32,
}

/// For each slot of `wanted`, in ascending order, a job; or the slot for which there is none.
pub fn cover_slots(
    jobs: &mut [Job],
    wanted: impl Iterator<Item = usize>,
) -> Result<Vec<(usize, u32)>, usize> {
    jobs.sort_unstable_by_key(|job| (job.lo, job.place));
    let mut heap = BinaryHeap::new();
    let mut next = 0;
    let mut matched = Vec::new();
    for slot in wanted {
        while next < jobs.len() && jobs[next].lo <= slot {
            heap.push(Reverse((jobs[next].hi, jobs[next].place)));
            next += 1;
        }
        while heap.peek().is_some_and(|Reverse((hi, _))| *hi < slot) {
            heap.pop();
        }
        match heap.pop() {
            Some(Reverse((_, place))) => matched.push((slot, place)),
            None => return Err(slot),
        }
    }
    Ok(matched)
}

/// For each job a slot; or the end of the range of one for which there is none.
pub fn place_jobs(jobs: &mut [Job], slots: usize) -> Result<Vec<(usize, u32)>, usize> {
    jobs.sort_unstable_by_key(|job| (job.lo, job.place));
    let mut heap: BinaryHeap<Reverse<(usize, u32)>> = BinaryHeap::new();
    let mut next = 0;
    let mut matched = Vec::with_capacity(jobs.len());
    let mut slot = 1;
    while next < jobs.len() || !heap.is_empty() {
        if heap.is_empty() {
            slot = slot.max(jobs[next].lo);
        }
        while next < jobs.len() && jobs[next].lo <= slot {
            heap.push(Reverse((jobs[next].hi, jobs[next].place)));
            next += 1;
        }
        let Some(Reverse((hi, place))) = heap.pop() else {
            continue;
        };
        if hi < slot || slot > slots {
            return Err(hi);
        }
        matched.push((slot, place));
        slot += 1;
    }
    Ok(matched)
}

/// One matching with every slot of `covering` up to `top`, and every job of `placing`: the two joined along their alternating paths
/// (Mendelsohn and Dulmage, 1958).
pub fn join(
    covering: &[(usize, u32)],
    placing: &[(usize, u32)],
    slots: usize,
    places: usize,
) -> Vec<(usize, u32)> {
    const FREE: u32 = u32::MAX;
    let mut job_of = vec![FREE; slots + 1];
    let mut slot_of = vec![0usize; places];
    for &(slot, place) in placing {
        job_of[slot] = place;
        slot_of[place as usize] = slot;
    }
    let mut wanted = vec![FREE; slots + 1];
    covering.iter().for_each(|&(slot, place)| wanted[slot] = place);
    for &(start, _) in covering {
        let mut slot = start;
        while job_of[slot] == FREE {
            let place = wanted[slot];
            let left = slot_of[place as usize];
            job_of[slot] = place;
            slot_of[place as usize] = slot;
            if left == 0 {
                break; // the job had no slot: the path ends
            }
            job_of[left] = FREE;
            if wanted[left] == FREE {
                break; // the slot it left need not be covered
            }
            slot = left;
        }
    }
    (1..=slots)
        .filter(|&slot| job_of[slot] != FREE)
        .map(|slot| (slot, job_of[slot]))
        .collect()
}
