//! Laws that need no oracle, so histories may be long: the polynomial cases and the search agree, and what may be changed without harm does no harm.
//!
//! ```text
//!   the same verdict after     another order of the records at one instant, other names, a clock of another rate
//!   valid stays valid after    wider intervals, fewer reads, a value with all its operations gone, a shorter run, more that nobody knows
//! ```
use super::generate::{history, Shape};
use super::history::{Model, Op, Recorded, Status, F};
use super::judging::polynomial;
use super::rng::Rng;
use crate::columns::Columns;
use crate::judge::{native_key, Budget};
use crate::register::{by_key, each_key, Answer};
use crate::search::R5;
use crate::{gamma, zones};

pub const MODELS: [Model; 8] = [
    Model::Register,
    Model::CasRegister,
    Model::Queue,
    Model::Stack,
    Model::PriorityQueue,
    Model::List,
    Model::GrowSet,
    Model::Counter,
];
const STATES_MAX: usize = 5_000;

/// Long histories; of them illegal, judged by both ways; laws that were put to the test.
#[derive(Default, Debug)]
pub struct Tally {
    pub total: u64,
    pub illegal: u64,
    pub both: u64,
    pub laws: u64,
    pub wide: u64,
}

impl Tally {
    pub fn join(&mut self, other: Tally) {
        self.total += other.total;
        self.illegal += other.illegal;
        self.both += other.both;
        self.laws += other.laws;
        self.wide += other.wide;
    }
}

/// Legal or not, by the polynomial case and by the search; None if it does not apply, or takes too long.
fn verdicts(model: Model, ops: &[Op], rules: u8) -> (Option<bool>, Option<bool>) {
    let columns = read(model, ops);
    let said = |word: &str| match word {
        "valid" => Some(true),
        "invalid" => Some(false),
        _ => None,
    };
    let mut quick = None;
    if model.register() {
        each_key(&columns, |key| {
            quick = match zones::check(key, zones::Failed::Silent) {
                Answer::Legal(_) => Some(true),
                Answer::Illegal { .. } => Some(false),
                Answer::Unknown(_) => None,
            }
        });
    } else if let Some(answers) = polynomial(&columns, model) {
        quick = answers.first().and_then(|answer| said(answer.1));
    }
    let budget = Budget::new(None, 1 << 28, STATES_MAX, rules, false);
    let (calls, _) = by_key(&columns);
    let answer = native_key(&columns, 0, &calls, model.name(), None, &budget, &|| Ok(()));
    (quick, said(answer.expect("a model that is built in").0.word))
}

fn read(model: Model, ops: &[Op]) -> Columns {
    let recorded = Recorded::of(model, std::slice::from_ref(&ops.to_vec()));
    Columns::read(recorded.text.as_bytes()).expect("well-formed")
}

/// What both say together.
fn verdict(model: Model, ops: &[Op], rules: u8) -> Option<bool> {
    let (quick, searched) = verdicts(model, ops, rules);
    if let (Some(quick), Some(searched)) = (quick, searched) {
        assert_eq!(
            quick, searched,
            "the polynomial case and the search {rules:06b} differ: {ops:#?}"
        );
    }
    quick.or(searched)
}

pub fn judge(rng: &mut Rng, batch: u64) -> Tally {
    let model = rng.pick(&MODELS);
    let mut shape = Shape::random(rng, model);
    shape.unique = true;
    if rng.percent(60) {
        shape.content = 0;
    }
    let ops = history(rng, model, &shape, rng_size(batch));
    let rules = rng.below(64) as u8;
    let (quick, searched) = verdicts(model, &ops, rules);
    let Some(legal) = verdict(model, &ops, rules) else {
        return Tally::default();
    };
    let mut tally = Tally {
        total: 1,
        illegal: u64::from(!legal),
        ..Tally::default()
    };
    tally.both = u64::from(quick.is_some() && searched.is_some());
    let moved = renamed(rng, model, &ops);
    tally.laws += same(model, &ops, &moved, rules, legal);
    if legal {
        for changed in harmless(rng, model, &ops) {
            let after = verdict(model, &changed, rules);
            assert_ne!(after, Some(false), "harmless: {ops:#?} became {changed:#?}");
            tally.laws += u64::from(after.is_some());
        }
    }
    if model.register() {
        tally.laws += widened(rng, model, &ops);
    }
    if model == Model::Register {
        tally.wide += wide(rng, &ops, legal, rules & !R5);
    }
    tally
}

fn rng_size(batch: u64) -> usize {
    [16, 30, 60][batch as usize % 3]
}

fn same(model: Model, ops: &[Op], moved: &[Op], rules: u8, legal: bool) -> u64 {
    let after = verdict(model, moved, rules);
    assert!(
        after.is_none_or(|after| after == legal),
        "the same, but not judged so: {ops:#?} {moved:#?}"
    );
    u64::from(after.is_some())
}

/// Records in another order, values (of what has no order) with other names, and time of another rate.
fn renamed(rng: &mut Rng, model: Model, ops: &[Op]) -> Vec<Op> {
    let mut moved = ops.to_vec();
    for at in 1..moved.len() {
        moved.swap(at, rng.below(at + 1));
    }
    let (rate, by, up) = (rng.range(2, 9), rng.range(-99, 99), rng.range(0, 50));
    let up = if model == Model::Counter { 0 } else { up };
    let name = |value: i32| if value == 0 { 0 } else { value + up };
    for op in &mut moved {
        (op.call, op.ret) = (op.call * rate + by, op.ret * rate + by);
        (op.arg, op.new, op.out) = (name(op.arg), name(op.new), name(op.out));
        op.row.iter_mut().for_each(|value| *value = name(*value));
    }
    moved
}

fn harmless(rng: &mut Rng, model: Model, ops: &[Op]) -> Vec<Vec<Op>> {
    let mut wider = ops.to_vec();
    for op in &mut wider {
        (op.call, op.ret) = (op.call - rng.range(0, 5), op.ret + rng.range(0, 5));
    }
    let fewer: Vec<Op> = ops
        .iter()
        .filter(|op| !matches!(op.f, F::Read | F::ReadAll) || rng.percent(50))
        .cloned()
        .collect();
    let mut doubt = ops.to_vec();
    doubt.iter_mut().for_each(|op| {
        if matches!(op.f, F::Write | F::Add | F::Increment) && op.status == Status::Ok && rng.percent(40) {
            op.status = Status::Info;
        }
    });
    let (first, last) = (
        ops.iter().map(|op| op.call).min(),
        ops.iter().map(|op| op.ret).max(),
    );
    let end = rng.range(first.unwrap_or(0), last.unwrap_or(0));
    let mut shorter: Vec<Op> = ops.iter().filter(|op| op.call <= end).cloned().collect();
    for op in shorter
        .iter_mut()
        .filter(|op| op.ret > end && op.status != Status::Fail)
    {
        op.status = Status::Info;
    }
    let mut more = ops.to_vec();
    let add = match model {
        Model::Counter => F::Increment,
        _ if model.register() => F::Write,
        _ => F::Add,
    };
    more.push(Op {
        status: Status::Info,
        call: end,
        ret: end,
        ..Op::new(add, 5000)
    });
    let mut found = vec![wider, fewer, doubt, shorter, more];
    if matches!(
        model,
        Model::Register | Model::Queue | Model::Stack | Model::PriorityQueue
    ) {
        let gone = rng.range(1, 10);
        let with = |op: &&Op| op.arg == gone || (matches!(op.f, F::Read | F::Take) && op.out == gone);
        found.push(ops.iter().filter(|op| !with(op)).cloned().collect());
    }
    found
}

/// Gamma of a history that is widened by g is g less, but not below 0.
fn widened(rng: &mut Rng, model: Model, ops: &[Op]) -> u64 {
    let gamma = |ops: &[Op]| {
        let mut found = None;
        each_key(&read(model, ops), |key| {
            found = gamma::shifts(key).and_then(|shifts| shifts.gamma)
        });
        found
    };
    let doubled = |by: i32| {
        let wide = |op: &Op| Op {
            call: 2 * op.call - by,
            ret: 2 * op.ret + by,
            ..op.clone()
        };
        ops.iter().map(wide).collect::<Vec<Op>>()
    };
    let by = rng.range(1, 9);
    // doubled, so that half of g is a whole number: Gamma is then an even number, widened by twice g
    let (before, after) = (gamma(&doubled(0)), gamma(&doubled(by)));
    let expected = before.map(|before| (before - 2 * i64::from(by)).max(0));
    assert_eq!(after, expected, "widened by {by}: {ops:#?}");
    u64::from(before.is_some_and(|before| before > 0))
}

/// More operations open at once than a word has bits, or two words: writes that nobody sees change nothing.
fn wide(rng: &mut Rng, ops: &[Op], legal: bool, rules: u8) -> u64 {
    let mut crowd = ops.to_vec();
    let first = ops.iter().map(|op| op.call).min().unwrap_or(0);
    for n in 0..rng.pick(&[60, 66, 120, 130, 200]) {
        let call = first - rng.range(0, 3);
        crowd.push(Op {
            status: Status::Info,
            call,
            ret: call,
            ..Op::new(F::Write, 1000 + n)
        });
    }
    let (quick, searched) = verdicts(Model::Register, &crowd, rules);
    assert_eq!(quick, Some(legal), "{ops:#?}");
    assert!(
        searched.is_none_or(|searched| searched == legal),
        "search {rules:06b}: {ops:#?}"
    );
    u64::from(searched.is_some())
}
