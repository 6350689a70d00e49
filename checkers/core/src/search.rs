//! Linearizability of any object: just-in-time depth-first search over windows.
//!
//! ```text
//!   configuration = (position in the order of returns, set of open operations already linearized, state)
//!
//!   returns   b   |   a   |   c            at position 1, b is retired, {a} or {} of {a, c} may be linearized
//! ```
//!
//! Only open operations are in the set, so a configuration is a few words however long the history is. An operation is linearized
//! at the latest when it returns; `info` ones never return, so never have to be. Lowe, "Testing for linearizability" (2017), sections
//! 5 and 6; Wing & Gong (1993); Horn & Kroening (2015). Reductions, each sound alone and with any other:
//!
//! R1 what only reads and fits now is taken now. R2 the order of candidates: whoever writes what the next return read, the next return,
//! earliest return. R3 of two configurations that differ in `info` operations used, the one with fewer covers the other. R4 of equal `info`
//! operations only the first is tried. R5 `info` writes settled beforehand. R6 a unique value stays until all its reads are done.
pub mod mask;
pub mod problem;
pub mod table;
pub mod window;

use crate::intern::NONE;
use mask::{bits, Mask};
use problem::{Class, Facts, Op};
use table::{Node, Table};
use window::Window;

pub const R1: u8 = 1;
pub const R2: u8 = 2;
pub const R3: u8 = 4;
pub const R4: u8 = 8;
pub const R5: u8 = 16;
pub const R6: u8 = 32;
const PULSE: usize = 4096;
/// So many of the deepest configurations are kept for the explanation.
const STUCK: usize = 10;

/// Why a search ends without an answer.
#[derive(Debug)]
pub enum Halt {
    Deadline,
    Memory,
    States,
    /// The model could not take an operation of this class.
    Model {
        class: u32,
        reason: String,
    },
    /// The user wants it to end.
    Interrupted,
}

/// A sequential object. States are numbers that the model hands out, equal for equal states.
pub trait Model {
    fn initial(&self) -> u32;
    /// The state after an operation of the class, NONE if it could not have happened here.
    fn step(&mut self, state: u32, class: u32) -> Result<u32, Halt>;
    /// Bytes that its states take.
    fn bytes(&self) -> usize;
}

pub struct Limits<'a> {
    pub memory_bytes: usize,
    pub states_max: usize,
    /// Asked from time to time: may the search go on?
    pub pulse: &'a dyn Fn() -> Result<(), Halt>,
}

pub struct Found {
    pub end: End,
    pub states: usize,
    pub bytes: usize,
    /// The deepest position that was reached, of so many.
    pub deepest: usize,
    pub returns: Vec<u32>,
    /// State and order of the deepest configurations.
    pub stuck: Vec<(u32, Vec<u32>)>,
}

pub enum End {
    Valid(Vec<u32>),
    Invalid,
    Halted(Halt),
}

struct Frame {
    node: u32,
    begin: u32,
    next: u32,
}

pub struct Search<'a, M> {
    ops: &'a [Op],
    classes: &'a [Class],
    model: &'a mut dyn Model,
    limits: &'a Limits<'a>,
    rules: u8,
    facts: Facts,
    window: Window<M>,
    table: Table<M>,
    frames: Vec<Frame>,
    candidates: Vec<u32>,
    /// Per class, the expansion that last took an info operation of it.
    taken: Vec<u32>,
    expansion: u32,
    deepest: usize,
    stuck: Vec<u32>,
    peak: usize,
}

impl<'a, M: Mask> Search<'a, M> {
    pub fn new(
        problem: &'a problem::Problem,
        model: &'a mut dyn Model,
        rules: u8,
        limits: &'a Limits<'a>,
    ) -> Self {
        let (ops, classes) = (&problem.ops[..], &problem.classes[..]);
        let window: Window<M> = Window::new(ops, |op| classes[ops[op as usize].class as usize].readonly);
        Search {
            facts: problem.facts(&window.returns),
            table: Table::new(window.slots, rules & R3 != 0),
            taken: vec![0; classes.len()],
            frames: Vec::new(),
            candidates: Vec::new(),
            expansion: 0,
            deepest: 0,
            stuck: Vec::new(),
            peak: 0,
            ops,
            classes,
            model,
            limits,
            rules,
            window,
        }
    }

    pub fn run(mut self) -> Found {
        let end = match self.explore() {
            Ok(Some(order)) => End::Valid(order),
            Ok(None) => End::Invalid,
            Err(halt) => End::Halted(halt),
        };
        let mut stuck = Vec::new();
        for id in std::mem::take(&mut self.stuck) {
            if let Ok(order) = self.order(id, NONE) {
                stuck.push((self.table.node(id).state, order));
            }
        }
        Found {
            end,
            states: self.table.len(),
            bytes: self.peak,
            deepest: self.deepest,
            returns: self.window.returns,
            stuck,
        }
    }

    /// The witness, or None if every configuration is exhausted.
    fn explore(&mut self) -> Result<Option<Vec<u32>>, Halt> {
        (self.limits.pulse)()?;
        let mut mask = M::empty(self.window.slots);
        let state = self.model.initial();
        self.normalise(&mut mask, state, None)?;
        if self.window.at == self.window.returns.len() {
            return self.order(NONE, NONE).map(Some);
        }
        self.visit(NONE, NONE, state, mask)?;
        let mut tries = 0usize;
        while let Some(frame) = self.frames.last_mut() {
            let Some(&op) = self.candidates.get(frame.next as usize) else {
                let done = self.frames.pop().expect("there is one");
                self.candidates.truncate(done.begin as usize);
                continue;
            };
            frame.next += 1;
            tries += 1;
            if tries.is_multiple_of(PULSE) {
                (self.limits.pulse)()?;
            }
            let id = frame.node;
            let node = self.table.node(id);
            let (state, at) = (node.state, node.at as usize);
            let next = self.model.step(state, self.ops[op as usize].class)?;
            if next == NONE {
                continue;
            }
            let mut mask = node.mask.clone();
            self.seek(at);
            mask.set(self.window.slot[op as usize]);
            self.normalise(&mut mask, next, None)?;
            if self.window.at == self.window.returns.len() {
                return self.order(id, op).map(Some);
            }
            self.visit(id, op, next, mask)?;
        }
        Ok(None)
    }

    fn seek(&mut self, to: usize) {
        let (ops, classes) = (self.ops, self.classes);
        self.window
            .seek(ops, to, |op| classes[ops[op as usize].class as usize].readonly);
    }

    /// Enter a configuration if it is new, and list what may come next.
    fn visit(&mut self, parent: u32, op: u32, state: u32, mask: M) -> Result<(), Halt> {
        let lists = self.frames.capacity() * size_of::<Frame>() + self.candidates.capacity() * 4;
        let bytes = self.table.bytes_after_push() + lists + self.window.bytes() + self.model.bytes();
        if bytes > self.limits.memory_bytes {
            return Err(Halt::Memory);
        }
        if self.table.len() >= self.limits.states_max {
            return Err(Halt::States);
        }
        self.peak = self.peak.max(bytes);
        let at = self.window.at;
        let node = Node {
            parent,
            op,
            at: at as u32,
            state,
            hash: 0,
            mask,
        };
        let Some(id) = self.table.insert(node, &self.window.info) else {
            return Ok(());
        };
        if at > self.deepest {
            self.deepest = at;
            self.stuck.clear();
        }
        if at == self.deepest && self.stuck.len() < STUCK {
            self.stuck.push(id);
        }
        let begin = self.candidates.len() as u32;
        self.expand(id)?;
        self.frames.push(Frame {
            node: id,
            begin,
            next: begin,
        });
        Ok(())
    }

    /// R1, and retire what has returned, until the next return is of an operation that is still to be linearized.
    fn normalise(&mut self, mask: &mut M, state: u32, mut log: Option<&mut Vec<u32>>) -> Result<(), Halt> {
        let (ops, classes) = (self.ops, self.classes);
        let eager = self.rules & R1 != 0;
        if eager {
            for word in 0..mask.words().len() {
                let ready = self.window.readonly.words()[word] & !mask.words()[word];
                for bit in bits(ready) {
                    let slot = word as u32 * 64 + bit;
                    let op = self.window.slot_op[slot as usize];
                    if self.model.step(state, ops[op as usize].class)? != NONE {
                        mask.set(slot);
                        log.iter_mut().for_each(|log| log.push(op));
                    }
                }
            }
        }
        while self.window.at < self.window.returns.len() {
            let slot = self.window.slot[self.window.returns[self.window.at] as usize];
            if !mask.has(slot) {
                break;
            }
            mask.clear(slot);
            self.window
                .forward(ops, |op| classes[ops[op as usize].class as usize].readonly);
            for n in self.window.opened(self.window.at) {
                let op = self.window.calls[n];
                let class = ops[op as usize].class;
                if eager && classes[class as usize].readonly && self.model.step(state, class)? != NONE {
                    mask.set(self.window.slot[op as usize]);
                    log.iter_mut().for_each(|log| log.push(op));
                }
            }
        }
        Ok(())
    }

    /// Push what may be linearized next, in the order of R2 and without what R4 and R6 spare.
    fn expand(&mut self, id: u32) -> Result<(), Halt> {
        let (ops, classes) = (self.ops, self.classes);
        let class = |op: u32| ops[op as usize].class as usize;
        let (begin, node) = (self.candidates.len(), self.table.node(id));
        let window = &self.window;
        let owed = self.rules & R6 != 0
            && self.facts.owed(node.state, window.at, |place| {
                let op = window.returns[place];
                window.called(op, window.at) && node.mask.has(window.slot[op as usize])
            });
        for (word, (open, done)) in window.open.words().iter().zip(node.mask.words()).enumerate() {
            for bit in bits(open & !done) {
                let op = window.slot_op[word * 64 + bit as usize];
                if !owed || classes[class(op)].readonly {
                    self.candidates.push(op);
                }
            }
        }
        let found = &mut self.candidates[begin..];
        if self.rules & R2 != 0 {
            let next = window.returns[window.at];
            let fits = self.model.step(node.state, class(next) as u32)? != NONE;
            let wanted = classes[class(next)].wants;
            found.sort_unstable_by_key(|&op| {
                let ready = if op == next {
                    if fits {
                        0
                    } else {
                        2
                    }
                } else if wanted != NONE && classes[class(op)].makes == wanted {
                    1
                } else {
                    3
                };
                (ready, ops[op as usize].ret, ops[op as usize].call, op)
            });
        } else {
            found.sort_unstable_by_key(|&op| (ops[op as usize].call, op));
        }
        if self.rules & R4 != 0 {
            self.expansion += 1;
            let (stamp, taken) = (self.expansion, &mut self.taken);
            let mut kept = begin;
            for n in begin..self.candidates.len() {
                let op = self.candidates[n];
                let first = ops[op as usize].must || taken[class(op)] != stamp;
                if !ops[op as usize].must {
                    taken[class(op)] = stamp;
                }
                if first {
                    self.candidates[kept] = op;
                    kept += 1;
                }
            }
            self.candidates.truncate(kept);
        }
        Ok(())
    }

    /// The order that leads to a configuration and then on by one operation, R1's included: the way is gone again.
    fn order(&mut self, id: u32, last: u32) -> Result<Vec<u32>, Halt> {
        let (mut way, mut at) = (Vec::new(), id);
        if last != NONE {
            way.push(last);
        }
        while at != NONE {
            let node = self.table.node(at);
            if node.op != NONE {
                way.push(node.op);
            }
            at = node.parent;
        }
        let mut order = Vec::with_capacity(self.ops.len());
        let (mut mask, mut state) = (M::empty(self.window.slots), self.model.initial());
        self.seek(0);
        self.normalise(&mut mask, state, Some(&mut order))?;
        for &op in way.iter().rev() {
            order.push(op);
            state = self.model.step(state, self.ops[op as usize].class)?;
            mask.set(self.window.slot[op as usize]);
            self.normalise(&mut mask, state, Some(&mut order))?;
        }
        Ok(order)
    }
}

/// Search with the smallest sets that hold what is open.
pub fn search(problem: &problem::Problem, model: &mut dyn Model, rules: u8, limits: &Limits) -> Found {
    match window::width(&problem.ops) {
        0..=64 => Search::<mask::Bits<1>>::new(problem, model, rules, limits).run(),
        65..=128 => Search::<mask::Bits<2>>::new(problem, model, rules, limits).run(),
        _ => Search::<mask::Wide>::new(problem, model, rules, limits).run(),
    }
}
