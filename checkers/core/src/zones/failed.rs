//! Compare-and-sets that failed: each saw that the value was another one than it expected.
//!
//! ```text
//!   surely `old`:   F====================S      F least return of what comes in or after its stage, S greatest call of what comes
//!   failed cas:         |--cas old new--x       in or before it, or replaces it. Strictly inside: impossible.
//! ```
//!
//! That test finds no false violation, but not every true one. So the witness is asked too: if each failed one fits at some instant of it where the
//! value is another, the history is linearizable. Otherwise this method cannot tell.

use super::{Register, Violation, Zone};
use crate::intern::NONE;
use crate::register::{ALWAYS, NEVER, NIL};

/// An instant and the operation that sets it.
type Bound = (i64, u32);

impl Register<'_> {
    /// Is there a failed one that surely met the value that it expected?
    pub(super) fn refute(&self, zones: &[Zone], failed: &[u32]) -> Result<(), Violation> {
        let (from, to) = self.sure(zones);
        for &at in failed {
            let (cas, old) = (self.op(at), self.op(at).old as usize);
            let (first, last) = (from[old], to[old]);
            if first.0 < cas.call && cas.ret < last.0 {
                let seeds: Vec<u32> = [first.1, last.1].into_iter().filter(|&op| op != NONE).collect();
                let mut core = self.closed(&seeds);
                core.push(at);
                core.sort_unstable();
                return Err(("false-failure", core));
            }
        }
        Ok(())
    }

    /// Per value the open stretch in which the register surely held it, with the operations that bound it.
    fn sure(&self, zones: &[Zone]) -> (Vec<Bound>, Vec<Bound>) {
        let mut from = vec![(NEVER, NONE); self.why.len()];
        let mut to = vec![(ALWAYS, NONE); self.why.len()];
        for zone in zones {
            let (mut chain, mut value, mut last) = (Vec::new(), zone.root, (ALWAYS, NONE));
            while value != NONE {
                let v = value as usize;
                if value != NIL {
                    let writer = self.writer[v];
                    last = last.max((self.op(writer).call, writer));
                    if let Some(&before) = chain.last() {
                        to[before as usize] = last;
                    }
                }
                if self.reads[v] > 0 {
                    last = last.max((self.op(self.last_read[v]).call, self.last_read[v]));
                }
                to[v] = last;
                chain.push(value);
                value = self.next[v];
            }
            let mut first = (NEVER, NONE);
            for &value in chain.iter().rev() {
                let v = value as usize;
                if self.reads[v] > 0 {
                    first = first.min((self.op(self.first_read[v]).ret, self.first_read[v]));
                }
                if value != NIL {
                    first = first.min((self.op(self.writer[v]).ret, self.writer[v]));
                }
                from[v] = if value == NIL { (ALWAYS, NONE) } else { first };
            }
        }
        (from, to)
    }

    /// The witness with every failed one put where the value is another; or the one that finds no such place.
    pub(super) fn place(&self, witness: &[u32], failed: &[u32]) -> Result<Vec<u32>, u32> {
        // gap n is before the n-th operation of the witness; it begins at times[n]
        let (mut times, mut states) = (vec![ALWAYS], vec![NIL]);
        for &at in witness {
            let last = *times.last().expect("one at least");
            times.push(last.max(self.op(at).call));
            let op = self.op(at);
            states.push(op.new);
        }
        let mut placed = Vec::with_capacity(failed.len());
        for &at in failed {
            let cas = self.op(at);
            let start = times.partition_point(|&time| time < cas.call).saturating_sub(1);
            let gap = (start..times.len())
                .take_while(|&gap| times[gap] <= cas.ret)
                .find(|&gap| states[gap] != cas.old)
                .ok_or(at)?;
            placed.push((gap, times[gap].max(cas.call), at));
        }
        placed.sort_unstable();
        let mut order = Vec::with_capacity(witness.len() + failed.len());
        let mut next = placed.into_iter().peekable();
        for gap in 0..times.len() {
            while let Some((_, _, at)) = next.next_if(|&(place, _, _)| place == gap) {
                order.push(at);
            }
            order.extend(witness.get(gap));
        }
        Ok(order)
    }
}
