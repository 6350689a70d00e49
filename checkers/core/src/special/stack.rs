//! A stack with unique values.
//!
//! Look for an instant at which no remaining value is surely inside, and let every operation that spans it happen there. When both operations of a
//! value have found such an instant, it stays from the last one before to the first one after, and no longer stands in the way of what it holds above
//! it. Stays nest, the earlier settled the outer. If no instant is left while values remain, they cannot be on one stack.
//!
//! ```text
//!   |push a|                     |pop a|     the two ends are free, so a is settled first;
//!            |push b|   |pop b|              then b, inside it
//! ```
//!
//! Segment trees find the instants and the operations: O(n log n). Reference: Lee & Mathur, OOPSLA 2025.
use super::bits::Bits;
use super::values::{illegal, Value, Values};
use crate::intern::NONE;
use crate::register::Answer;

pub fn order(all: &Values) -> Result<Vec<u32>, Answer> {
    let points = all.empty_points()?;
    let lasting: Vec<&Value> = all.values.iter().filter(|value| !value.brief()).collect();
    let Ok(stays) = settle(&lasting, &points) else {
        let core = least(lasting);
        return Err(illegal(
            "not-last-in-first-out",
            core.iter().flat_map(|value| value.ops()).collect(),
        ));
    };
    // at one instant: pops from the inside out; what stays for no time, and nothing found; pushes from the outside in
    let mut events = Vec::with_capacity(all.values.len() * 2 + points.len());
    let end = lasting.len() as i64;
    for (value, &(from, to, turn)) in lasting.iter().zip(&stays) {
        events.push((from, 2, i64::from(turn), value.add));
        if value.take != NONE {
            events.push((to, 0, end - i64::from(turn), value.take));
        }
    }
    for (at, value) in all.values.iter().enumerate().filter(|(_, value)| value.brief()) {
        events.push((value.rc, 1, 2 * at as i64, value.add));
        events.push((value.rc, 1, 2 * at as i64 + 1, value.take));
    }
    events.extend(
        points
            .iter()
            .zip(&all.empties)
            .map(|(&point, empty)| (point, 1, -1, empty.op)),
    );
    events.sort_unstable();
    Ok(events.into_iter().map(|event| event.3).collect())
}

/// From, to, and the turn in which it was settled.
type Stay = (i64, i64, u32);

/// Settle every value, the given instants first. Err if some cannot be.
fn settle(values: &[&Value], points: &[i64]) -> Result<Vec<Stay>, ()> {
    let mut times: Vec<i64> = values
        .iter()
        .flat_map(|v| [v.ac, v.rc])
        .chain(points.iter().copied())
        .collect();
    times.sort_unstable();
    times.dedup();
    let not_before = |time: i64| times.partition_point(|&other| other < time);
    let after = |time: i64| times.partition_point(|&other| other <= time);
    let spans: Vec<[usize; 4]> = values
        .iter()
        .map(|v| [not_before(v.ac), after(v.ar), not_before(v.rc), after(v.rr)])
        .collect();
    let mut held = Held::new(times.len());
    for &[_, from, to, _] in &spans {
        held.add(from, to, 1);
    }
    let mut ops = Ops::new(&spans);
    let mut used = Bits::new(times.len());
    let mut stays = vec![(0, 0, NONE); values.len()];
    let (mut found, mut turn) = (vec![0u8; values.len()], 0);
    let mut first: Vec<usize> = points.iter().map(|&point| not_before(point)).collect();
    first.sort_unstable();
    first.dedup(); // an instant is used once
    while turn < values.len() as u32 {
        let Some(at) = first.pop().or_else(|| held.free()) else {
            return Err(());
        };
        held.add(at, at + 1, 1 << 29);
        used.insert(at);
        while let Some(op) = ops.take(at) {
            let value = op / 2;
            found[value] += 1;
            if found[value] < 2 {
                continue;
            }
            let [_, from, to, _] = spans[value];
            held.add(from, to, -1);
            let begin = used.previous(from - 1).expect("its add found an instant");
            let end = used.next(to).expect("its take found an instant");
            stays[value] = (times[begin], times[end], turn);
            turn += 1;
        }
    }
    Ok(stays)
}

/// Few of the values that still cannot be settled: halving, from the front. Fewer values are never worse.
fn least(mut values: Vec<&Value>) -> Vec<&Value> {
    let bad = |values: &[&Value]| settle(values, &[]).is_err();
    let mut kept = 0;
    while kept < values.len() && !bad(&values[..kept]) {
        let (mut low, mut high) = (kept, values.len());
        while high - low > 1 {
            let middle = (low + high) / 2;
            if bad(&values[..middle]) {
                high = middle;
            } else {
                low = middle;
            }
        }
        values.truncate(high);
        values.rotate_right(1); // the last one is needed
        kept += 1;
    }
    values.truncate(kept);
    values
}

/// How many values are surely inside at each instant: sums over ranges, and the least.
struct Held {
    size: usize,
    least: Vec<i32>,
    own: Vec<i32>,
}

impl Held {
    fn new(size: usize) -> Held {
        let size = size.next_power_of_two();
        Held {
            size,
            least: vec![0; 2 * size],
            own: vec![0; size],
        }
    }

    fn apply(&mut self, node: usize, amount: i32) {
        self.least[node] += amount;
        if node < self.size {
            self.own[node] += amount;
        }
    }

    fn rebuild(&mut self, leaf: usize) {
        let mut node = leaf / 2;
        while node > 0 {
            self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.own[node];
            node /= 2;
        }
    }

    /// Add to the instants from `from` on and before `to`.
    fn add(&mut self, from: usize, to: usize, amount: i32) {
        if from >= to {
            return;
        }
        let (mut low, mut high) = (from + self.size, to + self.size);
        while low < high {
            if low % 2 == 1 {
                self.apply(low, amount);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                self.apply(high, amount);
            }
            (low, high) = (low / 2, high / 2);
        }
        self.rebuild(from + self.size);
        self.rebuild(to - 1 + self.size);
    }

    /// An instant with nothing inside that was not used.
    fn free(&self) -> Option<usize> {
        if self.least[1] != 0 {
            return None;
        }
        let (mut node, mut above) = (1, 0);
        while node < self.size {
            above += self.own[node];
            node = 2 * node + usize::from(self.least[2 * node] + above != 0);
        }
        Some(node - self.size)
    }
}

/// Operations by the instant at which they begin, and the greatest end of each range of them.
struct Ops {
    size: usize,
    order: Vec<u32>,
    begins: Vec<u32>,
    ends: Vec<u32>,
}

impl Ops {
    fn new(spans: &[[usize; 4]]) -> Ops {
        let span = |op: u32| &spans[op as usize / 2][op as usize % 2 * 2..];
        let mut order: Vec<u32> = (0..spans.len() as u32 * 2).collect();
        order.sort_by_key(|&op| span(op)[0]);
        let size = order.len().next_power_of_two();
        let mut ends = vec![0; 2 * size];
        for (at, &op) in order.iter().enumerate() {
            ends[size + at] = span(op)[1] as u32;
        }
        for node in (1..size).rev() {
            ends[node] = ends[2 * node].max(ends[2 * node + 1]);
        }
        let begins = order.iter().map(|&op| span(op)[0] as u32).collect();
        Ops {
            size,
            order,
            begins,
            ends,
        }
    }

    /// Remove and return an operation that spans the instant.
    fn take(&mut self, at: usize) -> Option<usize> {
        let at = at as u32;
        if self.ends[1] <= at {
            return None;
        }
        let mut node = 1;
        while node < self.size {
            node = 2 * node + usize::from(self.ends[2 * node] <= at);
        }
        let place = node - self.size; // the first that ends after it; if that begins too late, so do all others
        if self.begins[place] > at {
            return None;
        }
        self.ends[node] = 0;
        while node > 1 {
            node /= 2;
            self.ends[node] = self.ends[2 * node].max(self.ends[2 * node + 1]);
        }
        Some(self.order[place] as usize)
    }
}
