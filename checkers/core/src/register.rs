//! A register's operations on one key, values as dense numbers, cut out of the columns.

use crate::columns::{Columns, FAIL, OK};
use crate::intern::NONE;
use crate::parallel::over;

pub const NEVER: i64 = i64::MAX;
pub const ALWAYS: i64 = i64::MIN;
/// The value before any write.
pub const NIL: u32 = 0;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Act {
    Read,
    Write,
    Cas,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Status {
    Ok,
    Fail,
    Info,
}

/// One call with what became of it. `new` is the value written, or read; `old` is what a compare-and-set expects, NIL in all else.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub act: Act,
    pub status: Status,
    pub new: u32,
    pub old: u32,
    pub call: i64,
    pub ret: i64,
}

impl Op {
    pub fn writes(&self) -> bool {
        self.act != Act::Read
    }

    /// The value that the operation looks at. NIL too if it looks at none.
    pub fn seen(&self) -> u32 {
        match self.act {
            Act::Read => self.new,
            Act::Write | Act::Cas => self.old,
        }
    }

    /// Does the real time order put this wholly before the other? Intervals are closed: equal times are concurrent.
    pub fn precedes(&self, other: &Op) -> bool {
        self.ret < other.call
    }
}

/// One key: its operations in order of call, how many values, and why it cannot be judged, if so.
#[derive(Default)]
pub struct Key {
    pub id: u32,
    pub ops: Vec<Op>,
    pub index: Vec<u32>,
    pub values: usize,
    pub strange: Option<String>,
}

/// What a checker says of one key. Numbers in the lists are positions in `Key::ops`.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Legal(Vec<u32>),
    Illegal { anomaly: &'static str, core: Vec<u32> },
    Unknown(String),
}

/// Call `visit` with each key in order of first appearance.
pub fn each_key(columns: &Columns, mut visit: impl FnMut(&Key)) {
    let cuts = Cuts::of(columns);
    let mut cutter = cuts.cutter();
    (0..cuts.sizes.len()).for_each(|n| visit(cutter.cut(n)));
}

/// What `judge` says of each key, in order of first appearance; so many threads at once, 0 for one per core.
pub fn judge_keys<T: Send>(columns: &Columns, threads: usize, judge: impl Fn(&Key) -> T + Sync) -> Vec<T> {
    let cuts = Cuts::of(columns);
    over(
        &cuts.sizes,
        threads,
        || cuts.cutter(),
        |cutter, n| judge(cutter.cut(n)),
    )
}

/// Where each key's calls are.
struct Cuts<'a> {
    columns: &'a Columns,
    acts: Vec<Option<Act>>,
    nil: Option<u32>,
    keys: Vec<u32>,
    sizes: Vec<usize>,
    calls: Vec<u32>,
    starts: Vec<u32>,
}

impl Cuts<'_> {
    fn of(columns: &Columns) -> Cuts<'_> {
        let (calls, starts) = by_key(columns);
        let size = |id: u32| (starts[id as usize + 1] - starts[id as usize]) as usize;
        let keys: Vec<u32> = (0..columns.keys.len() as u32)
            .filter(|&id| size(id) > 0)
            .collect();
        Cuts {
            columns,
            acts: (0..columns.fs.len() as u32)
                .map(|f| act(columns.fs.text(f)))
                .collect(),
            nil: columns.values.find(b"null"),
            sizes: keys.iter().map(|&id| size(id)).collect(),
            keys,
            calls,
            starts,
        }
    }

    fn cutter(&self) -> Cutter<'_> {
        Cutter {
            cuts: self,
            local: vec![NONE; self.columns.values.len()],
            touched: Vec::new(),
            key: Key::default(),
        }
    }
}

/// Cuts out one key after the other; keeps its memory between them.
struct Cutter<'a> {
    cuts: &'a Cuts<'a>,
    /// Per value of the history its number in the key, NONE between keys.
    local: Vec<u32>,
    touched: Vec<u32>,
    key: Key,
}

impl Cutter<'_> {
    fn cut(&mut self, n: usize) -> &Key {
        let (cuts, key, local, touched) = (self.cuts, &mut self.key, &mut self.local, &mut self.touched);
        key.id = cuts.keys[n];
        key.ops.clear();
        key.index.clear();
        key.strange = None;
        key.values = 1;
        if let Some(nil) = cuts.nil {
            local[nil as usize] = NIL;
            touched.push(nil);
        }
        let (begin, end) = (cuts.starts[key.id as usize], cuts.starts[key.id as usize + 1]);
        for &call in &cuts.calls[begin as usize..end as usize] {
            let mut dense = |value: u32| {
                let slot = &mut local[value as usize];
                if *slot == NONE {
                    *slot = key.values as u32;
                    key.values += 1;
                    touched.push(value);
                }
                *slot
            };
            let act = cuts.acts[cuts.columns.f[call as usize] as usize];
            match extract(cuts.columns, call as usize, act, &mut dense) {
                Ok(op) => {
                    key.ops.push(op);
                    key.index.push(call);
                }
                Err(reason) => key.strange = key.strange.take().or(Some(reason)),
            }
        }
        touched.drain(..).for_each(|value| local[value as usize] = NONE);
        &self.key
    }
}

fn act(name: &[u8]) -> Option<Act> {
    match name {
        b"\"read\"" => Some(Act::Read),
        b"\"write\"" => Some(Act::Write),
        b"\"cas\"" => Some(Act::Cas),
        _ => None,
    }
}

/// Clients' calls sorted by key, and where each key begins.
pub fn by_key(columns: &Columns) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; columns.keys.len() + 1];
    for at in 0..columns.len() {
        if columns.is_call(at) {
            starts[columns.key[at] as usize + 1] += 1;
        }
    }
    for key in 0..columns.keys.len() {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut calls = vec![0u32; starts[columns.keys.len()] as usize];
    for at in 0..columns.len() {
        if columns.is_call(at) {
            let slot = &mut next[columns.key[at] as usize];
            calls[*slot as usize] = at as u32;
            *slot += 1;
        }
    }
    (calls, starts)
}

fn extract(
    columns: &Columns,
    call: usize,
    act: Option<Act>,
    dense: &mut impl FnMut(u32) -> u32,
) -> Result<Op, String> {
    let Some(act) = act else {
        let name = String::from_utf8_lossy(columns.fs.text(columns.f[call])).into_owned();
        return Err(format!(
            "operation #{call} is {name}, which a register does not have; it has read, write and cas"
        ));
    };
    let status = match columns.outcome(call) {
        OK => Status::Ok,
        FAIL => Status::Fail,
        _ => Status::Info,
    };
    let end = columns.pair[call];
    let answered = status == Status::Ok || status == Status::Fail && act == Act::Cas;
    let ret = if answered {
        columns.time[end as usize]
    } else {
        NEVER
    };
    let (new, old) = match act {
        Act::Read if status != Status::Ok => (NIL, NIL),
        Act::Read => match columns.value[end as usize] {
            NONE => {
                return Err(format!(
                    "read #{call} is ok but its result was not recorded; record what it returned"
                ))
            }
            value => (dense(value), NIL),
        },
        Act::Write => match columns.value[call] {
            NONE => return Err(format!("write #{call} has no value; record what it writes")),
            value => (dense(value), NIL),
        },
        Act::Cas => match columns.cas.get(&columns.value[call]) {
            None => return Err(format!("cas #{call} has no [old, new]; record both")),
            Some(&(old, new)) => (dense(new), dense(old)),
        },
    };
    Ok(Op {
        act,
        status,
        new,
        old,
        call: columns.time[call],
        ret,
    })
}
