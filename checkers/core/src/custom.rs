//! A user's own object: Python steps, remembered as transitions between numbered states.
//!
//! `step(state, op)` is called once per state and class of operations, however often the search comes by.

use crate::columns::{Columns, FAIL, OK};
use crate::intern::NONE;
use crate::search::problem::Class;
use crate::search::{Halt, Model};
use crate::watchdog::OutOfTime;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyTuple};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What remembering a state and a step takes, beside the state itself.
const STATE_BYTES: usize = 300;
const STEP_BYTES: usize = 40;

pub struct Custom<'py, 'a> {
    pub classes: Vec<Class>,
    py: Python<'py>,
    name: String,
    step: Bound<'py, PyAny>,
    make: Bound<'py, PyAny>,
    readonly: Option<Bound<'py, PyAny>>,
    inconsistent: Bound<'py, PyAny>,
    ids: Bound<'py, PyDict>,
    states: Vec<Bound<'py, PyAny>>,
    ops: Vec<Bound<'py, PyAny>>,
    known: HashMap<(u32, u32, u32), u32>,
    memo: HashMap<(u32, u32), u32>,
    pulse: &'a dyn Fn() -> Result<(), Halt>,
    bytes: usize,
    /// A KeyboardInterrupt and the like, to be raised again.
    pub raised: Option<PyErr>,
}

/// Shorter than this a step is not to blame for the deadline.
const SLOW: Duration = Duration::from_millis(50);

/// Bytes of a state, and of the tuples and sets right inside it; what else is inside, states mostly share.
fn weight(state: &Bound<'_, PyAny>) -> usize {
    let holds =
        |item: &Bound<'_, PyAny>| item.is_instance_of::<PyTuple>() || item.is_instance_of::<PyFrozenSet>();
    let own = |item: &Bound<'_, PyAny>| {
        let size = item
            .call_method0("__sizeof__")
            .and_then(|size| size.extract::<usize>());
        size.unwrap_or(0)
    };
    let items = holds(state).then(|| state.try_iter().ok()).flatten();
    let inside = items.into_iter().flatten().flatten().filter(holds);
    own(state) + inside.map(|item| own(&item)).sum::<usize>()
}

impl<'py, 'a> Custom<'py, 'a> {
    /// `make(f id, argument id, result id)` returns the operation that `step` sees; ids are None where nothing is known.
    pub fn new(
        model: &Bound<'py, PyAny>,
        make: Bound<'py, PyAny>,
        inconsistent: Bound<'py, PyAny>,
        pulse: &'a dyn Fn() -> Result<(), Halt>,
    ) -> PyResult<Self> {
        let py = model.py();
        let mut custom = Custom {
            classes: Vec::new(),
            py,
            name: model.get_type().name()?.to_string(),
            step: model.getattr("step")?,
            make,
            readonly: model.getattr_opt("readonly")?,
            inconsistent,
            ids: PyDict::new(py),
            states: Vec::new(),
            ops: Vec::new(),
            known: HashMap::new(),
            memo: HashMap::new(),
            pulse,
            bytes: 0,
            raised: None,
        };
        custom.state(model.getattr("init")?.call0()?)?;
        Ok(custom)
    }

    fn state(&mut self, state: Bound<'py, PyAny>) -> PyResult<u32> {
        if let Some(id) = self.ids.get_item(&state)? {
            return id.extract();
        }
        let id = self.states.len() as u32;
        self.ids.set_item(&state, id)?;
        self.bytes += STATE_BYTES + weight(&state);
        self.states.push(state);
        Ok(id)
    }

    /// The class of a call; None if it failed.
    pub fn read(&mut self, columns: &Columns, call: usize) -> PyResult<Option<u32>> {
        let outcome = columns.outcome(call);
        if outcome == FAIL {
            return Ok(None);
        }
        let result = if outcome == OK {
            columns.value[columns.pair[call] as usize]
        } else {
            NONE
        };
        let key = (columns.f[call], columns.value[call], result);
        if let Some(&id) = self.known.get(&key) {
            return Ok(Some(id));
        }
        let some = |id: u32| (id != NONE).then_some(id);
        let op = self.make.call1((key.0, some(key.1), some(key.2)))?;
        let readonly = match &self.readonly {
            Some(readonly) => readonly.call1((&op,))?.is_truthy()?,
            None => false,
        };
        let id = self.ops.len() as u32;
        self.ops.push(op);
        self.classes.push(Class {
            readonly,
            observes: outcome == OK,
            ..Class::PLAIN
        });
        self.known.insert(key, id);
        Ok(Some(id))
    }

    fn call(&mut self, state: u32, class: u32) -> PyResult<u32> {
        let (from, op) = (&self.states[state as usize], &self.ops[class as usize]);
        let to = self.step.call1((from, op))?;
        if to.is(&self.inconsistent) {
            return Ok(NONE);
        }
        let next = self.state(to)?;
        if self.classes[class as usize].readonly && next != state {
            let text = "readonly says that the operation changes nothing, but step changed the state";
            return Err(pyo3::exceptions::PyValueError::new_err(text));
        }
        Ok(next)
    }

    pub fn show(&self, state: u32) -> String {
        let shown = self.states[state as usize].repr();
        shown.map_or_else(|_| format!("state {state}"), |text| text.to_string())
    }
}

impl Model for Custom<'_, '_> {
    fn initial(&self) -> u32 {
        0
    }

    fn step(&mut self, state: u32, class: u32) -> Result<u32, Halt> {
        if let Some(&next) = self.memo.get(&(state, class)) {
            return Ok(next);
        }
        let begin = Instant::now();
        let next = match self.call(state, class) {
            Ok(next) => next,
            Err(error) if error.is_instance_of::<OutOfTime>(self.py) => {
                if begin.elapsed() < SLOW {
                    return Err(Halt::Deadline);
                }
                let reason = format!(
                    "the deadline passed while step of {} ran, for {:.1} s by then",
                    self.name,
                    begin.elapsed().as_secs_f64()
                );
                return Err(Halt::Model { class, reason });
            }
            Err(error) if !error.is_instance_of::<pyo3::exceptions::PyException>(self.py) => {
                self.raised = Some(error);
                return Err(Halt::Interrupted);
            }
            Err(error) => {
                let reason = format!(
                    "in state {}, step of {} raised {error}",
                    self.show(state),
                    self.name
                );
                return Err(Halt::Model { class, reason });
            }
        };
        (self.pulse)()?;
        self.memo.insert((state, class), next);
        Ok(next)
    }

    fn bytes(&self) -> usize {
        self.bytes + self.memo.capacity() * STEP_BYTES
    }
}
