//! The steps of a run by key, and what each read's session knew of the others before it.
//!
//! A session knows of p what is up to the latest write of p that it has read: one number per session and read, a row. Rows are made for so many
//! keys at a time that they fit in a bounded memory.

use crate::parallel::over;
use crate::sessions::{Sessions, INITIAL};

/// Entries of all rows at a time, unless one key alone needs more: 128 MiB.
pub const ENTRIES_MAX: usize = 1 << 25;

pub struct Layout {
    starts: Vec<u32>,
    steps: Vec<u32>,
    places: Vec<u32>,
}

impl Layout {
    pub fn of(run: &Sessions) -> Layout {
        let mut starts = vec![0u32; run.keys + 1];
        run.steps
            .iter()
            .for_each(|step| starts[step.key as usize + 1] += 1);
        (0..run.keys).for_each(|key| starts[key + 1] += starts[key]);
        let mut next = starts.clone();
        let (mut steps, mut places) = (vec![0; run.steps.len()], vec![0; run.steps.len()]);
        for (at, step) in (0..).zip(&run.steps) {
            let slot = &mut next[step.key as usize];
            steps[*slot as usize] = at;
            places[at as usize] = *slot - starts[step.key as usize];
            *slot += 1;
        }
        Layout {
            starts,
            steps,
            places,
        }
    }

    /// The steps on a key, session after session.
    pub fn steps(&self, key: u32) -> &[u32] {
        &self.steps[self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize]
    }

    /// The place of a step among those of its key.
    pub fn place(&self, at: u32) -> u32 {
        self.places[at as usize]
    }

    /// Stretches of keys whose rows have at most so many entries together.
    pub fn blocks(&self, sessions: usize, most: usize) -> Vec<std::ops::Range<u32>> {
        let (mut blocks, mut begin, mut entries) = (Vec::new(), 0, 0);
        let keys = self.starts.len() as u32 - 1;
        for key in 0..keys {
            let more = self.steps(key).len() * sessions;
            if entries > 0 && entries + more > most {
                blocks.push(begin..key);
                (begin, entries) = (key, 0);
            }
            entries += more;
        }
        blocks.push(begin..keys);
        blocks
    }
}

/// Per read of the chosen keys, and per session p: one past the latest step of p that the reader's session had read before. Empty if not needed.
#[derive(Default)]
pub struct Known {
    sessions: usize,
    ranks: Vec<u32>,
    rows: Vec<Vec<u32>>,
}

impl Known {
    pub fn of(run: &Sessions, chosen: impl Fn(u32) -> bool + Sync, threads: usize) -> Known {
        let k = run.count();
        let wanted = |at: u32| run.step(at).reads() && chosen(run.step(at).key);
        let mut ranks = vec![0; run.steps.len()];
        for session in 0..k {
            let reads = run.steps_of(session).filter(|&at| wanted(at));
            (0..).zip(reads).for_each(|(rank, at)| ranks[at as usize] = rank);
        }
        let sizes: Vec<usize> = (0..k).map(|session| run.steps_of(session).len()).collect();
        let rows_of = |latest: &mut Vec<u32>, session: usize| {
            latest.fill(0);
            let mut rows = Vec::with_capacity(run.steps_of(session).filter(|&at| wanted(at)).count() * k);
            for at in run.steps_of(session).filter(|&at| run.step(at).reads()) {
                let step = run.step(at);
                if chosen(step.key) {
                    rows.extend_from_slice(latest);
                }
                if step.from < INITIAL {
                    let slot = &mut latest[run.step(step.from).session as usize];
                    *slot = (*slot).max(step.from + 1);
                }
            }
            rows
        };
        let rows = over(&sizes, threads, || vec![0; k], rows_of);
        Known {
            sessions: k,
            ranks,
            rows,
        }
    }

    pub fn row(&self, session: u32, at: u32) -> &[u32] {
        let first = self.ranks[at as usize] as usize * self.sessions;
        &self.rows[session as usize][first..first + self.sessions]
    }
}
