//! `checkers._core`: the binding, and nothing but the binding.
mod causal;
mod chunks;
mod columns;
mod custom;
mod digraph;
mod edn;
mod exact;
#[cfg(test)]
mod fuzz;
mod gamma;
mod guarantees;
mod interleave;
mod intern;
mod jsonl;
mod judge;
mod keyed;
mod models;
mod ordered;
mod parallel;
mod register;
mod regular;
mod search;
mod sequential;
mod sessions;
mod special;
mod watchdog;
mod watched;
mod zones;

use chunks::Chunks;
use columns::Columns;
use intern::NONE;
use keyed::{bytes, judged, observations, Judged};
use ordered::{ordered, Ordered};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};
use register::judge_keys;
use std::fs::File;
use std::io::BufReader;

/// A history on this side of the border. Read only, so that any number of threads may check it.
#[pyclass(frozen, name = "Columns")]
struct PyColumns(Columns);

/// key id, measured, observations, Delta and Gamma in ns, scores of values above 0 for each (i64).
type Shifted<'py> = (
    u32,
    bool,
    usize,
    Option<i64>,
    Option<i64>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

/// Reads, then per stale read its call, versions and age; keys left out.
type Stale<'py> = (
    u64,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    u32,
);

type Record = (i64, u8, u32, u32, u32, Option<u32>, Option<u32>);

fn optional(id: u32) -> Option<u32> {
    (id != NONE).then_some(id)
}

#[pymethods]
impl PyColumns {
    /// Read a file of JSON lines. OSError if it cannot be opened, ValueError with the sentence for a bad line.
    #[staticmethod]
    fn load(py: Python<'_>, path: &str) -> PyResult<Self> {
        let file = File::open(path).map_err(PyOSError::new_err)?;
        let columns = py.detach(|| Columns::read(BufReader::with_capacity(1 << 20, file)));
        columns.map(PyColumns).map_err(PyValueError::new_err)
    }

    /// Read a file of Jepsen's EDN in its common shape, None for any other. OSError if it cannot be read.
    #[staticmethod]
    fn load_edn(py: Python<'_>, path: &str) -> PyResult<Option<Self>> {
        let columns = py.detach(|| edn::load(File::open(path)?));
        Ok(columns.map_err(PyOSError::new_err)?.map(PyColumns))
    }

    /// Read JSON lines from bytes.
    #[staticmethod]
    fn parse(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let columns = py.detach(|| Columns::read(data));
        columns.map(PyColumns).map_err(PyValueError::new_err)
    }

    /// Read JSON lines from an iterator over `bytes`, cut anywhere. What the iterator raises is passed on.
    #[staticmethod]
    fn stream(chunks: Bound<'_, PyIterator>) -> PyResult<Self> {
        let mut source = Chunks::new(chunks);
        let columns = Columns::read(&mut source);
        match source.raised {
            Some(error) => Err(error),
            None => columns.map(PyColumns).map_err(PyValueError::new_err),
        }
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }

    /// time, type, process id, f id, key id, value id, error id.
    fn record(&self, at: usize) -> Record {
        let c = &self.0;
        (
            c.time[at],
            c.kind[at],
            c.process[at],
            c.f[at],
            c.key[at],
            optional(c.value[at]),
            optional(c.error[at]),
        )
    }

    fn pair(&self, at: usize) -> Option<u32> {
        optional(self.0.pair[at])
    }

    /// The canonical text of an interned thing; `of` is process, f, key, value or error.
    fn text<'py>(&self, py: Python<'py>, of: &str, id: u32) -> PyResult<Bound<'py, PyBytes>> {
        let c = &self.0;
        let interner = match of {
            "process" => &c.processes,
            "f" => &c.fs,
            "key" => &c.keys,
            "value" => &c.values,
            "error" => &c.errors,
            _ => return Err(PyValueError::new_err("of is process, f, key, value or error")),
        };
        Ok(PyBytes::new(py, interner.text(id)))
    }

    /// How many distinct (processes, fs, keys, values).
    fn sizes(&self) -> (usize, usize, usize, usize) {
        (
            self.0.processes.len(),
            self.0.fs.len(),
            self.0.keys.len(),
            self.0.values.len(),
        )
    }

    /// A column as bytes in the machine's order: time is i64, type u8, the others u32 with 2**32-1 for none.
    fn column<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let c = &self.0;
        Ok(match name {
            "time" => bytes(py, &c.time, i64::to_ne_bytes),
            "type" => PyBytes::new(py, &c.kind),
            "process" => bytes(py, &c.process, u32::to_ne_bytes),
            "f" => bytes(py, &c.f, u32::to_ne_bytes),
            "key" => bytes(py, &c.key, u32::to_ne_bytes),
            "value" => bytes(py, &c.value, u32::to_ne_bytes),
            "error" => bytes(py, &c.error, u32::to_ne_bytes),
            "pair" => bytes(py, &c.pair, u32::to_ne_bytes),
            _ => return Err(PyValueError::new_err("no such column")),
        })
    }

    /// Linearizability by zones, key by key. `threads` here and below: how many keys at once, 0 for one per core.
    #[pyo3(signature = (threads = 0))]
    fn zones<'py>(&self, py: Python<'py>, threads: usize) -> Vec<Judged<'py>> {
        let check = |key: &_| zones::check(key, zones::Failed::Unsaid);
        judged(py, &self.0, threads, check, observations)
    }

    /// Linearizability of a cas-register by zones. `failed_cas`: a failed compare-and-set found another value.
    #[pyo3(signature = (failed_cas, threads = 0))]
    fn cas_zones<'py>(&self, py: Python<'py>, failed_cas: bool, threads: usize) -> Vec<Judged<'py>> {
        let failed = if failed_cas {
            zones::Failed::Saw
        } else {
            zones::Failed::Silent
        };
        judged(
            py,
            &self.0,
            threads,
            |key| zones::check(key, failed),
            observations,
        )
    }

    /// Linearizability of another object with unique values, by the special cases. ValueError if there is none for the model.
    #[pyo3(signature = (model, threads = 0))]
    fn special<'py>(&self, py: Python<'py>, model: &str, threads: usize) -> PyResult<Vec<Judged<'py>>> {
        let answers = py.detach(|| {
            special::check(&self.0, model, threads).or_else(|| exact::check(&self.0, model, threads))
        });
        let answers =
            answers.ok_or_else(|| PyValueError::new_err(format!("{model:?} has no special case")))?;
        let shown = |(id, word, text, ops, size, seen): special::Said| {
            (id, word, text, bytes(py, &ops, u32::to_ne_bytes), size, seen)
        };
        Ok(answers.into_iter().map(shown).collect())
    }

    /// Linearizability by search with a built-in model. ValueError if there is no such model, or its first value does not fit.
    #[pyo3(signature = (model, initial, deadline_ms, memory_bytes, states_max, rules, failed_cas, threads = 0))]
    #[allow(clippy::too_many_arguments)]
    fn search(
        &self,
        py: Python<'_>,
        model: &str,
        initial: Option<&[u8]>,
        deadline_ms: Option<u64>,
        memory_bytes: usize,
        states_max: usize,
        rules: u8,
        failed_cas: bool,
        threads: usize,
    ) -> PyResult<Vec<judge::Answer>> {
        let budget = judge::Budget::new(deadline_ms, memory_bytes, states_max, rules, failed_cas);
        judge::native(py, &self.0, model, initial, budget, threads)
    }

    /// The same with a model in Python.
    #[pyo3(signature = (model, make, inconsistent, deadline_ms, memory_bytes, states_max, rules))]
    #[allow(clippy::too_many_arguments)]
    fn search_custom(
        &self,
        model: &Bound<'_, PyAny>,
        make: &Bound<'_, PyAny>,
        inconsistent: &Bound<'_, PyAny>,
        deadline_ms: Option<u64>,
        memory_bytes: usize,
        states_max: usize,
        rules: u8,
    ) -> PyResult<Vec<judge::Answer>> {
        let budget = judge::Budget::new(deadline_ms, memory_bytes, states_max, rules, false);
        watched::custom(&self.0, model, make, inconsistent, budget)
    }

    /// Weak regularity, key by key.
    #[pyo3(signature = (threads = 0))]
    fn regular<'py>(&self, py: Python<'py>, threads: usize) -> Vec<Judged<'py>> {
        judged(py, &self.0, threads, |key| regular::regular(key).0, observations)
    }

    /// Integrity, key by key.
    #[pyo3(signature = (threads = 0))]
    fn integrity<'py>(&self, py: Python<'py>, threads: usize) -> Vec<Judged<'py>> {
        judged(
            py,
            &self.0,
            threads,
            |key| regular::integrity(key).0,
            observations,
        )
    }

    /// Safety, key by key; only reads that overlap no write count as observations.
    #[pyo3(signature = (threads = 0))]
    fn safe<'py>(&self, py: Python<'py>, threads: usize) -> Vec<Judged<'py>> {
        judged(
            py,
            &self.0,
            threads,
            |key| regular::safe(key).0,
            regular::quiet_reads,
        )
    }

    /// The session guarantees in the mask together: 1 RYW, 2 MR, 4 MW, 8 WFR.
    #[pyo3(signature = (mask, threads = 0))]
    fn guarantees(&self, py: Python<'_>, mask: u8, threads: usize) -> Ordered {
        ordered(py, &self.0, |run| Ok(guarantees::search(run, mask, threads)))
    }

    /// Causal consistency, or causal convergence.
    fn causal(&self, py: Python<'_>, convergence: bool) -> Ordered {
        ordered(py, &self.0, |run| causal::search(run, convergence))
    }

    /// Sequential consistency of the registers together.
    #[pyo3(signature = (deadline_ms, memory_bytes, states_max))]
    fn sequential(
        &self,
        py: Python<'_>,
        deadline_ms: Option<u64>,
        memory_bytes: usize,
        states_max: usize,
    ) -> PyResult<sequential::said::Said> {
        let budget = judge::Budget::new(deadline_ms, memory_bytes, states_max, 0, false);
        sequential::said::judge(py, &self.0, budget)
    }

    /// One order of all calls (u32) out of an order for each key; None if it breaks a process's own.
    fn interleaved<'py>(&self, py: Python<'py>, witness: &[u8]) -> Option<Bound<'py, PyBytes>> {
        let parts = witness.chunks_exact(4);
        let calls: Vec<u32> = parts
            .map(|part| u32::from_ne_bytes([part[0], part[1], part[2], part[3]]))
            .collect();
        let order = py.detach(|| interleave::interleave(&self.0, &calls))?;
        Some(bytes(py, &order, u32::to_ne_bytes))
    }

    /// Per key: id, whether it could be measured, Delta and Gamma in ns (None: no shift is enough), scores of values (i64), values.
    #[pyo3(signature = (threads = 0))]
    fn shifts<'py>(&self, py: Python<'py>, threads: usize) -> Vec<Shifted<'py>> {
        let measure = |key: &register::Key| (key.id, observations(key), gamma::shifts(key));
        let found = py.detach(|| judge_keys(&self.0, threads, measure));
        let none = gamma::Shifts::default();
        let shown = |(id, seen, shifts): &(u32, usize, Option<gamma::Shifts>)| {
            let part = shifts.as_ref().unwrap_or(&none);
            let scores = |list: &[i64]| bytes(py, list, i64::to_ne_bytes);
            let (deltas, gammas) = (scores(&part.deltas), scores(&part.gammas));
            (
                *id,
                shifts.is_some(),
                *seen,
                part.delta,
                part.gamma,
                deltas,
                gammas,
            )
        };
        found.iter().map(shown).collect()
    }

    /// Reads counted; per stale read: call index (u32), versions missed (u32), age in ns (i64); keys that could not be judged.
    #[pyo3(signature = (threads = 0))]
    fn staleness<'py>(&self, py: Python<'py>, threads: usize) -> Stale<'py> {
        let (reads, at, versions, ages, skipped) = py.detach(|| {
            let (mut reads, mut skipped) = (0, 0);
            let (mut at, mut versions, mut ages) = (Vec::new(), Vec::new(), Vec::new());
            let count = |key: &register::Key| {
                let (mut stale, reads) = regular::staleness(key)?;
                stale
                    .iter_mut()
                    .for_each(|read| read.at = key.index[read.at as usize]);
                Some((stale, reads))
            };
            for found in judge_keys(&self.0, threads, count) {
                let Some((stale, count)) = found else {
                    skipped += 1;
                    continue;
                };
                reads += count;
                for read in stale {
                    at.push(read.at);
                    versions.push(read.versions);
                    ages.push(read.age);
                }
            }
            (reads, at, versions, ages, skipped)
        });
        let word = u32::to_ne_bytes;
        (
            reads,
            bytes(py, &at, word),
            bytes(py, &versions, word),
            bytes(py, &ages, i64::to_ne_bytes),
            skipped,
        )
    }

    /// Per function of clients: f id, ok, fail, info, open; latencies of the ok ones in ns, sorted (i64).
    fn latencies<'py>(&self, py: Python<'py>) -> Vec<(u32, u64, u64, u64, u64, Bound<'py, PyBytes>)> {
        let tables = py.detach(|| self.0.latencies());
        let shown = tables
            .into_iter()
            .enumerate()
            .filter(|(_, (counts, _))| counts.iter().sum::<u64>() > 0);
        shown
            .map(|(f, (n, times))| {
                (
                    f as u32,
                    n[0],
                    n[1],
                    n[2],
                    n[3],
                    bytes(py, &times, i64::to_ne_bytes),
                )
            })
            .collect()
    }

    /// (ended ok, all) of the calls by clients made in any of the windows (ns; start included, end not).
    fn done_within(&self, py: Python<'_>, windows: Vec<(i64, i64)>) -> (u64, u64) {
        py.detach(|| self.0.done_within(&windows))
    }

    /// Per process: 1 if it is a client, 0 if it is a name such as "nemesis".
    fn clients<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, &self.0.client, |client| [u8::from(client)])
    }
}

#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<PyColumns>()
}
