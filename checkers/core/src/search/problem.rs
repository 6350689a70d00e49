//! What the search is given: operations with intervals, each of a class; and the two pre-passes that need no search.
//!
//! R5, for registers: (a) an info write of a value that nobody observes is dropped; (b) one whose value is unique and was observed did
//! happen, before its first observer returned. (a) is unsound beside a failed compare-and-set: the dropped write may be why it failed.

use crate::intern::NONE;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Number of the class in the model.
    pub class: u32,
    pub call: i64,
    pub ret: i64,
    /// Has to be in the order (ok), or may be (info).
    pub must: bool,
}

/// What the search may know of a class of operations without asking the model.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// In every state it is refused or changes nothing.
    pub readonly: bool,
    /// It returned something, so it can convict.
    pub observes: bool,
    /// The value that it needs to find, and the one it leaves; NONE if it has none. For a register these are states.
    pub wants: u32,
    pub makes: u32,
}

impl Class {
    pub const PLAIN: Class = Class {
        readonly: false,
        observes: false,
        wants: NONE,
        makes: NONE,
    };
}

/// One history of one object.
#[derive(Default)]
pub struct Problem {
    pub ops: Vec<Op>,
    pub classes: Vec<Class>,
    /// `wants` and `makes` are the states of a register that starts with this one: R5 and R6 apply.
    pub register: Option<u32>,
    /// There is an observation that is neither `wants` nor `makes`: a failed compare-and-set.
    pub negative: bool,
}

/// Per value of a register, what R6 asks.
pub struct Facts {
    /// Written once in the whole history, so it never comes back: the places in the order of returns of its reads.
    once: HashMap<u32, Vec<u32>>,
}

impl Problem {
    pub fn class(&self, op: u32) -> &Class {
        &self.classes[self.ops[op as usize].class as usize]
    }

    /// R5: the numbers of the operations that are left. `bind` is (b), which knows the future.
    pub fn settle(&mut self, bind: bool) -> Vec<u32> {
        let Some(initial) = self.register else {
            return (0..self.ops.len() as u32).collect();
        };
        let mut seen: HashMap<u32, i64> = HashMap::new();
        let mut wanted: HashMap<u32, ()> = HashMap::new();
        let mut written: HashMap<u32, u32> = HashMap::from([(initial, 1)]);
        for op in &self.ops {
            let class = self.classes[op.class as usize];
            if class.makes != NONE {
                *written.entry(class.makes).or_default() += 1;
            }
            if class.wants != NONE {
                wanted.insert(class.wants, ());
                if op.must {
                    let first = seen.entry(class.wants).or_insert(op.ret);
                    *first = op.ret.min(*first);
                }
            }
        }
        let mut kept = Vec::with_capacity(self.ops.len());
        for at in 0..self.ops.len() as u32 {
            let made = self.class(at).makes;
            let op = &mut self.ops[at as usize];
            if !op.must && made != NONE {
                if !self.negative && !wanted.contains_key(&made) {
                    continue;
                }
                if let (Some(&first), Some(1)) = (seen.get(&made), written.get(&made)) {
                    if bind && first >= op.call {
                        (op.must, op.ret) = (true, first);
                    }
                }
            }
            kept.push(at);
        }
        kept
    }

    /// What R6 needs, `returns` being the order of returns.
    pub fn facts(&self, returns: &[u32]) -> Facts {
        let mut once: HashMap<u32, Vec<u32>> = HashMap::new();
        let Some(initial) = self.register else {
            return Facts { once };
        };
        let mut written: HashMap<u32, u32> = HashMap::from([(initial, 1)]);
        for op in &self.ops {
            *written.entry(self.classes[op.class as usize].makes).or_default() += 1;
        }
        for (at, &op) in returns.iter().enumerate() {
            let class = self.class(op);
            if class.readonly && class.wants != NONE && written.get(&class.wants) == Some(&1) {
                once.entry(class.wants).or_default().push(at as u32);
            }
        }
        Facts { once }
    }
}

impl Facts {
    /// Is there a read of this value, not returned before `at`, for which `done` is false? Then the value must stay.
    pub fn owed(&self, value: u32, at: usize, mut done: impl FnMut(usize) -> bool) -> bool {
        self.once.get(&value).is_some_and(|reads| {
            let first = reads.partition_point(|&read| (read as usize) < at);
            reads[first..].iter().any(|&read| !done(read as usize))
        })
    }
}
