//! `checkers._core`: the binding, and nothing but the binding.
mod columns;
mod intern;
mod jsonl;

use columns::Columns;
use intern::NONE;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fs::File;
use std::io::BufReader;

/// A history on this side of the border. Read only, so that any number of threads may check it.
#[pyclass(frozen, name = "Columns")]
struct PyColumns(Columns);

type Record<'py> = (i64, u8, u32, u32, u32, Option<u32>, Option<u32>);

fn bytes<'py, T: Copy, const N: usize>(py: Python<'py>, items: &[T], encode: fn(T) -> [u8; N]) -> Bound<'py, PyBytes> {
    let mut out = Vec::with_capacity(items.len() * N);
    items.iter().for_each(|&item| out.extend_from_slice(&encode(item)));
    PyBytes::new(py, &out)
}

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

    /// Read JSON lines from bytes.
    #[staticmethod]
    fn parse(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let columns = py.detach(|| Columns::read(data));
        columns.map(PyColumns).map_err(PyValueError::new_err)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }

    /// time, type, process id, f id, key id, value id, error id.
    fn record(&self, at: usize) -> Record<'_> {
        let c = &self.0;
        (c.time[at], c.kind[at], c.process[at], c.f[at], c.key[at], optional(c.value[at]), optional(c.error[at]))
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
        (self.0.processes.len(), self.0.fs.len(), self.0.keys.len(), self.0.values.len())
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
