//! Sequential consistency of registers, all keys together: is there one order of everything that keeps each session's own?
//!
//! ```text
//!   session 0:  w x 1    r y nil          configuration = how far each session is, and the value of each key
//!   session 1:  w y 1    r x nil          here: no order
//! ```
//!
//! Deciding this is NP-complete even if values are unique (Gibbons & Korach 1997), so this is a depth-first search with a budget. Real time only
//! orders the tries. A configuration with a choice is remembered. Reductions, none of which loses an order:
//!
//! - A read that fits is done now: nothing changes, so every order can be changed to that.
//! - A value that will not come back stays until all that have to see it did.
//! - If nobody has to see a key's value any more, and all who have to see the next one are about to, that write and its readers are done now: in
//!   any order they stand together, and moving them to the front harms nobody.
mod core;
pub mod said;
mod steps;

use crate::intern::{Interner, NONE};
use crate::search::Halt;
use steps::Op;
use steps::Steps;

const PULSE: usize = 1024;

pub struct Limits<'a> {
    pub memory_bytes: usize,
    pub states_max: usize,
    pub pulse: &'a dyn Fn() -> Result<(), Halt>,
}

pub struct Found {
    pub end: End,
    pub states: usize,
    /// Operations that have to happen, and how many did at the deepest.
    pub must: usize,
    pub deepest: usize,
}

pub enum End {
    /// Operations by number, in order.
    Valid(Vec<u32>),
    Invalid,
    Halted(Halt),
}

/// A choice: which sessions may go on, which was tried last, and how long the log was.
struct Frame {
    begin: usize,
    next: usize,
    log: usize,
}

struct Search<'a> {
    steps: &'a Steps,
    /// Per session: how many operations it did.
    at: Vec<u32>,
    /// Per key its value.
    now: Vec<u32>,
    /// Per value: who will write it, who has to see it, who may or has to see it.
    writes: Vec<u32>,
    owed: Vec<u32>,
    wanted: Vec<u32>,
    left: usize,
    /// What was done: session, and the value of the key before.
    log: Vec<(u32, u32)>,
    seen: Interner,
    choices: Vec<u32>,
    frames: Vec<Frame>,
    deepest: usize,
}

/// Search all orders of the operations that are kept.
pub fn search(steps: &Steps, limits: &Limits) -> Found {
    let mut search = Search::new(steps);
    let must = search.left;
    let end = match search.explore(limits) {
        Ok(true) => End::Valid(search.order()),
        Ok(false) => End::Invalid,
        Err(halt) => End::Halted(halt),
    };
    Found {
        end,
        states: search.seen.len(),
        must,
        deepest: search.deepest,
    }
}

impl<'a> Search<'a> {
    fn new(steps: &'a Steps) -> Self {
        let mut search = Search {
            at: vec![0; steps.sessions.len()],
            now: steps.initial.clone(),
            writes: vec![0; steps.values],
            owed: vec![0; steps.values],
            wanted: vec![0; steps.values],
            left: 0,
            log: Vec::new(),
            seen: Interner::default(),
            choices: Vec::new(),
            frames: Vec::new(),
            deepest: 0,
            steps,
        };
        for op in steps.sessions.iter().flatten() {
            search.left += usize::from(op.must);
            if op.makes != NONE {
                search.writes[op.makes as usize] += 1;
            }
            if op.wants != NONE {
                search.owed[op.wants as usize] += u32::from(op.must);
                search.wanted[op.wants as usize] += 1;
            }
        }
        search
    }

    fn head(&self, session: usize) -> Option<&'a Op> {
        self.steps.sessions[session].get(self.at[session] as usize)
    }

    fn fits(&self, op: &Op) -> bool {
        op.wants == NONE || self.now[op.key as usize] == op.wants
    }

    /// May a write take away the key's value? Not if it never comes back and somebody else has to see it.
    fn may(&self, op: &Op) -> bool {
        let value = self.now[op.key as usize];
        let own = u32::from(op.must && op.wants == value);
        op.makes == value || self.writes[value as usize] > 0 || self.owed[value as usize] == own
    }

    fn go(&mut self, session: usize) {
        let op = self.head(session).expect("there is one");
        let now = &mut self.now[op.key as usize];
        self.log.push((session as u32, *now));
        self.at[session] += 1;
        self.left -= usize::from(op.must);
        if op.wants != NONE {
            self.owed[op.wants as usize] -= u32::from(op.must);
            self.wanted[op.wants as usize] -= 1;
        }
        if op.makes != NONE {
            *now = op.makes;
            self.writes[op.makes as usize] -= 1;
        }
    }

    fn back_to(&mut self, length: usize) {
        while self.log.len() > length {
            let (session, before) = self.log.pop().expect("longer");
            self.at[session as usize] -= 1;
            let op = self.head(session as usize).expect("it was done");
            self.left += usize::from(op.must);
            if op.wants != NONE {
                self.owed[op.wants as usize] += u32::from(op.must);
                self.wanted[op.wants as usize] += 1;
            }
            if op.makes != NONE {
                self.now[op.key as usize] = before;
                self.writes[op.makes as usize] += 1;
            }
        }
    }

    /// Do what needs no choice, until there is no such thing.
    fn settle(&mut self) {
        let mut session = 0;
        let mut idle = 0;
        let count = self.steps.sessions.len();
        while idle < count {
            let ready = |op: &Op| match op.makes {
                NONE => self.fits(op),
                _ => self.alone(session, op),
            };
            if self.head(session).is_some_and(ready) {
                self.go(session);
                idle = 0;
                continue;
            }
            session = (session + 1) % count;
            idle += 1;
        }
    }

    /// Is it a blind write that harms nobody, and whose readers are all about to read?
    fn alone(&self, session: usize, op: &Op) -> bool {
        if op.wants != NONE || !op.must || self.wanted[self.now[op.key as usize] as usize] > 0 {
            return false;
        }
        let reads = |op: &&Op| op.makes == NONE && op.wants != NONE;
        let (mut left, value) = (self.wanted[op.makes as usize], op.makes);
        for (other, ops) in self.steps.sessions.iter().enumerate() {
            if left == 0 {
                break;
            }
            let first = self.at[other] as usize + usize::from(other == session);
            let ready = ops[first.min(ops.len())..].iter().take_while(reads);
            left -= ready.take_while(|op| op.wants == value).count() as u32;
        }
        left == 0
    }

    /// True: everything that has to happen did. False: no order is left.
    fn explore(&mut self, limits: &Limits) -> Result<bool, Halt> {
        (limits.pulse)()?;
        let unwritten = |value: &usize| self.owed[*value] > 0 && self.writes[*value] == 0;
        if (0..self.steps.values)
            .filter(unwritten)
            .any(|value| !self.now.contains(&(value as u32)))
        {
            return Ok(false);
        }
        let mut tries = 0usize;
        self.settle();
        self.choose(limits)?;
        while self.left > 0 {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(false);
            };
            let (log, next) = (frame.log, frame.next);
            frame.next += 1;
            if next >= self.choices.len() {
                let frame = self.frames.pop().expect("there is one");
                self.choices.truncate(frame.begin);
                continue;
            }
            tries += 1;
            if tries.is_multiple_of(PULSE) {
                (limits.pulse)()?;
            }
            self.back_to(log);
            self.go(self.choices[next] as usize);
            self.settle();
            self.choose(limits)?;
        }
        Ok(true)
    }

    /// List which sessions may go on, unless this configuration was seen. First what somebody waits for, then by time of return.
    fn choose(&mut self, limits: &Limits) -> Result<(), Halt> {
        self.deepest = self.deepest.max(self.log.len());
        let begin = self.choices.len();
        let mut found: Vec<(bool, i64, u32)> = Vec::new();
        for session in 0..self.steps.sessions.len() {
            if let Some(op) = self.head(session).filter(|op| self.fits(op) && self.may(op)) {
                let awaited = |other: usize| self.head(other).is_some_and(|read| read.wants == op.makes);
                let awaited = (0..self.steps.sessions.len()).any(awaited);
                found.push((!awaited, op.ret, session as u32));
            }
        }
        if found.len() > 1 && !self.remember(limits)? {
            return Ok(());
        }
        found.sort_unstable();
        self.choices.extend(found.iter().map(|&(.., session)| session));
        self.frames.push(Frame {
            begin,
            next: begin,
            log: self.log.len(),
        });
        Ok(())
    }

    /// False if the configuration was there before.
    fn remember(&mut self, limits: &Limits) -> Result<bool, Halt> {
        let row: Vec<u8> = self
            .at
            .iter()
            .chain(&self.now)
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        let before = self.seen.len();
        let lists = self.frames.capacity() * size_of::<Frame>() + self.choices.capacity() * 4;
        if self.seen.bytes_after(row.len()) + lists > limits.memory_bytes {
            return Err(Halt::Memory);
        }
        if before >= limits.states_max {
            return Err(Halt::States);
        }
        self.seen.intern(&row);
        Ok(self.seen.len() > before)
    }

    fn order(&self) -> Vec<u32> {
        let mut at = vec![0usize; self.steps.sessions.len()];
        let mut order = Vec::with_capacity(self.log.len());
        for &(session, _) in &self.log {
            let session = session as usize;
            order.push(self.steps.sessions[session][at[session]].call);
            at[session] += 1;
        }
        order
    }
}
