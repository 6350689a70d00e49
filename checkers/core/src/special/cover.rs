//! Open stretches of time joined: which instants do they leave free?
//!
//! Stretches that only touch leave the instant between them free.

pub struct Cover(Vec<(i64, i64)>);

impl Cover {
    pub fn new(stretches: impl Iterator<Item = (i64, i64)>) -> Cover {
        let mut sorted: Vec<(i64, i64)> = stretches.filter(|(from, to)| from < to).collect();
        sorted.sort_by_key(|&(from, _)| from);
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, to) in sorted {
            match joined.last_mut() {
                Some(last) if from < last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Cover(joined)
    }

    /// The first free instant that is not before this one.
    pub fn free(&self, time: i64) -> i64 {
        let before = self.0.partition_point(|&(from, _)| from < time);
        match before.checked_sub(1).map(|at| self.0[at].1) {
            Some(to) if time < to => to,
            _ => time,
        }
    }
}

/// Few of the stretches, by name, that together leave nothing of the closed interval free. Together they all must do so.
pub fn chain(stretches: impl Iterator<Item = (i64, i64, usize)>, from: i64, to: i64) -> Vec<usize> {
    let mut sorted: Vec<(i64, i64, usize)> = stretches.filter(|(begin, end, _)| begin < end).collect();
    sorted.sort_by_key(|&(begin, ..)| begin);
    let (mut time, mut next, mut best, mut names) = (from, 0, (i64::MIN, 0), Vec::new());
    while time <= to {
        while next < sorted.len() && sorted[next].0 < time {
            best = best.max((sorted[next].1, sorted[next].2));
            next += 1;
        }
        if best.0 <= time {
            break;
        }
        names.push(best.1);
        time = best.0;
    }
    names
}
