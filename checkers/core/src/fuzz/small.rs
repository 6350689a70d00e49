//! The small scope: every history of so few operations, not a random part of them.
//!
//! Times are all orders of the 2n ends of n intervals, with or without ties. Contents are all choices of operations, outcomes and results from a small
//! alphabet; written values are numbered in order, so no two contents differ by names only.
use super::history::{Model, Op, Status, F};

/// All intervals of n operations in order of call: (call, ret) each.
pub fn times(n: usize, ties: bool) -> Vec<Vec<(i32, i32)>> {
    let mut found = Vec::new();
    let mut ends = vec![(0, 0); n];
    calls(&mut ends, 0, ties, &mut found);
    found
}

/// Place the call of operation `at`, and its return, so that in the end every instant up to the last is used.
fn calls(ends: &mut [(i32, i32)], at: usize, ties: bool, found: &mut Vec<Vec<(i32, i32)>>) {
    if at == ends.len() {
        let mut used: Vec<i32> = ends.iter().flat_map(|&(call, ret)| [call, ret]).collect();
        used.sort_unstable();
        if !ties && used.windows(2).any(|pair| pair[0] == pair[1]) {
            return;
        }
        used.dedup();
        if (0..).zip(&used).all(|(n, &time)| n == time) {
            found.push(ends.to_vec());
        }
        return;
    }
    let last = 2 * ends.len() as i32;
    let from = at.checked_sub(1).map_or(0, |before| ends[before].0);
    for call in from..last {
        for ret in call..last {
            ends[at] = (call, ret);
            calls(ends, at + 1, ties, found);
        }
    }
}

/// All contents of n operations of a model.
pub fn contents(model: Model, n: usize) -> Vec<Vec<Op>> {
    let alphabet = if model.register() {
        register(model)
    } else {
        letters(model)
    };
    let mut found: Vec<Vec<Op>> = vec![Vec::new()];
    for _ in 0..n {
        let longer = |ops: Vec<Op>| {
            let more = alphabet
                .iter()
                .map(move |op| [&ops[..], std::slice::from_ref(op)].concat());
            more.collect::<Vec<_>>()
        };
        found = found.into_iter().flat_map(longer).collect();
    }
    if model.register() {
        found = found.into_iter().flat_map(seen).collect();
    }
    found
}

fn register(model: Model) -> Vec<Op> {
    let mut alphabet = vec![
        Op::new(F::Read, 0),
        Op::new(F::Write, 0),
        info(Op::new(F::Write, 0)),
    ];
    if model == Model::CasRegister {
        let cas = Op::new(F::Cas, 0);
        let failed = Op {
            status: Status::Fail,
            ..cas.clone()
        };
        alphabet.extend([cas.clone(), info(cas), failed]);
    }
    alphabet
}

fn info(op: Op) -> Op {
    Op {
        status: Status::Info,
        ..op
    }
}

/// Number the written values, and let every read and compare-and-set see every value, the first one and one that nobody writes among them.
fn seen(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let (mut ops, mut writes) = (ops, 0);
    for op in ops.iter_mut().filter(|op| op.f != F::Read) {
        writes += 1;
        if op.f == F::Write {
            op.arg = writes;
        } else {
            op.new = writes;
        }
    }
    let mut found = vec![ops.clone()];
    for at in (0..ops.len()).filter(|&at| ops[at].f != F::Write) {
        let each = |ops: Vec<Op>| {
            (0..=writes + 1).map(move |value| {
                let mut ops = ops.clone();
                match ops[at].f {
                    F::Read => ops[at].out = value,
                    _ => ops[at].arg = value,
                }
                ops
            })
        };
        found = found.into_iter().flat_map(each).collect();
    }
    found
}

fn letters(model: Model) -> Vec<Op> {
    let out = |f, out| Op { out, ..Op::new(f, 0) };
    let row = |f, row: &[i32]| Op {
        row: row.to_vec(),
        ..Op::new(f, 0)
    };
    let contains = |out| Op {
        out,
        ..Op::new(F::Contains, 1)
    };
    match model {
        Model::Mutex => {
            let (acquire, release) = (Op::new(F::Acquire, 0), Op::new(F::Release, 0));
            vec![acquire.clone(), release.clone(), info(acquire), info(release)]
        }
        Model::Counter => {
            let mut found: Vec<Op> = (0..3).map(|value| out(F::Read, value)).collect();
            let (one, two) = (Op::new(F::Increment, 1), Op::new(F::Increment, 2));
            found.extend([one.clone(), info(one), two]);
            found
        }
        Model::GrowSet | Model::List => {
            let mut found: Vec<Op> = [&[][..], &[1], &[2], &[1, 2]]
                .map(|r| row(F::ReadAll, r))
                .to_vec();
            found.extend([Op::new(F::Add, 1), Op::new(F::Add, 2), info(Op::new(F::Add, 1))]);
            if model == Model::List {
                found.push(row(F::ReadAll, &[2, 1]));
            }
            found
        }
        Model::Set => vec![
            Op::new(F::Add, 1),
            info(Op::new(F::Add, 1)),
            Op::new(F::Remove, 1),
            info(Op::new(F::Remove, 1)),
            contains(0),
            contains(1),
            row(F::ReadAll, &[1]),
        ],
        Model::Queue | Model::Stack | Model::PriorityQueue => {
            let mut found: Vec<Op> = (0..3).map(|value| out(F::Take, value)).collect();
            found.extend([
                Op::new(F::Add, 1),
                Op::new(F::Add, 2),
                info(Op::new(F::Add, 2)),
                info(out(F::Take, 0)),
            ]);
            found
        }
        Model::Kv => vec![
            row(F::Get, &[]),
            row(F::Get, &[0]),
            row(F::Get, &[0, 0]),
            row(F::Put, &[0]),
            row(F::Append, &[0]),
            info(row(F::Append, &[0])),
        ],
        _ => vec![
            row(F::Txn, &[0, 1, 0]),
            row(F::Txn, &[0, 1, 1]),
            row(F::Txn, &[0, 1, 1, 1, 2, 1]),
            row(F::Txn, &[0, 2, 1]),
            row(F::Txn, &[1, 1, 1]),
            info(row(F::Txn, &[1, 1, 1, 0, 2, 0])),
        ],
    }
}
