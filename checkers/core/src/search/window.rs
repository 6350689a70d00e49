//! The window: which operations are open at each return, and in which slot.
//!
//! ```text
//!   a |-------------------|            returns in order: b a c      slots: a 0, b 1, c 1
//!   b    |-----|                       open at the return of b: a b
//!   c             |-------------|      open at the return of a: a c      (b is retired, c has its slot)
//! ```
//!
//! Equal times are concurrent: a call at the very time of a return is still inside the window.

use super::mask::Mask;
use super::problem::Op;
use crate::intern::NONE;

/// What stays: the order of returns, the calls up to each, a slot for every operation.
pub struct Window<M> {
    /// Operations that must take effect, by return.
    pub returns: Vec<u32>,
    /// All operations by call.
    pub calls: Vec<u32>,
    /// Per return: how many of `calls` come before it.
    upto: Vec<u32>,
    /// Per operation: its place in `calls`.
    rank: Vec<u32>,
    pub slot: Vec<u32>,
    pub slots: usize,
    /// What moves with the position.
    pub at: usize,
    pub slot_op: Vec<u32>,
    pub open: M,
    pub readonly: M,
    pub info: M,
}

/// The most operations that are open at once, which is how many slots there must be.
pub fn width(ops: &[Op]) -> usize {
    layout(ops).slots
}

struct Layout {
    returns: Vec<u32>,
    calls: Vec<u32>,
    upto: Vec<u32>,
    slot: Vec<u32>,
    slots: usize,
}

fn layout(ops: &[Op]) -> Layout {
    let mut returns: Vec<u32> = (0..ops.len() as u32)
        .filter(|&op| ops[op as usize].must)
        .collect();
    let mut calls: Vec<u32> = (0..ops.len() as u32).collect();
    returns.sort_by_key(|&op| ops[op as usize].ret);
    calls.sort_by_key(|&op| ops[op as usize].call);
    let (mut upto, mut slot) = (Vec::with_capacity(returns.len()), vec![NONE; ops.len()]);
    let mut free = std::collections::BinaryHeap::new();
    let (mut slots, mut next) = (0, 0);
    for &end in &returns {
        while next < calls.len() && ops[calls[next] as usize].call <= ops[end as usize].ret {
            slot[calls[next] as usize] = match free.pop() {
                Some(std::cmp::Reverse(slot)) => slot,
                None => {
                    slots += 1;
                    slots - 1
                }
            };
            next += 1;
        }
        upto.push(next as u32);
        free.push(std::cmp::Reverse(slot[end as usize]));
    }
    Layout {
        returns,
        calls,
        upto,
        slot,
        slots: slots as usize,
    }
}

impl<M: Mask> Window<M> {
    /// The window at the first return.
    pub fn new(ops: &[Op], readonly: impl Fn(u32) -> bool) -> Self {
        let layout = layout(ops);
        let slots = layout.slots;
        let mut rank = vec![0; ops.len()];
        for (n, &op) in layout.calls.iter().enumerate() {
            rank[op as usize] = n as u32;
        }
        let mut window = Window {
            returns: layout.returns,
            calls: layout.calls,
            upto: layout.upto,
            rank,
            slot: layout.slot,
            slots,
            at: 0,
            slot_op: vec![NONE; slots],
            open: M::empty(slots),
            readonly: M::empty(slots),
            info: M::empty(slots),
        };
        for n in 0..window.opened(0).end {
            let op = window.calls[n];
            window.put(ops, op, readonly(op));
        }
        window
    }

    /// The places in `calls` of those that come between the return before `at` and that return.
    pub fn opened(&self, at: usize) -> std::ops::Range<usize> {
        let begin = if at == 0 { 0 } else { self.upto[at - 1] as usize };
        begin..self.upto.get(at).map_or(begin, |&end| end as usize)
    }

    /// Was the operation called before the return at `at`?
    pub fn called(&self, op: u32, at: usize) -> bool {
        self.rank[op as usize] < self.upto[at]
    }

    /// Go to a position, forward or back; each step touches only the calls between two returns.
    pub fn seek(&mut self, ops: &[Op], to: usize, readonly: impl Fn(u32) -> bool) {
        while self.at < to {
            self.forward(ops, &readonly);
        }
        while self.at > to {
            for n in self.opened(self.at) {
                self.take(self.calls[n]);
            }
            self.at -= 1;
            let back = self.returns[self.at];
            self.put(ops, back, readonly(back));
        }
    }

    /// Retire the operation whose return this is, and open the calls before the next return.
    pub fn forward(&mut self, ops: &[Op], readonly: impl Fn(u32) -> bool) {
        self.take(self.returns[self.at]);
        self.at += 1;
        for n in self.opened(self.at) {
            let op = self.calls[n];
            self.put(ops, op, readonly(op));
        }
    }

    fn put(&mut self, ops: &[Op], op: u32, readonly: bool) {
        let slot = self.slot[op as usize];
        self.slot_op[slot as usize] = op;
        self.open.set(slot);
        if readonly {
            self.readonly.set(slot);
        }
        if !ops[op as usize].must {
            self.info.set(slot);
        }
    }

    fn take(&mut self, op: u32) {
        let slot = self.slot[op as usize];
        self.slot_op[slot as usize] = NONE;
        self.open.clear(slot);
        self.readonly.clear(slot);
        self.info.clear(slot);
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        4 * (2 * self.returns.len() + 3 * self.calls.len() + self.slots)
    }
}
