//! The first oracle: try every order, and remember what failed.
//!
//! A depth-first search over (set of linearized operations, state). Real time is the literal test: a goes before b if `a.ret < b.call`. States are rows
//! of integers. Shares no code with the checkers, nor with the second oracle.
use super::history::{Model, Op, Status, F};
use std::collections::HashSet;

/// Must it be in the order? None: it may not be. A failed compare-and-set is in it if `saw` says that it found another value.
pub fn must(op: &Op, saw: bool) -> Option<bool> {
    match op.status {
        Status::Ok => Some(true),
        Status::Info => Some(false),
        Status::Fail => (saw && op.f == F::Cas).then_some(true),
    }
}

/// Is there an order that real time allows and the object too?
pub fn linearizable(model: Model, ops: &[Op], saw: bool) -> bool {
    let ops: Vec<(&Op, bool)> = ops.iter().filter_map(|op| Some((op, must(op, saw)?))).collect();
    let goal = (0..ops.len())
        .filter(|&n| ops[n].1)
        .fold(0u32, |mask, n| mask | 1 << n);
    Dfs {
        model,
        ops,
        goal,
        dead: HashSet::new(),
    }
    .search(0, first(model))
}

struct Dfs<'a> {
    model: Model,
    ops: Vec<(&'a Op, bool)>,
    goal: u32,
    dead: HashSet<(u32, Vec<i32>)>,
}

impl Dfs<'_> {
    fn search(&mut self, done: u32, state: Vec<i32>) -> bool {
        if done & self.goal == self.goal {
            return true;
        }
        if self.dead.contains(&(done, state.clone())) {
            return false;
        }
        for n in (0..self.ops.len()).filter(|&n| done >> n & 1 == 0) {
            let op = self.ops[n].0;
            let before = |(m, &(other, must)): (usize, &(&Op, bool))| {
                must && done >> m & 1 == 0 && other.ret < op.call
            };
            if self.ops.iter().enumerate().any(before) {
                continue;
            }
            if let Some(next) = step(self.model, op, &state) {
                if self.search(done | 1 << n, next) {
                    return true;
                }
            }
        }
        self.dead.insert((done, state));
        false
    }
}

pub fn first(model: Model) -> Vec<i32> {
    match model {
        Model::Register | Model::CasRegister | Model::Mutex | Model::Counter => vec![0],
        _ => Vec::new(),
    }
}

/// The state after the operation, None if it cannot have happened here.
pub fn step(model: Model, op: &Op, state: &[i32]) -> Option<Vec<i32>> {
    let known = op.status == Status::Ok;
    let same = |fits: bool| (!known || fits).then(|| state.to_vec());
    match op.f {
        F::Read => same(state[0] == op.out),
        F::Write => Some(vec![op.arg]),
        F::Cas if op.status == Status::Fail => (state[0] != op.arg).then(|| state.to_vec()),
        F::Cas => (state[0] == op.arg).then(|| vec![op.new]),
        F::Acquire => (state[0] == 0).then(|| vec![1]),
        F::Release => (state[0] == 1).then(|| vec![0]),
        F::Increment => Some(vec![state[0] + op.arg]),
        F::ReadAll => same(state == op.row),
        F::Add => Some(add(model, op.arg, state)),
        F::Remove => Some(state.iter().copied().filter(|&value| value != op.arg).collect()),
        F::Contains => same(state.contains(&op.arg) == (op.out == 1)),
        F::Take => take(model, op, state),
        F::Get => same(state == op.row),
        F::Put => Some(op.row.clone()),
        F::Append => Some([state, &op.row].concat()),
        F::Txn => transact(op, state),
    }
}

fn add(model: Model, value: i32, state: &[i32]) -> Vec<i32> {
    let mut next = state.to_vec();
    match model {
        Model::Set | Model::GrowSet if state.contains(&value) => return next,
        _ => next.push(value),
    }
    if matches!(model, Model::Set | Model::GrowSet | Model::PriorityQueue) {
        next.sort_unstable();
    }
    next
}

fn take(model: Model, op: &Op, state: &[i32]) -> Option<Vec<i32>> {
    let at = if model == Model::Queue {
        0
    } else {
        state.len().wrapping_sub(1)
    };
    let found = state.get(at).copied().unwrap_or(0);
    if op.status == Status::Ok && found != op.out {
        return None;
    }
    let mut next = state.to_vec();
    if !state.is_empty() {
        next.remove(at);
    }
    Some(next)
}

/// The state has pairs (key, value), sorted.
fn transact(op: &Op, state: &[i32]) -> Option<Vec<i32>> {
    let mut next: Vec<(i32, i32)> = state.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    for part in op.row.chunks_exact(3) {
        let at = next.iter().position(|&(key, _)| key == part[1]);
        if part[0] == 1 {
            at.map(|at| next.remove(at));
            next.push((part[1], part[2]));
        } else if op.status == Status::Ok && at.map_or(0, |at| next[at].1) != part[2] {
            return None;
        }
    }
    next.sort_unstable();
    Some(next.into_iter().flat_map(|(key, value)| [key, value]).collect())
}
