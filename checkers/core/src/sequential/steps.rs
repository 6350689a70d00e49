//! What the search is given: each session's operations on registers in its order. A failed operation is none; one of unknown outcome may be left out.

use crate::columns::Columns;
use crate::intern::NONE;
use crate::register::{each_key, Act, Key, Status, NIL};

/// One operation: the value it has to find and the one it leaves, NONE if it has none. Values are numbered over all keys.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub call: u32,
    pub key: u32,
    pub wants: u32,
    pub makes: u32,
    pub must: bool,
    /// Its return, for the order of tries.
    pub ret: i64,
}

#[derive(Clone)]
pub struct Steps {
    pub sessions: Vec<Vec<Op>>,
    /// Per key the value before any write.
    pub initial: Vec<u32>,
    pub values: usize,
    /// Why a run with an order is not proven good, if so.
    pub doubt: Option<String>,
    pub ops: usize,
    pub reads: usize,
}

impl Steps {
    pub fn of(columns: &Columns) -> Steps {
        let mut steps = Steps {
            sessions: Vec::new(),
            initial: Vec::new(),
            values: 0,
            doubt: None,
            ops: 0,
            reads: 0,
        };
        let mut all = Vec::new();
        each_key(columns, |key| steps.collect(key, &mut all));
        all.sort_unstable_by_key(|op| op.call);
        let mut session_of = vec![NONE; columns.processes.len()];
        for op in all {
            let slot = &mut session_of[columns.process[op.call as usize] as usize];
            if *slot == NONE {
                *slot = steps.sessions.len() as u32;
                steps.sessions.push(Vec::new());
            }
            steps.sessions[*slot as usize].push(op);
        }
        steps
    }

    fn collect(&mut self, key: &Key, all: &mut Vec<Op>) {
        if let Some(reason) = &key.strange {
            self.doubt.get_or_insert(reason.clone());
            return;
        }
        let (number, first) = (self.initial.len() as u32, self.values as u32);
        self.initial.push(first + NIL);
        self.values += key.values;
        self.ops += key.ops.len();
        for (op, &call) in key.ops.iter().zip(&key.index) {
            if op.status == Status::Fail {
                if op.act == Act::Cas {
                    let reason = format!(
                        "cas #{call} failed, which says what the value was not; this check does not use that"
                    );
                    self.doubt.get_or_insert(reason);
                }
                continue;
            }
            let must = op.status == Status::Ok;
            if op.act == Act::Read && !must {
                continue;
            }
            self.reads += usize::from(must && op.act != Act::Write);
            all.push(Op {
                call,
                key: number,
                wants: if op.act == Act::Write {
                    NONE
                } else {
                    first + op.seen()
                },
                makes: if op.writes() { first + op.new } else { NONE },
                must,
                ret: op.ret,
            });
        }
    }

    /// Leave out what may not have happened and nobody saw; what was seen and written once did happen.
    pub fn settle(&mut self) {
        loop {
            let (mut seen, mut written) = (vec![false; self.values], vec![0u32; self.values]);
            let mut sure = vec![false; self.values];
            self.initial
                .iter()
                .for_each(|&value| written[value as usize] += 1);
            for op in self.sessions.iter().flatten() {
                if op.wants != NONE {
                    seen[op.wants as usize] = true;
                    sure[op.wants as usize] |= op.must;
                }
                if op.makes != NONE {
                    written[op.makes as usize] += 1;
                }
            }
            let mut changed = false;
            for ops in &mut self.sessions {
                let before = ops.len();
                ops.retain(|op| op.must || seen[op.makes as usize]);
                changed |= ops.len() < before;
                for op in ops.iter_mut().filter(|op| !op.must) {
                    op.must = sure[op.makes as usize] && written[op.makes as usize] == 1;
                    changed |= op.must;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Only the operations that are chosen.
    pub fn only(&self, keep: impl Fn(&Op) -> bool) -> Steps {
        let part = |ops: &Vec<Op>| ops.iter().filter(|op| keep(op)).copied().collect();
        Steps {
            sessions: self.sessions.iter().map(part).collect(),
            ..self.clone()
        }
    }
}
