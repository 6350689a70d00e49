//! The built-in objects: what their operations mean, and how they step.
//!
//! A register's state is the number of its value. Every other state is a row of such numbers, interned: a queue from head to tail, a
//! stack from the bottom, a set sorted, a multi-register as pairs. A state costs its length in memory, which the budget counts.
mod read;

use crate::intern::{Interner, NONE};
use crate::search::problem::Class;
use crate::search::{Halt, Model};
use std::collections::HashMap;

/// The value before any write where the history never names it.
pub const UNNAMED: u32 = NONE - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Register,
    CasRegister,
    MultiRegister,
    Mutex,
    Counter,
    Set,
    Queue,
    Stack,
    PriorityQueue,
    List,
    Kv,
}

/// What an operation does. Numbers are of values; `rows` are numbers of rows that a read returned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    Read(u32),
    Write(u32),
    Cas(u32, u32),
    /// A compare-and-set that failed: the value was another.
    Not(u32),
    Acquire,
    Release,
    /// An amount.
    Add(i64),
    ReadRow(u32),
    Insert(u32),
    Remove(u32),
    Contains(u32, bool),
    /// Take from the queue, stack or priority queue; NONE if it was empty.
    Take(u32),
    /// The same, result unknown.
    TakeAny,
    Append(u32),
    /// The whole text of a kv.
    Put(u32),
    /// Reads and writes of one transaction, as a row of triples (1 if write, key, value).
    Txn(u32),
}

pub struct Native {
    pub kind: Kind,
    pub classes: Vec<Class>,
    acts: Vec<Act>,
    known: HashMap<Act, u32>,
    states: Interner,
    rows: Interner,
    /// Keys and values inside transactions.
    names: Interner,
    /// Values that are integers, for counters and priorities.
    numbers: HashMap<u32, i64>,
    initial: u32,
    bytes: usize,
}

fn row(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn numbers(row: &[u8]) -> Vec<u32> {
    let word = |chunk: &[u8]| u32::from_ne_bytes(chunk.try_into().expect("four bytes"));
    row.chunks_exact(4).map(word).collect()
}

fn total(row: &[u8]) -> i64 {
    i64::from_ne_bytes(row.try_into().expect("eight bytes"))
}

impl Native {
    pub fn has_failed_cas(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::Not(_)))
    }

    fn enter(&mut self, content: &[u8]) -> u32 {
        let before = self.states.len();
        let id = self.states.intern(content);
        if self.states.len() > before {
            self.bytes += content.len() + 24;
        }
        id
    }

    fn content(&self, state: u32) -> Vec<u32> {
        numbers(self.states.text(state))
    }

    fn put(&mut self, content: &[u32]) -> u32 {
        self.enter(&row(content))
    }

    /// Insert in order: by number in a priority queue, greatest last; by identity in a set.
    fn place(&self, content: &[u32], value: u32) -> Result<usize, usize> {
        if self.kind == Kind::PriorityQueue {
            let number = |id: &u32| (self.numbers[id], *id);
            return content.binary_search_by_key(&number(&value), number);
        }
        content.binary_search(&value)
    }

    fn insert(&mut self, state: u32, value: u32) -> u32 {
        let mut content = self.content(state);
        match (self.kind, self.place(&content, value)) {
            (Kind::Queue | Kind::Stack | Kind::List, _) => content.push(value),
            (Kind::Set, Ok(_)) => return state,
            (_, Ok(at) | Err(at)) => content.insert(at, value),
        }
        self.put(&content)
    }

    fn remove(&mut self, state: u32, value: u32) -> u32 {
        let mut content = self.content(state);
        match content.binary_search(&value) {
            Err(_) => state,
            Ok(at) => {
                content.remove(at);
                self.put(&content)
            }
        }
    }

    fn take(&mut self, state: u32, wanted: Option<u32>) -> u32 {
        let mut content = self.content(state);
        let found = match self.kind {
            Kind::Queue => content.first().copied(),
            _ => content.last().copied(),
        };
        match (found, wanted) {
            (None, None | Some(NONE)) => return state,
            (Some(found), Some(wanted)) if found != wanted => return NONE,
            (None, Some(_)) => return NONE,
            _ => {}
        }
        if self.kind == Kind::Queue {
            content.remove(0);
        } else {
            content.pop();
        }
        self.put(&content)
    }

    fn append_text(&mut self, state: u32, tail: u32) -> u32 {
        let mut text = self.states.text(state).to_vec();
        text.pop();
        text.extend_from_slice(&self.rows.text(tail)[1..]);
        self.enter(&text)
    }

    fn transact(&mut self, state: u32, txn: u32) -> u32 {
        let mut content = self.content(state);
        for part in numbers(self.rows.text(txn)).chunks_exact(3) {
            let (writes, key, value) = (part[0] == 1, part[1], part[2]);
            let at = content.chunks_exact(2).position(|pair| pair[0] == key);
            match at {
                Some(at) if writes => content[at * 2 + 1] = value,
                Some(at) if content[at * 2 + 1] != value => return NONE,
                Some(_) => {}
                None if writes => {
                    let at = content.chunks_exact(2).take_while(|pair| pair[0] < key).count();
                    content.splice(at * 2..at * 2, [key, value]);
                }
                None if value != UNNAMED => return NONE,
                None => {}
            }
        }
        self.put(&content)
    }
}

impl Model for Native {
    fn initial(&self) -> u32 {
        self.initial
    }

    fn step(&mut self, state: u32, class: u32) -> Result<u32, Halt> {
        let accept = |fits: bool| if fits { state } else { NONE };
        Ok(match self.acts[class as usize] {
            Act::Read(value) => accept(state == value),
            Act::Write(value) => value,
            Act::Cas(old, new) => {
                if state == old {
                    new
                } else {
                    NONE
                }
            }
            Act::Not(value) => accept(state != value),
            Act::Acquire => {
                if state == 0 {
                    1
                } else {
                    NONE
                }
            }
            Act::Release => {
                if state == 1 {
                    0
                } else {
                    NONE
                }
            }
            Act::Add(amount) => match total(self.states.text(state)).checked_add(amount) {
                Some(sum) => self.enter(&sum.to_ne_bytes()),
                None => {
                    let reason = "the counter leaves 64 bits; count in smaller amounts".into();
                    return Err(Halt::Model { class, reason });
                }
            },
            Act::ReadRow(row) => accept(row != NONE && self.states.text(state) == self.rows.text(row)),
            Act::Insert(value) => self.insert(state, value),
            Act::Remove(value) => self.remove(state, value),
            Act::Contains(value, there) => accept(self.content(state).binary_search(&value).is_ok() == there),
            Act::Take(value) => self.take(state, Some(value)),
            Act::TakeAny => self.take(state, None),
            Act::Put(text) => {
                let text = self.rows.text(text).to_vec();
                self.enter(&text)
            }
            Act::Append(tail) => self.append_text(state, tail),
            Act::Txn(txn) => self.transact(state, txn),
        })
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
