//! A text that Python hands over piece by piece, so that it never lies in memory as a whole.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};
use std::io::{self, BufRead, Read};

/// Reads the `bytes` that an iterator yields. What the iterator raises is kept in `raised`.
pub struct Chunks<'py> {
    items: Bound<'py, PyIterator>,
    chunk: Option<Bound<'py, PyBytes>>,
    at: usize,
    pub raised: Option<PyErr>,
}

impl<'py> Chunks<'py> {
    pub fn new(items: Bound<'py, PyIterator>) -> Self {
        Chunks {
            items,
            chunk: None,
            at: 0,
            raised: None,
        }
    }

    fn rest(&self) -> &[u8] {
        self.chunk
            .as_ref()
            .map_or(&[], |chunk| &chunk.as_bytes()[self.at..])
    }
}

impl BufRead for Chunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.rest().is_empty() {
            let Some(item) = self.items.next() else { break };
            let chunk = item.and_then(|item| Ok(item.cast_into::<PyBytes>()?));
            (self.at, self.chunk) = (0, None);
            self.chunk = Some(chunk.map_err(|error| {
                self.raised = Some(error);
                io::Error::other("the source raised an exception")
            })?);
        }
        Ok(self.rest())
    }

    fn consume(&mut self, size: usize) {
        self.at += size;
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.fill_buf()?;
        let size = rest.read(out)?;
        self.consume(size);
        Ok(size)
    }
}
