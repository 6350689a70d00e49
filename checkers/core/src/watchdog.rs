//! Ends Python code that runs past the deadline: an exception is raised in its thread, and again until it leaves.
//!
//! ```text
//!   the user's step     |-- while True: ... --------×     OutOfTime, a BaseException
//!   watchdog            |------ deadline ------|raise
//! ```
//! What was raised and did not arrive in time is received in `stop`, and never taken back: CPython 3.11 keeps a mark that something is to be raised, and
//! takes it away on arrival only. With the mark left, every function that is traced later, by a debugger or for coverage, would never begin.
//!
//! It reaches code that the interpreter executes. A call into C that does not come back (a long `re` match, a `sleep`, a lock) gets it only on return.

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::c_long;
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pyo3::create_exception!(
    _core,
    OutOfTime,
    PyBaseException,
    "The deadline passed while a model ran."
);

/// How long code that has caught the exception may go on before the next one.
const AGAIN: Duration = Duration::from_millis(50);

pub struct Watchdog {
    running: Option<(Sender<()>, JoinHandle<bool>)>, // whether it raised
}

impl Watchdog {
    /// Watch this thread until the deadline, if there is one.
    pub fn start(py: Python<'_>, deadline: Option<Instant>) -> PyResult<Watchdog> {
        let target: c_long = py.import("threading")?.call_method0("get_ident")?.extract()?;
        let running = deadline.map(|deadline| {
            let (stop, stopped) = channel();
            let watch = move || {
                let (mut wait, mut raised) = (deadline.saturating_duration_since(Instant::now()), false);
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    Python::attach(|py| raise(target, py.get_type::<OutOfTime>().as_any()));
                    (wait, raised) = (AGAIN, true);
                }
                raised
            };
            (stop, std::thread::spawn(watch))
        });
        Ok(Watchdog { running })
    }

    /// Stop watching, and receive what was raised but did not arrive. What else arrives, such as Ctrl-C, is handed on.
    pub fn stop(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some((stop, thread)) = self.running.take() else {
            return Ok(());
        };
        drop(stop);
        let mut left = Ok(());
        if py.detach(|| thread.join()).unwrap_or(true) {
            while let Err(error) = py.run(c"pass", Some(&PyDict::new(py)), None) {
                if !error.is_instance_of::<OutOfTime>(py) {
                    left = Err(error);
                }
            }
        }
        left
    }
}

/// Set the exception that the thread meets next. Needs the interpreter's lock.
fn raise(thread: c_long, what: &Bound<'_, PyAny>) {
    // SAFETY: the caller is attached; the class outlives the call, and the interpreter takes its own reference
    unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(thread, what.as_ptr()) };
}
