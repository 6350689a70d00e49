//! Jepsen's EDN in its common shape, straight into columns. Anything else is left to the reader in Python.
//!
//! ```text
//!     {:process 0, :type :invoke, :f :write, :value 1} ──► {"process":0,"type":"invoke",…} ──► Columns
//!     #inst "…", 1N, \a, a fault of any kind  ──► None: `checkers/formats` reads the file, or says what is wrong with it
//! ```
//!
//! So this has no errors of its own, and no answer that the other would not give: `tests/checkers/formats/test_fast_edn.py` compares the two.

mod records;
mod values;

use crate::columns::{Columns, Pairing};
use crate::jsonl::Line;
use records::{is_keyed, Record, Records};
use std::io::{self, Read, Seek};
use values::{Reader, Seen, Step, Stop};

const PIECE: usize = 1 << 18;
const RECORD_MAX: usize = 1 << 24;

/// The history in the file, or None if it has something that only the other reader knows.
pub fn load(mut file: impl Read + Seek) -> io::Result<Option<Columns>> {
    let mut keyed = Some(false);
    let (mut nested, mut record) = (false, Record::default());
    let mut source = Source::new(&mut file);
    loop {
        match source.next(&mut record)? {
            None => return Ok(None),
            Some(false) => break,
            Some(true) => keyed = is_keyed(&record, &mut nested),
        }
        if keyed.is_some() {
            break;
        }
    }
    file.rewind()?;
    read(Source::new(file), keyed.unwrap_or(nested))
}

fn read(mut source: Source<impl Read>, keyed: bool) -> io::Result<Option<Columns>> {
    let (mut columns, mut pairing, mut line) = (Columns::default(), Pairing::default(), Line::default());
    let (mut record, mut records, mut text) = (Record::default(), Records::new(keyed), Vec::new());
    while let Some(more) = source.next(&mut record)? {
        if !more {
            columns.shrink();
            return Ok((!source.seen.clash()).then_some(columns));
        }
        text.clear();
        let good = records.line(&record, &mut text).is_some()
            && line.read(&text).is_ok()
            && columns.push(&line, &mut pairing).is_ok();
        if !good {
            break;
        }
    }
    Ok(None)
}

/// The records of a file, of which no more is held than a piece.
struct Source<R> {
    file: R,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    begun: bool,
    /// What closes the vector or list around the records.
    close: Option<u8>,
    seen: Seen,
}

impl<R: Read> Source<R> {
    fn new(file: R) -> Self {
        Source {
            file,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            begun: false,
            close: None,
            seen: Seen::default(),
        }
    }

    /// Is there another record? None if there is something strange.
    fn next(&mut self, record: &mut Record) -> io::Result<Option<bool>> {
        loop {
            let mut reader = Reader::new(&self.buffer[self.at..], self.ended, &mut self.seen);
            let step = if self.begun {
                follow(&mut reader, self.close, record).map(Some)
            } else {
                begin(&mut reader).map(|close| {
                    self.close = close;
                    None
                })
            };
            let size = reader.at;
            match step {
                Ok(more) => {
                    self.at += size;
                    self.begun = true;
                    if more.is_some() {
                        return Ok(more);
                    }
                }
                Err(Stop::Strange) => return Ok(None),
                Err(Stop::More) if self.buffer.len() - self.at > RECORD_MAX => return Ok(None),
                Err(Stop::More) => self.fill()?,
            }
        }
    }

    /// Take at least as much again, so that a long record is not gone over many times.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let wanted = self.buffer.len().max(PIECE) as u64;
        self.ended = self.file.by_ref().take(wanted).read_to_end(&mut self.buffer)? == 0;
        Ok(())
    }
}

/// The beginning: a mark of UTF-8, and the bracket around the records, if there is one.
fn begin(reader: &mut Reader) -> Step<Option<u8>> {
    reader.mark()?;
    reader.blank()?;
    let close = match reader.peek()? {
        Some(b'[') => Some(b']'),
        Some(b'(') => Some(b')'),
        _ => None,
    };
    reader.at += usize::from(close.is_some());
    Ok(close)
}

/// Read the next record. False at the end.
fn follow(reader: &mut Reader, close: Option<u8>, record: &mut Record) -> Step<bool> {
    reader.blank()?;
    match (reader.peek()?, close) {
        (None, None) => return Ok(false),
        (Some(byte), Some(close)) if byte == close => {
            reader.at += 1;
            reader.blank()?;
            return match reader.peek()? {
                None => Ok(false),
                Some(_) => Err(Stop::Strange),
            };
        }
        (Some(b'#'), _) => reader.tag_of_record()?,
        _ => {}
    }
    record.read(reader)?;
    Ok(true)
}
