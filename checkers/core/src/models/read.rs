//! From recorded calls to what they do, by the model's own functions.
//!
//! ```text
//!   register        read, write v                     set             add v, remove v, contains v -> [v, there], read -> [v, ...]
//!   cas-register    and cas [old, new]                queue           enqueue v, dequeue -> v or null
//!   multi-register  txn [[f, key, value], ...]        stack           push v, pop -> v or null
//!   mutex           acquire, release                  priority-queue  insert n, poll -> the greatest n or null
//!   counter         add n, read -> n                  append-list     append v, read -> [v, ...]
//!   grow-set        add v, read -> [v, ...]           kv              get -> text, put text, append text
//! ```
use super::{row, Act, Kind, Native, UNNAMED};
use crate::columns::{Columns, FAIL, OK};
use crate::intern::{Interner, NONE};
use crate::jsonl::{elements, pair};
use crate::search::problem::Class;
use std::collections::HashMap;

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Native {
    /// The object with this first value, which is canonical text; None if there is no such model.
    pub fn new(name: &str, initial: Option<&[u8]>, columns: &Columns) -> Option<Result<Native, String>> {
        let kind = match name {
            "register" => Kind::Register,
            "cas-register" => Kind::CasRegister,
            "multi-register" => Kind::MultiRegister,
            "mutex" => Kind::Mutex,
            "counter" => Kind::Counter,
            "grow-set" | "set" => Kind::Set,
            "queue" => Kind::Queue,
            "stack" => Kind::Stack,
            "priority-queue" => Kind::PriorityQueue,
            "append-list" => Kind::List,
            "kv" => Kind::Kv,
            _ => return None,
        };
        let mut native = Native {
            kind,
            classes: Vec::new(),
            acts: Vec::new(),
            known: HashMap::new(),
            states: Interner::default(),
            rows: Interner::default(),
            names: Interner::default(),
            numbers: HashMap::new(),
            initial: 0,
            bytes: 0,
        };
        Some(native.begin(initial, columns).map(|()| native))
    }

    fn begin(&mut self, initial: Option<&[u8]>, columns: &Columns) -> Result<(), String> {
        let find = |text: &[u8]| columns.values.find(text).unwrap_or(UNNAMED);
        self.initial = match (self.kind, initial) {
            (Kind::Register | Kind::CasRegister, value) => find(value.unwrap_or(b"null")),
            (Kind::Mutex, None) => 0,
            (Kind::Counter, value) => match integer(value.unwrap_or(b"0")) {
                Some(value) => self.enter(&value.to_ne_bytes()),
                None => return Err("a counter begins with an integer".into()),
            },
            (Kind::Kv, value) => {
                let text = value.unwrap_or(b"\"\"");
                if text.first() != Some(&b'"') {
                    return Err("a kv begins with text".into());
                }
                self.enter(text)
            }
            (Kind::MultiRegister, Some(text)) => {
                let wrong = "a multi-register begins with a dict of values by key";
                let mut pairs = Vec::new();
                for part in elements(text).ok_or(wrong)? {
                    let (key, value) = pair(part).ok_or(wrong)?;
                    pairs.push([self.name(key), self.name(value)]);
                }
                pairs.sort_unstable();
                self.put(&pairs.concat())
            }
            (_, None) => self.put(&[]),
            (_, Some(_)) => return Err("this model has no first value to choose".into()),
        };
        Ok(())
    }

    /// The class of a call; None if it cannot matter.
    pub fn read(&mut self, columns: &Columns, call: usize, failed_cas: bool) -> Result<Option<u32>, String> {
        let (name, outcome) = (columns.fs.text(columns.f[call]), columns.outcome(call));
        let arg = columns.value[call];
        if outcome == FAIL && !(failed_cas && self.kind == Kind::CasRegister && name == b"\"cas\"") {
            return Ok(None);
        }
        let result = match columns.pair[call] {
            end if end != NONE && outcome == OK => columns.value[end as usize],
            _ => NONE,
        };
        let told = || format!("{} #{call}", String::from_utf8_lossy(name).trim_matches('"'));
        let need = |value: u32| (value != NONE).then_some(value);
        let argument = || need(arg).ok_or_else(|| format!("{} has no value; record it", told()));
        let seen = || {
            need(result).ok_or_else(|| format!("{} is ok but its result was not recorded; record it", told()))
        };
        let known = outcome == OK;
        let act = match (self.kind, name) {
            (Kind::Register | Kind::CasRegister, b"\"read\"") if known => Act::Read(seen()?),
            (Kind::Register | Kind::CasRegister, b"\"write\"") => Act::Write(argument()?),
            (Kind::CasRegister, b"\"cas\"") => match columns.cas.get(&arg) {
                None => return Err(format!("{} has no [old, new]; record both", told())),
                Some(&(old, _)) if outcome == FAIL => Act::Not(old),
                Some(&(old, new)) => Act::Cas(old, new),
            },
            (Kind::Mutex, b"\"acquire\"") => Act::Acquire,
            (Kind::Mutex, b"\"release\"") => Act::Release,
            (Kind::Counter, b"\"add\"") => Act::Add(self.number(columns, argument()?, &told())?),
            (Kind::Counter, b"\"read\"") if known => {
                let value = self.number(columns, seen()?, &told())?;
                Act::ReadRow(self.rows.intern(&value.to_ne_bytes()))
            }
            (Kind::Set | Kind::List, b"\"read\"") if known => self.list(columns, seen()?, &told())?,
            (Kind::Set, b"\"add\"") => Act::Insert(argument()?),
            (Kind::Set, b"\"remove\"") => Act::Remove(argument()?),
            (Kind::Set, b"\"contains\"") if known => {
                let parts = elements(columns.values.text(seen()?)).unwrap_or_default();
                match parts[..] {
                    [_, b"true"] => Act::Contains(argument()?, true),
                    [_, b"false"] => Act::Contains(argument()?, false),
                    _ => return Err(format!("{} must return [value, true or false]", told())),
                }
            }
            (Kind::List, b"\"append\"") | (Kind::Queue, b"\"enqueue\"") | (Kind::Stack, b"\"push\"") => {
                Act::Insert(argument()?)
            }
            (Kind::PriorityQueue, b"\"insert\"") => {
                self.number(columns, argument()?, &told())?;
                Act::Insert(arg)
            }
            (Kind::Queue, b"\"dequeue\"")
            | (Kind::Stack, b"\"pop\"")
            | (Kind::PriorityQueue, b"\"poll\"") => {
                if !known {
                    Act::TakeAny
                } else if columns.values.text(seen()?) == b"null" {
                    Act::Take(NONE)
                } else {
                    Act::Take(result)
                }
            }
            (Kind::Kv, b"\"get\"") if known => Act::ReadRow(self.text(columns, seen()?, &told())?),
            (Kind::Kv, b"\"put\"") => Act::Put(self.text(columns, argument()?, &told())?),
            (Kind::Kv, b"\"append\"") => Act::Append(self.text(columns, argument()?, &told())?),
            (Kind::MultiRegister, b"\"txn\"") => {
                self.txn(columns, if known { seen()? } else { argument()? }, known, &told())?
            }
            (Kind::Register | Kind::CasRegister | Kind::Counter | Kind::Set | Kind::List, b"\"read\"")
            | (Kind::Set, b"\"contains\"")
            | (Kind::Kv, b"\"get\"") => return Ok(None),
            _ => {
                return Err(format!(
                    "operation #{call} is {}, which this model does not have",
                    told()
                ))
            }
        };
        Ok(Some(self.class(act)))
    }

    fn number(&mut self, columns: &Columns, value: u32, told: &str) -> Result<i64, String> {
        let text = columns.values.text(value);
        let Some(number) = integer(text) else {
            let shown = String::from_utf8_lossy(text);
            return Err(format!(
                "{told} has {shown}, which is no integer of 64 bits; record one"
            ));
        };
        self.numbers.insert(value, number);
        Ok(number)
    }

    fn text(&mut self, columns: &Columns, value: u32, told: &str) -> Result<u32, String> {
        match columns.values.text(value) {
            text if text.first() == Some(&b'"') => Ok(self.rows.intern(text)),
            other => {
                let shown = String::from_utf8_lossy(other);
                Err(format!("{told} has {shown}, which is no text; record text"))
            }
        }
    }

    /// A whole read. One that shows what nobody added, or a thing twice in a set, fits no state.
    fn list(&mut self, columns: &Columns, value: u32, told: &str) -> Result<Act, String> {
        let Some(parts) = elements(columns.values.text(value)) else {
            return Err(format!("{told} returned no list; record all elements"));
        };
        let mut found = Vec::with_capacity(parts.len());
        for part in &parts {
            match columns.values.find(part) {
                Some(id) => found.push(id),
                None => return Ok(Act::ReadRow(NONE)),
            }
        }
        if self.kind == Kind::Set {
            found.sort_unstable();
        }
        Ok(Act::ReadRow(self.rows.intern(&row(&found))))
    }

    fn name(&mut self, text: &[u8]) -> u32 {
        if text == b"null" {
            UNNAMED
        } else {
            self.names.intern(text)
        }
    }

    /// A transaction; of one with unknown results only the writes.
    fn txn(&mut self, columns: &Columns, value: u32, known: bool, told: &str) -> Result<Act, String> {
        let wrong = || format!("{told} is no list of [read or write, key, value]; record it so");
        let mut triples = Vec::new();
        for part in elements(columns.values.text(value)).ok_or_else(wrong)? {
            let [f, key, value] = elements(part).ok_or_else(wrong)?[..] else {
                return Err(wrong());
            };
            let writes = match f {
                b"\"read\"" | b"\"r\"" => false,
                b"\"write\"" | b"\"w\"" => true,
                _ => return Err(wrong()),
            };
            if writes || known {
                triples.extend([u32::from(writes), self.name(key), self.name(value)]);
            }
        }
        Ok(Act::Txn(self.rows.intern(&row(&triples))))
    }

    fn class(&mut self, act: Act) -> u32 {
        if let Some(&id) = self.known.get(&act) {
            return id;
        }
        let register = matches!(self.kind, Kind::Register | Kind::CasRegister);
        let (readonly, observes) = match act {
            Act::Read(_) | Act::Not(_) | Act::ReadRow(_) | Act::Contains(..) | Act::Take(NONE) => {
                (true, true)
            }
            Act::Cas(old, new) => (old == new, true),
            Act::Txn(row) => {
                let parts = super::numbers(self.rows.text(row));
                let reads = parts.chunks_exact(3).filter(|part| part[0] == 0).count();
                (reads * 3 == parts.len(), reads > 0)
            }
            Act::Take(_) | Act::Acquire | Act::Release => (false, true),
            _ => (false, false),
        };
        let (wants, makes) = match act {
            Act::Read(value) => (value, NONE),
            Act::Write(value) if register => (NONE, value),
            Act::Cas(old, new) => (old, if old == new { NONE } else { new }),
            Act::Take(value) => (value, NONE),
            Act::Insert(value) => (NONE, value),
            _ => (NONE, NONE),
        };
        let id = self.acts.len() as u32;
        self.acts.push(act);
        self.classes.push(Class {
            readonly,
            observes,
            wants,
            makes,
        });
        self.known.insert(act, id);
        id
    }
}

impl Native {
    /// A state for a person.
    pub fn show(&self, state: u32, columns: &Columns) -> String {
        let value = |id: u32| match id {
            UNNAMED => "null".into(),
            id => String::from_utf8_lossy(columns.values.text(id)).into_owned(),
        };
        let name = |id: u32| match id {
            UNNAMED => "null".into(),
            id => String::from_utf8_lossy(self.names.text(id)).into_owned(),
        };
        match self.kind {
            Kind::Register | Kind::CasRegister => value(state),
            Kind::Mutex => if state == 1 { "held" } else { "free" }.into(),
            Kind::Counter => super::total(self.states.text(state)).to_string(),
            Kind::Kv => String::from_utf8_lossy(self.states.text(state)).into_owned(),
            Kind::MultiRegister => {
                let content = self.content(state);
                let pairs = content.chunks_exact(2);
                let shown: Vec<String> = pairs.map(|p| format!("{}: {}", name(p[0]), name(p[1]))).collect();
                format!("{{{}}}", shown.join(", "))
            }
            _ => {
                let shown: Vec<String> = self.content(state).into_iter().map(value).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }
}
