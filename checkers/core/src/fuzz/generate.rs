//! Random small histories, of every family.
//!
//! ```text
//!   content  (a) valid by construction: points in time, a simulated object, intervals around the points   (b) then one thing perturbed
//!            (c) results at random   (g) null-heavy   (h) chains of compare-and-set with forks and cycles
//!   time     free intervals   (d) a coarse clock, so that ties are common   (f) bursts, all overlap; ladders, each overlaps the next
//!   outcome  none, few or (e) most unknown; a few failed
//! ```
use super::history::{Model, Op, Status, F};
use super::oracle::{first, step};
use super::rng::Rng;

pub const CONTENTS: [&str; 5] = ["valid", "perturbed", "random", "null-heavy", "chains"];

/// What kind of history.
pub struct Shape {
    pub content: usize,
    /// No value is written twice.
    pub unique: bool,
    info: usize,
    /// A failed compare-and-set fails because the value is another, where the history is valid.
    guess: usize,
}

impl Shape {
    pub fn random(rng: &mut Rng, model: Model) -> Shape {
        let content = match rng.below(20) {
            0..=1 => 0,
            2..=9 => 1,
            10..=14 => 2,
            15..=16 => 3,
            _ if model == Model::CasRegister => 4,
            _ => 1,
        };
        let (unique, info) = (rng.percent(80), rng.pick(&[0, 0, 0, 0, 12, 12, 12, 12, 60]));
        Shape {
            content,
            unique,
            info,
            guess: rng.pick(&[0, 30, 60]),
        }
    }
}

/// A history of at most `size` operations.
pub fn history(rng: &mut Rng, model: Model, shape: &Shape, size: usize) -> Vec<Op> {
    let times = times(rng, size);
    let mut fresh: Vec<i32> = (1..=size as i32 + 1).collect();
    for at in 1..fresh.len() {
        fresh.swap(at, rng.below(at + 1));
    }
    let mut maker = Maker {
        model,
        shape,
        fresh,
        state: first(model),
        states: vec![first(model)],
        used: Vec::new(),
    };
    let mut ops: Vec<Op> = times.into_iter().map(|time| maker.op(rng, time)).collect();
    let states = maker.states;
    match shape.content {
        0 | 3 => {}
        1 => (0..rng.range(1, 3)).for_each(|_| perturb(rng, model, &mut ops, &states)),
        _ => ops.iter_mut().for_each(|op| {
            if rng.percent(if shape.content == 2 { 70 } else { 40 }) {
                observe(model, op, rng.pick_ref::<Vec<i32>>(&states));
            }
        }),
    }
    ops
}

impl Rng {
    pub fn pick_ref<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Intervals in the order of the points that they surround.
fn times(rng: &mut Rng, size: usize) -> Vec<(i32, i32)> {
    let least = if rng.percent(10) { 1 } else { size as i32 / 2 };
    let n = rng.range(least, size as i32);
    match rng.below(10) {
        0 => (0..n).map(|_| (rng.range(0, 3), rng.range(3, 6))).collect(),
        1 | 2 => (0..n)
            .map(|at| (2 * at - rng.range(0, 1), 2 * at + rng.range(1, 3)))
            .collect(),
        other => {
            let span = match other {
                3 | 4 => 4,
                5 | 6 => 12,
                _ => 40,
            } * (size as i32 / 8).max(1);
            let widen = rng.pick(&[0, 1, 1, 2, 3, 6]);
            let mut points: Vec<i32> = (0..n).map(|_| rng.range(0, span)).collect();
            points.sort_unstable();
            let around = |point: i32| (point - rng.range(0, widen), point + rng.range(0, widen));
            points.into_iter().map(around).collect()
        }
    }
}

struct Maker<'a> {
    model: Model,
    shape: &'a Shape,
    fresh: Vec<i32>,
    state: Vec<i32>,
    states: Vec<Vec<i32>>,
    used: Vec<i32>,
}

impl Maker<'_> {
    fn op(&mut self, rng: &mut Rng, (call, ret): (i32, i32)) -> Op {
        let mut op = self.call(rng);
        (op.call, op.ret) = (call, ret);
        observe(self.model, &mut op, &self.state);
        if self.shape.content == 3 && rng.percent(60) {
            observe(self.model, &mut op, &first(self.model));
        }
        let roll = rng.below(100);
        let info = if op.f == F::Take {
            self.shape.info / 5
        } else {
            self.shape.info
        };
        op.status = if roll < info {
            Status::Info
        } else if roll >= 95 {
            Status::Fail
        } else {
            Status::Ok
        };
        // what does not fit cannot have been ok, unless the history is to be wrong
        let mut sure = op.clone();
        sure.status = Status::Ok;
        match step(self.model, &sure, &self.state) {
            Some(next) => {
                if op.status == Status::Ok || (op.status == Status::Info && rng.percent(60)) {
                    self.state = next;
                    self.states.push(self.state.clone());
                }
                if op.status == Status::Fail && op.f == F::Cas && rng.percent(60) {
                    op.status = Status::Info;
                }
            }
            None if op.status == Status::Ok && (self.shape.content == 0 || rng.percent(30)) => {
                op.status = if op.f == F::Cas {
                    Status::Fail
                } else {
                    Status::Info
                };
            }
            None => {}
        }
        op
    }

    fn value(&mut self, rng: &mut Rng) -> i32 {
        let value = match self.fresh.pop() {
            Some(value) if self.shape.unique => value,
            _ => rng.range(if self.model.register() { 0 } else { 1 }, 3),
        };
        self.used.push(value);
        value
    }

    fn set(&mut self, rng: &mut Rng, roll: usize) -> Op {
        match roll {
            0..40 => {
                let value = self.value(rng);
                Op::new(F::Add, value)
            }
            40..55 => Op::new(F::Remove, self.seen(rng).max(1)),
            55..80 => Op::new(F::Contains, self.seen(rng).max(1)),
            _ => Op::new(F::ReadAll, 0),
        }
    }

    fn seen(&self, rng: &mut Rng) -> i32 {
        if self.used.is_empty() || rng.percent(15) {
            0
        } else {
            rng.pick(&self.used)
        }
    }

    fn call(&mut self, rng: &mut Rng) -> Op {
        let roll = rng.below(100);
        match self.model {
            Model::Register | Model::CasRegister => self.register(rng, roll),
            Model::Mutex => {
                let release = roll < if self.state[0] == 1 { 80 } else { 20 };
                Op::new(if release { F::Release } else { F::Acquire }, 0)
            }
            Model::Counter if roll < 50 => Op::new(F::Read, 0),
            Model::Counter => {
                let amount = if self.shape.unique {
                    1
                } else {
                    rng.pick(&[-1, 1, 2])
                };
                Op::new(F::Increment, amount)
            }
            Model::Set => self.set(rng, roll),
            Model::GrowSet | Model::List if roll < 45 => {
                let value = self.value(rng);
                Op::new(F::Add, value)
            }
            Model::GrowSet | Model::List => Op::new(F::ReadAll, 0),
            Model::Queue | Model::Stack | Model::PriorityQueue if roll < 52 => {
                let value = self.value(rng);
                Op::new(F::Add, value)
            }
            Model::Queue | Model::Stack | Model::PriorityQueue => Op::new(F::Take, 0),
            Model::Kv => {
                let mut op = Op::new(rng.pick(&[F::Get, F::Get, F::Put, F::Append]), 0);
                op.row = (0..rng.range(0, 2)).map(|_| rng.range(0, 2)).collect();
                op
            }
            Model::MultiRegister => {
                let mut op = Op::new(F::Txn, 0);
                for _ in 0..rng.range(1, 2) {
                    op.row.extend([rng.range(0, 1), rng.range(1, 2), rng.range(0, 3)]);
                }
                op
            }
        }
    }

    fn register(&mut self, rng: &mut Rng, roll: usize) -> Op {
        let (reads, cas) = match (self.model, self.shape.content) {
            (Model::Register, _) => (55, 55),
            (_, 4) => (15, 85),
            _ => (40, 72),
        };
        if roll < reads {
            return Op::new(F::Read, 0);
        }
        if roll >= cas {
            let value = self.value(rng);
            return Op::new(F::Write, value);
        }
        let old = match self.shape.content {
            4 if rng.percent(15) => rng.range(1, 6), // maybe one that comes later: a cycle
            4 if rng.percent(25) => self.seen(rng),
            _ if rng.percent(self.shape.guess) => self.seen(rng),
            _ => self.state[0],
        };
        let mut op = Op::new(F::Cas, old);
        op.new = self.value(rng);
        op
    }
}

/// Give the operation the results that it has in this state.
fn observe(model: Model, op: &mut Op, state: &[i32]) {
    match op.f {
        F::Read => op.out = state[0],
        F::ReadAll | F::Get => op.row = state.to_vec(),
        F::Contains => op.out = i32::from(state.contains(&op.arg)),
        F::Take if model == Model::Queue => op.out = state.first().copied().unwrap_or(0),
        F::Take => op.out = state.last().copied().unwrap_or(0),
        F::Txn => {
            let mut values: Vec<(i32, i32)> = state.chunks_exact(2).map(|p| (p[0], p[1])).collect();
            for part in op.row.chunks_exact_mut(3) {
                let at = values.iter().rposition(|&(key, _)| key == part[1]);
                if part[0] == 1 {
                    values.push((part[1], part[2]));
                } else {
                    part[2] = at.map_or(0, |at| values[at].1);
                }
            }
        }
        _ => {}
    }
}

/// Change one thing: a result, two results, an interval, an outcome, a value.
fn perturb(rng: &mut Rng, model: Model, ops: &mut [Op], states: &[Vec<i32>]) {
    let (at, other) = (rng.below(ops.len()), rng.below(ops.len()));
    match rng.below(10) {
        0 | 1 => {
            for op in ops.iter_mut().filter(|op| op.status == Status::Ok) {
                if rng.percent(50) {
                    observe(model, op, rng.pick_ref::<Vec<i32>>(states));
                }
            }
        }
        2..=4 => {
            // exchange the results of two of a kind
            let reader = |op: &Op| matches!(op.f, F::Read | F::ReadAll | F::Take | F::Contains | F::Get);
            let found: Vec<usize> = (0..ops.len()).filter(|&n| reader(&ops[n])).collect();
            if found.len() > 1 {
                let (a, b) = (rng.pick(&found), rng.pick(&found));
                if ops[a].f == ops[b].f {
                    let (out, row) = (ops[a].out, ops[a].row.clone());
                    (ops[a].out, ops[a].row) = (ops[b].out, ops[b].row.clone());
                    (ops[b].out, ops[b].row) = (out, row);
                }
            }
            let state = rng.pick_ref(states);
            observe(model, &mut ops[at], state);
        }
        5 | 6 => {
            let by = rng.range(-9, 9);
            (ops[at].call, ops[at].ret) = (ops[at].call + by, ops[at].ret + by);
        }
        7 => {
            ops[at].status = match ops[at].status {
                Status::Ok => rng.pick(&[Status::Info, Status::Fail]),
                _ => Status::Ok,
            }
        }
        8 => {
            let (a, b) = (at.min(other), at.max(other));
            let times = (ops[a].call, ops[a].ret);
            (ops[a].call, ops[a].ret) = (ops[b].call, ops[b].ret);
            (ops[b].call, ops[b].ret) = times;
        }
        _ => {
            ops[at].out = rng.range(0, if ops[at].f == F::Contains { 1 } else { 3 });
            if let Some(last) = ops[at].row.last_mut() {
                *last = rng.range(1, 3);
            }
            if matches!(model, Model::Set | Model::GrowSet) {
                ops[at].row.sort_unstable();
            }
        }
    }
}
