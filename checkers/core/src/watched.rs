//! Judging with a user's own model, and what happens when it does not come back.

use crate::columns::Columns;
use crate::custom::Custom;
use crate::judge::{answer, cut, late, signals, Answer, Budget, Calls};
use crate::search::Halt;
use crate::watchdog::{OutOfTime, Watchdog};
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Judge every key with a model in Python. What runs past the deadline is ended.
pub fn custom(
    columns: &Columns,
    model: &Bound<'_, PyAny>,
    make: &Bound<'_, PyAny>,
    inconsistent: &Bound<'_, PyAny>,
    budget: Budget,
) -> PyResult<Vec<Answer>> {
    let (py, raised) = (model.py(), Mutex::new(None));
    let pulse = || signals(&raised).and_then(|()| late(&budget));
    let work = Calls::of(columns);
    let mut answers = Vec::new();
    let mut watchdog = Watchdog::start(py, budget.deadline)?;
    let judged = Custom::new(model, make.clone(), inconsistent.clone(), &pulse)
        .and_then(|mut object| custom_keys(columns, &work, &mut object, &budget, &pulse, &mut answers));
    let interrupted = watchdog.stop(py);
    match judged {
        Err(error) if error.is_instance_of::<OutOfTime>(py) => {
            let name = model.get_type().name()?;
            for &key in &work.keys[answers.len()..] {
                let reason = format!("the deadline passed in init or readonly of {name}");
                answers.push(Answer {
                    key,
                    word: "unknown",
                    reason,
                    ..Answer::default()
                });
            }
        }
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    interrupted?;
    match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(answers),
    }
}

fn custom_keys(
    columns: &Columns,
    work: &Calls,
    object: &mut Custom<'_, '_>,
    budget: &Budget,
    pulse: &dyn Fn() -> Result<(), Halt>,
    answers: &mut Vec<Answer>,
) -> PyResult<()> {
    for (n, &key) in work.keys.iter().enumerate() {
        let mut cut = cut(columns, work.part(n), |call| object.read(columns, call).map(Ok))?;
        cut.problem.classes = object.classes.clone();
        let (mut said, stuck, halt) = answer(cut, key, object, budget, pulse);
        let shown = |(state, order)| (object.show(state), order);
        said.stuck = stuck.into_iter().map(shown).collect();
        answers.push(said);
        if let Some(Halt::Interrupted) = halt {
            return object.raised.take().map_or(Ok(()), Err);
        }
    }
    Ok(())
}
