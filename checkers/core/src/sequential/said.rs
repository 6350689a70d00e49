//! What the search found, as Python is told.

use super::core::shrink;
use super::{search, End, Limits, Steps};
use crate::columns::Columns;
use crate::judge::{late, signals, Budget};
use crate::search::Halt;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Numbers in `ops` are indices of calls: the witness, or the core.
#[derive(Default, IntoPyObject)]
pub struct Said {
    pub word: &'static str,
    pub reason: String,
    pub ops: Vec<u32>,
    pub size: usize,
    pub observations: usize,
    pub sessions: usize,
    pub states: usize,
    pub must: usize,
    pub deepest: usize,
}

/// Judge the run, without the interpreter's lock. What a signal raises is passed on.
pub fn judge(py: Python<'_>, columns: &Columns, budget: Budget) -> PyResult<Said> {
    let raised = Mutex::new(None);
    let said = py.detach(|| {
        let pulse = || signals(&raised).and_then(|()| late(&budget));
        of(
            columns,
            &Limits {
                memory_bytes: budget.memory_bytes,
                states_max: budget.states_max,
                pulse: &pulse,
            },
        )
    });
    match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(said),
    }
}

fn of(columns: &Columns, limits: &Limits) -> Said {
    let all = Steps::of(columns);
    let mut steps = all.clone();
    steps.settle();
    let found = search(&steps, limits);
    let said = Said {
        size: steps.ops,
        observations: steps.reads,
        sessions: steps.sessions.len(),
        states: found.states,
        must: found.must,
        deepest: found.deepest,
        ..Said::default()
    };
    match (found.end, &steps.doubt) {
        (End::Invalid, _) => Said {
            word: "invalid",
            ops: shrink(&all, limits),
            ..said
        },
        (End::Valid(_), Some(doubt)) => Said {
            word: "unknown",
            reason: doubt.clone(),
            ..said
        },
        (End::Valid(order), None) => Said {
            word: "valid",
            ops: order,
            ..said
        },
        (End::Halted(halt), _) => {
            let what = match halt {
                Halt::Deadline => "the deadline passed",
                Halt::Memory => "the memory budget is used up",
                Halt::States => "the budget of states is used up",
                Halt::Interrupted | Halt::Model { .. } => "interrupted",
            };
            Said {
                word: "unknown",
                reason: what.into(),
                ..said
            }
        }
    }
}
