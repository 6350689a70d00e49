//! A small history as the oracles see it, and its JSON lines as the checkers do.
//!
//! Values are small integers, 0 is null. A whole read, a text and a transaction are rows of them. Nothing here knows a checker.
use std::fmt::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Model {
    Register,
    CasRegister,
    MultiRegister,
    Mutex,
    Counter,
    GrowSet,
    Set,
    Queue,
    Stack,
    PriorityQueue,
    List,
    Kv,
}

pub const MODELS: [Model; 12] = [
    Model::Register,
    Model::CasRegister,
    Model::MultiRegister,
    Model::Mutex,
    Model::Counter,
    Model::GrowSet,
    Model::Set,
    Model::Queue,
    Model::Stack,
    Model::PriorityQueue,
    Model::List,
    Model::Kv,
];

impl Model {
    pub fn name(self) -> &'static str {
        match self {
            Model::Register => "register",
            Model::CasRegister => "cas-register",
            Model::MultiRegister => "multi-register",
            Model::Mutex => "mutex",
            Model::Counter => "counter",
            Model::GrowSet => "grow-set",
            Model::Set => "set",
            Model::Queue => "queue",
            Model::Stack => "stack",
            Model::PriorityQueue => "priority-queue",
            Model::List => "append-list",
            Model::Kv => "kv",
        }
    }

    pub fn register(self) -> bool {
        matches!(self, Model::Register | Model::CasRegister)
    }

    pub fn container(self) -> bool {
        matches!(self, Model::Queue | Model::Stack | Model::PriorityQueue)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum F {
    /// One value: of a register or a counter.
    Read,
    Write,
    Cas,
    Acquire,
    Release,
    /// By an amount.
    Increment,
    /// All of a set or a list.
    ReadAll,
    /// To a set, a list or a container.
    Add,
    Remove,
    Contains,
    Take,
    Get,
    Put,
    Append,
    Txn,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok,
    Fail,
    Info,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    pub f: F,
    /// What it is called with: a value, an amount, what a compare-and-set expects.
    pub arg: i32,
    /// What a compare-and-set writes.
    pub new: i32,
    /// What it returned: a value, 0 for nothing, 1 for true.
    pub out: i32,
    /// A whole read, a text, or a transaction as triples (1 if write, key, value).
    pub row: Vec<i32>,
    pub status: Status,
    pub call: i32,
    pub ret: i32,
}

impl Op {
    pub fn new(f: F, arg: i32) -> Op {
        let (status, row) = (Status::Ok, Vec::new());
        Op {
            f,
            arg,
            new: 0,
            out: 0,
            row,
            status,
            call: 0,
            ret: 0,
        }
    }

    /// The value that it writes to a register, or adds.
    pub fn written(&self) -> Option<i32> {
        match self.f {
            F::Write | F::Add => Some(self.arg),
            F::Cas => Some(self.new),
            _ => None,
        }
    }

    fn name(&self, model: Model) -> &'static str {
        match (self.f, model) {
            (F::Read | F::ReadAll, _) => "read",
            (F::Write, _) => "write",
            (F::Cas, _) => "cas",
            (F::Acquire, _) => "acquire",
            (F::Release, _) => "release",
            (F::Increment, _) => "add",
            (F::Add, Model::Queue) => "enqueue",
            (F::Add, Model::Stack) => "push",
            (F::Add, Model::PriorityQueue) => "insert",
            (F::Add, Model::List) | (F::Append, _) => "append",
            (F::Add, _) => "add",
            (F::Remove, _) => "remove",
            (F::Contains, _) => "contains",
            (F::Take, Model::Queue) => "dequeue",
            (F::Take, Model::Stack) => "pop",
            (F::Take, _) => "poll",
            (F::Get, _) => "get",
            (F::Put, _) => "put",
            (F::Txn, _) => "txn",
        }
    }

    /// The value field of its call, or of its ok completion.
    fn value(&self, model: Model, out: &mut String, done: bool) {
        match self.f {
            F::Read | F::Take if done => plain(out, self.out),
            F::Contains if done => {
                let _ = write!(out, "[{},{}]", self.arg, self.out == 1);
            }
            F::ReadAll if done && model == Model::List => list(out, self.row.iter()),
            F::ReadAll if done => list(out, self.row.iter().rev()), // a set has no order
            F::Get if done => text(out, &self.row),
            F::Put | F::Append => text(out, &self.row),
            F::Cas => {
                out.push('[');
                plain(out, self.arg);
                out.push(',');
                plain(out, self.new);
                out.push(']');
            }
            F::Txn => txn(out, &self.row, done),
            F::Write => plain(out, self.arg),
            F::Increment | F::Add | F::Remove | F::Contains => {
                let _ = write!(out, "{}", self.arg);
            }
            F::Read | F::Take | F::ReadAll | F::Get | F::Acquire | F::Release => out.push_str("null"),
        }
    }
}

fn plain(out: &mut String, value: i32) {
    if value == 0 {
        out.push_str("null");
    } else {
        let _ = write!(out, "{value}");
    }
}

fn list<'a>(out: &mut String, row: impl Iterator<Item = &'a i32>) {
    out.push('[');
    for (n, value) in row.enumerate() {
        let _ = write!(out, "{}{value}", if n > 0 { "," } else { "" });
    }
    out.push(']');
}

fn text(out: &mut String, row: &[i32]) {
    out.push('"');
    row.iter()
        .for_each(|&letter| out.push(char::from(b'a' + letter as u8)));
    out.push('"');
}

fn txn(out: &mut String, row: &[i32], done: bool) {
    out.push('[');
    for (n, part) in row.chunks_exact(3).enumerate() {
        let (comma, f) = (
            if n > 0 { "," } else { "" },
            if part[0] == 1 { "write" } else { "read" },
        );
        let _ = write!(out, "{comma}[\"{f}\",\"k{}\",", part[1]);
        plain(out, if done || part[0] == 1 { part[2] } else { 0 });
        out.push(']');
    }
    out.push(']');
}

/// Histories of one object each, as one run with a key for each.
pub struct Recorded {
    pub text: String,
    /// Per record: the history, and the operation in it.
    pub owner: Vec<(u32, u32)>,
}

/// So far apart are the times of two keys.
const APART: i64 = 1_000_000;

impl Recorded {
    /// A counter's null is 0. Every operation has a process of its own; half of the unknown ones are recorded as info, half stay open.
    pub fn of(model: Model, histories: &[Vec<Op>]) -> Recorded {
        let mut found = Recorded {
            text: String::new(),
            owner: Vec::new(),
        };
        let mut process = 0;
        for (key, ops) in histories.iter().enumerate() {
            let base = APART * key as i64;
            let mut events: Vec<(i32, bool, u32)> = Vec::with_capacity(ops.len() * 2);
            for (at, op) in (0..).zip(ops) {
                events.push((op.call, false, at));
                if op.status != Status::Info || (process + at).is_multiple_of(2) {
                    events.push((op.ret, true, at));
                }
            }
            events.sort_by_key(|&(time, end, _)| (time, end));
            for (time, end, at) in events {
                let op = &ops[at as usize];
                found.owner.push((key as u32, at));
                found.record(model, op, base + 1000 + i64::from(time), process + at, key, end);
            }
            process += ops.len() as u32;
        }
        found
    }

    fn record(&mut self, model: Model, op: &Op, time: i64, process: u32, key: usize, end: bool) {
        let kind = match op.status {
            _ if !end => "invoke",
            Status::Ok => "ok",
            Status::Fail => "fail",
            Status::Info => "info",
        };
        let f = op.name(model);
        let head = format_args!("{{\"time\":{time},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",");
        let _ = write!(self.text, "{head}\"key\":{key},\"value\":");
        if model == Model::Counter && op.f == F::Read && end && op.status == Status::Ok {
            let _ = write!(self.text, "{}", op.out);
        } else {
            op.value(model, &mut self.text, end && op.status == Status::Ok);
        }
        self.text.push_str("}\n");
    }
}
