//! From columns to the search and back: one problem per key, one answer each.

use crate::columns::{Columns, INFO};
use crate::intern::NONE;
use crate::models::{Kind, Native};
use crate::parallel;
use crate::register::{by_key, NEVER};
use crate::search::problem::{Op, Problem};
use crate::search::{search, End, Found, Halt, Limits, Model, R5, R6};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What one operation takes beside configurations: itself with and without R5, its numbers, the facts about its value.
const OP_BYTES: usize = 100;

/// What is said of one key. Numbers are indices of calls.
#[derive(Default, IntoPyObject)]
pub struct Answer {
    pub key: u32,
    pub word: &'static str,
    /// Why it is unknown.
    pub reason: String,
    /// The witness, or the calls of the bad prefix.
    pub ops: Vec<u32>,
    pub size: usize,
    pub observations: usize,
    pub states: usize,
    pub bytes: usize,
    /// How many operations had to return, and how many did at the deepest.
    pub returns: usize,
    pub deepest: usize,
    pub blocking: Option<u32>,
    /// The prefix is the shortest bad one.
    pub minimal: bool,
    pub stuck: Vec<(String, Vec<u32>)>,
}

#[derive(Clone, Copy)]
pub struct Budget {
    pub deadline: Option<Instant>,
    pub memory_bytes: usize,
    pub states_max: usize,
    pub rules: u8,
    pub failed_cas: bool,
}

impl Budget {
    pub fn new(
        deadline_ms: Option<u64>,
        memory_bytes: usize,
        states_max: usize,
        rules: u8,
        failed_cas: bool,
    ) -> Budget {
        Budget {
            deadline: deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms)),
            memory_bytes,
            states_max,
            rules,
            failed_cas,
        }
    }
}

/// State and order of the deepest configurations.
pub type Stuck = Vec<(u32, Vec<u32>)>;

pub struct Cut {
    pub problem: Problem,
    index: Vec<u32>,
    strange: Option<String>,
    size: usize,
}

/// One key's operations; `class` reads a call.
pub fn cut(
    columns: &Columns,
    calls: &[u32],
    mut class: impl FnMut(usize) -> PyResult<Result<Option<u32>, String>>,
) -> PyResult<Cut> {
    let mut cut = Cut {
        problem: Problem::default(),
        index: Vec::new(),
        strange: None,
        size: calls.len(),
    };
    for &call in calls {
        match class(call as usize)? {
            Err(reason) => cut.strange = cut.strange.take().or(Some(reason)),
            Ok(None) => {}
            Ok(Some(class)) => {
                let outcome = columns.outcome(call as usize);
                let end = columns.pair[call as usize];
                // a failed operation that has a class is a compare-and-set that observed
                let must = outcome != INFO;
                cut.problem.ops.push(Op {
                    class,
                    call: columns.time[call as usize],
                    ret: if must { columns.time[end as usize] } else { NEVER },
                    must,
                });
                cut.index.push(call);
            }
        }
    }
    Ok(cut)
}

/// Settle and search one key. States and orders of the deepest are for the caller to show.
pub fn answer(
    mut cut: Cut,
    key: u32,
    model: &mut dyn Model,
    budget: &Budget,
    pulse: &dyn Fn() -> Result<(), Halt>,
) -> (Answer, Stuck, Option<Halt>) {
    let problem = &mut cut.problem;
    let useful = |op: &Op| op.must || !problem.classes[op.class as usize].readonly;
    let keep: Vec<usize> = (0..problem.ops.len())
        .filter(|&at| useful(&problem.ops[at]))
        .collect();
    problem.ops = keep.iter().map(|&at| problem.ops[at]).collect();
    let mut index: Vec<u32> = keep.iter().map(|&at| cut.index[at]).collect();
    let observes = |op: &&Op| op.must && problem.classes[op.class as usize].observes;
    let mut said = Answer {
        key,
        size: cut.size,
        observations: problem.ops.iter().filter(observes).count(),
        ..Answer::default()
    };
    let least = problem.ops.len() * OP_BYTES;
    let too_small = (least > budget.memory_bytes).then(|| {
        format!(
            "the memory budget is too small for {} operations, which take {} MB before any search",
            cut.size,
            least / 1_000_000
        )
    });
    if let Some(reason) = cut.strange.or(too_small) {
        (said.word, said.reason) = ("unknown", reason);
        return (
            said,
            Vec::new(),
            (least > budget.memory_bytes).then_some(Halt::Memory),
        );
    }
    let budget = &Budget {
        memory_bytes: budget.memory_bytes - least,
        ..*budget
    };
    if budget.rules & R5 != 0 {
        let kept = problem.settle(false);
        problem.ops = kept.iter().map(|&at| problem.ops[at as usize]).collect();
        index = kept.iter().map(|&at| index[at as usize]).collect();
    }
    let unbound = problem.ops.clone();
    if budget.rules & R5 != 0 {
        problem.settle(true);
    }
    let mut limits = Limits {
        memory_bytes: budget.memory_bytes,
        states_max: budget.states_max,
        pulse,
    };
    let mut found = search(problem, model, budget.rules, &limits);
    said.minimal = true;
    if matches!(found.end, End::Invalid) && budget.rules & (R5 | R6) != 0 && problem.register.is_some() {
        // R5 (b) and R6 know the future, so they fail too early for an explanation
        limits.states_max = limits.states_max.min(20_000 + 10 * found.states);
        let plain = Problem {
            ops: unbound,
            classes: problem.classes.clone(),
            register: problem.register,
            negative: problem.negative,
        };
        let again = search(&plain, model, budget.rules & !(R5 | R6), &limits);
        said.minimal = matches!(again.end, End::Invalid);
        if said.minimal {
            let states = found.states + again.states;
            found = Found { states, ..again };
            *problem = plain;
        }
    }
    let halt = finish(
        &mut said,
        found.end,
        &found.returns,
        found.deepest,
        problem,
        &index,
    );
    (said.states, said.bytes) = (found.states, found.bytes + least);
    let mut stuck = found.stuck;
    stuck
        .iter_mut()
        .for_each(|(_, order)| order.iter_mut().for_each(|op| *op = index[*op as usize]));
    (said, stuck, halt)
}

fn finish(
    said: &mut Answer,
    end: End,
    returns: &[u32],
    deepest: usize,
    problem: &Problem,
    index: &[u32],
) -> Option<Halt> {
    (said.returns, said.deepest) = (returns.len(), deepest);
    let place = |op: u32| index[op as usize];
    said.blocking = returns.get(deepest).map(|&op| place(op));
    match end {
        End::Valid(order) => {
            said.word = "valid";
            (said.blocking, said.deepest) = (None, returns.len());
            said.ops = order.into_iter().map(place).collect();
        }
        End::Invalid => {
            said.word = "invalid";
            let last = problem.ops[returns[deepest] as usize].ret;
            let inside = (0..problem.ops.len() as u32).filter(|&op| problem.ops[op as usize].call <= last);
            said.ops = inside.map(place).collect();
        }
        End::Halted(halt) => {
            said.word = "unknown";
            said.reason = match &halt {
                Halt::Deadline => "the deadline passed".into(),
                Halt::Memory => "the memory budget is used up".into(),
                Halt::States => "the budget of states is used up".into(),
                Halt::Interrupted => "interrupted".into(),
                Halt::Model { class, reason } => {
                    let op = problem
                        .ops
                        .iter()
                        .position(|op| op.class == *class)
                        .map_or(NONE, |op| index[op]);
                    said.blocking = Some(op);
                    format!("at operation #{op}: {reason}")
                }
            };
            return Some(halt);
        }
    }
    None
}

/// Has the time passed?
pub fn late(budget: &Budget) -> Result<(), Halt> {
    match budget.deadline {
        Some(deadline) if Instant::now() >= deadline => Err(Halt::Deadline),
        _ => Ok(()),
    }
}

/// What the signals say, if this is the thread that gets them. An exception is left in `raised`.
pub fn signals(raised: &Mutex<Option<PyErr>>) -> Result<(), Halt> {
    Python::attach(|py| py.check_signals()).map_err(|error| {
        raised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        Halt::Interrupted
    })
}

/// Clients' calls key by key: the keys that have any, and where each one's calls are.
pub struct Calls {
    pub keys: Vec<u32>,
    calls: Vec<u32>,
    starts: Vec<u32>,
}

impl Calls {
    pub fn of(columns: &Columns) -> Calls {
        let (calls, starts) = by_key(columns);
        let keys = (0..columns.keys.len()).filter(|&key| starts[key] < starts[key + 1]);
        Calls {
            keys: keys.map(|key| key as u32).collect(),
            calls,
            starts,
        }
    }

    fn sizes(&self) -> Vec<usize> {
        (0..self.keys.len()).map(|n| self.part(n).len()).collect()
    }

    pub fn part(&self, n: usize) -> &[u32] {
        let key = self.keys[n] as usize;
        &self.calls[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

/// Judge every key with a built-in model, without the interpreter's lock; so many keys at once, 0 for one per core.
///
/// Keys that run beside each other share the memory; one for which its share was too little is tried again alone, so that the answer
/// does not depend on the number of threads.
pub fn native(
    py: Python<'_>,
    columns: &Columns,
    name: &str,
    initial: Option<&[u8]>,
    budget: Budget,
    threads: usize,
) -> PyResult<Vec<Answer>> {
    let (raised, stop) = (Mutex::new(None), AtomicBool::new(false));
    let answers = py.detach(|| {
        let work = Calls::of(columns);
        let sizes = work.sizes();
        let workers = parallel::workers(&sizes, threads);
        let share = Budget {
            memory_bytes: budget.memory_bytes / workers,
            ..budget
        };
        let alone = || signals(&raised).and_then(|()| late(&budget));
        let beside = || {
            if stop.load(Ordering::Relaxed) {
                Err(Halt::Interrupted)
            } else {
                late(&budget)
            }
        };
        let pulse: &(dyn Fn() -> Result<(), Halt> + Sync) = if workers == 1 { &alone } else { &beside };
        let watch = &mut || {
            stop.store(
                signals(&raised).is_err() || stop.load(Ordering::Relaxed),
                Ordering::Relaxed,
            )
        };
        let one = |n: usize, budget: &Budget, pulse: &dyn Fn() -> Result<(), Halt>| {
            native_key(columns, work.keys[n], work.part(n), name, initial, budget, pulse)
        };
        let mut answers = parallel::watched(&sizes, workers, || (), |(), n| one(n, &share, pulse), watch);
        for (n, answer) in answers.iter_mut().enumerate() {
            if workers > 1 && matches!(answer, Ok((_, Some(Halt::Memory)))) {
                *answer = one(n, &budget, &alone);
            }
        }
        answers
    });
    if let Some(error) = raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    answers
        .into_iter()
        .map(|answer| answer.map(|(said, _)| said))
        .collect()
}

pub(crate) fn native_key(
    columns: &Columns,
    key: u32,
    calls: &[u32],
    name: &str,
    initial: Option<&[u8]>,
    budget: &Budget,
    pulse: &dyn Fn() -> Result<(), Halt>,
) -> PyResult<(Answer, Option<Halt>)> {
    let unknown = || PyValueError::new_err(format!("the model {name:?} is not built in"));
    let mut model = Native::new(name, initial, columns)
        .ok_or_else(unknown)?
        .map_err(PyValueError::new_err)?;
    let mut cut = cut(columns, calls, |call| {
        Ok(model.read(columns, call, budget.failed_cas))
    })?;
    cut.problem.classes = model.classes.clone();
    cut.problem.negative = model.has_failed_cas();
    if matches!(model.kind, Kind::Register | Kind::CasRegister) {
        cut.problem.register = Some(model.initial());
    }
    let (mut said, stuck, halt) = answer(cut, key, &mut model, budget, pulse);
    let shown = |(state, order)| (model.show(state, columns), order);
    said.stuck = stuck.into_iter().map(shown).collect();
    Ok((said, halt))
}
