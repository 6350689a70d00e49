//! How a search by sessions is shown to Python: steps become indices of calls.

use crate::causal;
use crate::columns::Columns;
use crate::sessions::{Sessions, INITIAL};
use pyo3::prelude::*;

/// anomaly ("" if none), edges (from, to or None for the initial value, kind, because), calls of an unwritten value's read, doubt,
/// tested, sessions, operations. All steps as indices of calls.
pub type Ordered = (
    &'static str,
    Vec<(u32, Option<u32>, &'static str, Vec<u32>)>,
    Vec<u32>,
    Option<String>,
    u64,
    usize,
    usize,
);

/// Search a run by sessions, without the interpreter's lock.
pub fn ordered(
    py: Python<'_>,
    columns: &Columns,
    search: impl Fn(&Sessions) -> Result<causal::Found, String> + Sync,
) -> Ordered {
    py.detach(|| {
        let run = Sessions::of(columns);
        let (sessions, steps) = (run.count(), run.steps.len());
        let (broken, tested, too_large) = match search(&run) {
            Ok(found) => (found.broken, found.tested, None),
            Err(reason) => (None, 0, Some(reason)),
        };
        let call = |at: u32| run.step(at).call;
        let shown = |edge: causal::Edge| {
            let to = (edge.to < INITIAL).then(|| call(edge.to));
            (
                call(edge.from),
                to,
                edge.kind,
                edge.because.into_iter().map(call).collect(),
            )
        };
        let doubt = too_large.or_else(|| run.doubt.clone());
        let (unwritten, calls) = run.unwritten.clone().unwrap_or_default();
        match broken {
            Some(broken) => {
                let edges = broken.edges.into_iter().map(shown).collect();
                (broken.anomaly, edges, Vec::new(), doubt, tested, sessions, steps)
            }
            None => (unwritten, Vec::new(), calls, doubt, tested, sessions, steps),
        }
    })
}
