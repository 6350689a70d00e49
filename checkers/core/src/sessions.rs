//! A run seen by session: what each client did, in its order, over all keys. For models that may not be cut by key.
//!
//! ```text
//!   session 0:  w x 1 ── w y 2                  ──  session order
//!                          ╲                     ╲  reads-from, known because written values are unique
//!   session 1:              r y 2 ── r x nil
//! ```
//! Steps are numbered session after session, so the step after n in its session is n + 1. A compare-and-set is one step that reads and writes.
//! Left out: what failed, reads without a result, info writes that nobody saw (a session ends with its info, so they constrain nothing).

use crate::columns::Columns;
use crate::intern::NONE;
use crate::register::{each_key, Act, Key, Status, NIL};

/// `from` of a step that read the value before any write.
pub const INITIAL: u32 = NONE - 1;

/// One operation. `from` is the write it read, INITIAL, or NONE if it reads nothing.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub call: u32,
    pub key: u32,
    pub session: u32,
    pub from: u32,
    pub writes: bool,
}

impl Step {
    pub fn reads(&self) -> bool {
        self.from != NONE
    }
}

pub struct Sessions {
    pub steps: Vec<Step>,
    /// Where each session begins; one more entry for the end.
    pub starts: Vec<u32>,
    pub keys: usize,
    /// Why a run without violation is not proven good, if so.
    pub doubt: Option<String>,
    /// A read of a value that no write can have written: anomaly and calls.
    pub unwritten: Option<(&'static str, Vec<u32>)>,
}

/// A step before its number is known: `from` is a call.
struct Row {
    call: u32,
    key: u32,
    from: u32,
    writes: bool,
}

impl Sessions {
    pub fn of(columns: &Columns) -> Sessions {
        let mut run = Sessions {
            steps: Vec::new(),
            starts: Vec::new(),
            keys: columns.keys.len(),
            doubt: None,
            unwritten: None,
        };
        let mut rows = Vec::new();
        each_key(columns, |key| run.collect(key, &mut rows));
        run.number(columns, &rows);
        run
    }

    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn steps_of(&self, session: usize) -> std::ops::Range<u32> {
        self.starts[session]..self.starts[session + 1]
    }

    pub fn step(&self, at: u32) -> &Step {
        &self.steps[at as usize]
    }

    /// The rows of one key. A key whose values are not unique gives none, only a doubt.
    fn collect(&mut self, key: &Key, rows: &mut Vec<Row>) {
        let (mut writer, mut failed) = (vec![NONE; key.values], vec![NONE; key.values]);
        let mut doubt = key.strange.clone();
        for (at, op) in key.ops.iter().enumerate().filter(|(_, op)| op.writes()) {
            let (slot, number) = (&mut writer[op.new as usize], key.index[at]);
            if op.status == Status::Fail {
                failed[op.new as usize] = at as u32;
                if op.act == Act::Cas {
                    let reason = format!("cas #{number} failed, which says what the value was not; this check does not use that");
                    self.doubt.get_or_insert(reason);
                }
            } else if op.new == NIL || *slot != NONE || (op.act == Act::Cas && op.old == op.new) {
                doubt.get_or_insert(format!(
                    "#{number} writes a value that was there before; write unique values"
                ));
            } else {
                *slot = at as u32;
            }
        }
        if let Some(reason) = doubt {
            self.doubt.get_or_insert(reason);
            return;
        }
        let happened = happened(key, &writer);
        for (at, op) in key.ops.iter().enumerate().filter(|(at, _)| happened[*at]) {
            let mut from = NONE;
            if op.act != Act::Write {
                from = match (op.seen(), writer[op.seen() as usize]) {
                    (NIL, _) => INITIAL,
                    (value, NONE) => {
                        let found = unwritten(key, at, failed[value as usize]);
                        self.unwritten.get_or_insert(found);
                        NONE
                    }
                    (_, at) => key.index[at as usize],
                };
            }
            let row = Row {
                call: key.index[at],
                key: key.id,
                from,
                writes: op.writes(),
            };
            if row.writes || from != NONE {
                rows.push(row);
            }
        }
    }

    /// Put the rows in order, session after session, and turn calls into steps.
    fn number(&mut self, columns: &Columns, rows: &[Row]) {
        let mut row_at = vec![NONE; columns.len()];
        let mut sizes = vec![0u32; columns.processes.len()];
        for (n, row) in rows.iter().enumerate() {
            row_at[row.call as usize] = n as u32;
            sizes[columns.process[row.call as usize] as usize] += 1;
        }
        let mut next = vec![NONE; sizes.len()];
        let (mut session, mut total) = (vec![NONE; sizes.len()], 0);
        for process in (0..sizes.len()).filter(|&process| sizes[process] > 0) {
            session[process] = self.starts.len() as u32;
            next[process] = total;
            self.starts.push(total);
            total += sizes[process];
        }
        self.starts.push(total);
        let mut number = vec![NONE; columns.len()];
        for call in (0..columns.len()).filter(|&call| row_at[call] != NONE) {
            let slot = &mut next[columns.process[call] as usize];
            number[call] = *slot;
            *slot += 1;
        }
        let blank = Step {
            call: 0,
            key: 0,
            session: 0,
            from: NONE,
            writes: false,
        };
        self.steps = vec![blank; rows.len()];
        for row in rows {
            self.steps[number[row.call as usize] as usize] = Step {
                call: row.call,
                key: row.key,
                session: session[columns.process[row.call as usize] as usize],
                from: if row.from >= INITIAL {
                    row.from
                } else {
                    number[row.from as usize]
                },
                writes: row.writes,
            };
        }
    }
}

/// Which operations surely happened: the ok ones, and info writes whose value such an operation saw.
fn happened(key: &Key, writer: &[u32]) -> Vec<bool> {
    let mut happened: Vec<bool> = key.ops.iter().map(|op| op.status == Status::Ok).collect();
    let mut work: Vec<usize> = (0..key.ops.len()).filter(|&at| happened[at]).collect();
    while let Some(at) = work.pop() {
        let from = writer[key.ops[at].seen() as usize]; // NIL has no writer
        if from != NONE && !happened[from as usize] {
            happened[from as usize] = true;
            work.push(from as usize);
        }
    }
    happened
}

fn unwritten(key: &Key, at: usize, failed: u32) -> (&'static str, Vec<u32>) {
    let call = key.index[at];
    match failed {
        NONE => ("thin-air", vec![call]),
        failed => {
            let other = key.index[failed as usize];
            ("aborted-read", vec![call.min(other), call.max(other)])
        }
    }
}

/// Steps of one kind by key, then by session: the last one that a session had done before some step is a binary search away.
pub struct ByKey {
    starts: Vec<u32>,
    segments: Vec<(u32, u32, u32)>,
    steps: Vec<u32>,
}

impl ByKey {
    /// `steps` must ascend.
    pub fn of(run: &Sessions, steps: &[u32]) -> ByKey {
        let mut starts = vec![0u32; run.keys + 1];
        steps
            .iter()
            .for_each(|&at| starts[run.step(at).key as usize + 1] += 1);
        (0..run.keys).for_each(|key| starts[key + 1] += starts[key]);
        let mut next = starts.clone();
        let mut sorted = vec![0; steps.len()];
        for &at in steps {
            let slot = &mut next[run.step(at).key as usize];
            sorted[*slot as usize] = at;
            *slot += 1;
        }
        let (mut segments, mut firsts) = (Vec::new(), vec![0; run.keys + 1]);
        for key in 0..run.keys {
            let (mut begin, end) = (starts[key], starts[key + 1]);
            while begin < end {
                let session = run.step(sorted[begin as usize]).session;
                let part = &sorted[begin as usize..end as usize];
                let size = part.partition_point(|&at| run.step(at).session == session) as u32;
                segments.push((session, begin, begin + size));
                begin += size;
            }
            firsts[key + 1] = segments.len() as u32;
        }
        ByKey {
            starts: firsts,
            segments,
            steps: sorted,
        }
    }

    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// For each session that has steps on the key: the segment's number, and the last step below `limit(session)`, if any.
    #[inline]
    pub fn last(&self, key: u32, limit: impl Fn(u32) -> u32, mut visit: impl FnMut(usize, u32)) {
        for n in self.starts[key as usize]..self.starts[key as usize + 1] {
            let (session, begin, end) = self.segments[n as usize];
            let (limit, part) = (limit(session), &self.steps[begin as usize..end as usize]);
            if part[0] < limit {
                let count = part.partition_point(|&at| at < limit);
                visit(n as usize, part[count - 1]);
            }
        }
    }
}
