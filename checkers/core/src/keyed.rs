//! How a judgement key by key is shown to Python.

use crate::columns::Columns;
use crate::register::{judge_keys, Act, Answer, Key, Op, Status};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// key id, "valid" | "invalid" | "unknown", anomaly or reason, indices of calls as u32, operations, observations.
pub type Judged<'py> = (u32, &'static str, String, Bound<'py, PyBytes>, usize, usize);

/// Judge every key without the interpreter's lock, so many at once; 0 for one per core.
pub fn judged<'py>(
    py: Python<'py>,
    columns: &Columns,
    threads: usize,
    check: impl Fn(&Key) -> Answer + Sync + Send,
    observations: impl Fn(&Key) -> usize + Sync + Send,
) -> Vec<Judged<'py>> {
    let judge = |key: &Key| {
        let seen = observations(key);
        let (word, text, mut ops) = match check(key) {
            Answer::Legal(ops) => ("valid", String::new(), ops),
            Answer::Illegal { anomaly, core } => ("invalid", anomaly.to_string(), core),
            Answer::Unknown(reason) => ("unknown", reason, Vec::new()),
        };
        ops.iter_mut().for_each(|at| *at = key.index[*at as usize]);
        (key.id, word, text, ops, key.ops.len(), seen)
    };
    let answers = py.detach(|| judge_keys(columns, threads, judge));
    let shown = |(id, word, text, ops, size, seen): (u32, &'static str, String, Vec<u32>, usize, usize)| {
        (id, word, text, bytes(py, &ops, u32::to_ne_bytes), size, seen)
    };
    answers.into_iter().map(shown).collect()
}

/// How many operations saw a value.
pub fn observations(key: &Key) -> usize {
    let saw = |op: &&Op| op.status == Status::Ok && op.act != Act::Write;
    key.ops.iter().filter(saw).count()
}

/// Numbers as bytes in the machine's order.
pub fn bytes<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    items: &[T],
    encode: fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let mut out = Vec::with_capacity(items.len() * N);
    items
        .iter()
        .for_each(|&item| out.extend_from_slice(&encode(item)));
    PyBytes::new(py, &out)
}
