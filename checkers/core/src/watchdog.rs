//! Ends Python code that runs past the deadline: an exception is raised in its thread, and again until it leaves.
//!
//! ```text
//!   the user's step     |-- while True: ... --------×     OutOfTime, a BaseException
//!   watchdog            |------ deadline ------|raise
//! ```
//! It reaches code that the interpreter executes. A call into C that does not come back (a long `re` match, a `sleep`, a lock) gets it only on return.

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
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
    target: c_long,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Watchdog {
    /// Watch this thread until the deadline, if there is one.
    pub fn start(py: Python<'_>, deadline: Option<Instant>) -> PyResult<Watchdog> {
        let target: c_long = py.import("threading")?.call_method0("get_ident")?.extract()?;
        let running = deadline.map(|deadline| {
            let (stop, stopped) = channel();
            let watch = move || {
                let mut wait = deadline.saturating_duration_since(Instant::now());
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    Python::attach(|py| raise(target, Some(py.get_type::<OutOfTime>().as_any())));
                    wait = AGAIN;
                }
            };
            (stop, std::thread::spawn(watch))
        });
        Ok(Watchdog { target, running })
    }

    /// Stop watching, and take back what was raised but did not arrive.
    pub fn stop(&mut self, py: Python<'_>) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            py.detach(|| thread.join().ok());
            raise(self.target, None);
        }
    }
}

/// Set the exception that the thread meets next, or none. Needs the interpreter's lock.
fn raise(thread: c_long, what: Option<&Bound<'_, PyAny>>) {
    let what = what.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: the caller is attached; the class outlives the call, and the interpreter takes its own reference
    unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(thread, what) };
}
