//! From the maps of a Jepsen history to lines of ours: the rules of `checkers/formats/records.py`, for records without a fault.

use super::values::{integer, quote, Reader, Step, Stop};
use crate::columns::{INFO, INVOKE, OK};
use crate::jsonl::elements;
use std::collections::HashMap;
use std::io::Write;

const KINDS: [&[u8]; 4] = [b"\"invoke\"", b"\"ok\"", b"\"fail\"", b"\"info\""];
const TRANSACTION: &[u8] = b"\"txn\"";
const MICRO: [&[u8]; 5] = [b"\"r\"", b"\"w\"", b"\"append\"", b"\"read\"", b"\"write\""];
/// Calls without an argument: under independent keys their value is `[k nil]`.
const READS: [&[u8]; 10] = [
    b"\"read\"",
    b"\"get\"",
    b"\"dequeue\"",
    b"\"pop\"",
    b"\"peek\"",
    b"\"poll\"",
    b"\"take\"",
    b"\"drain\"",
    b"\"acquire\"",
    b"\"release\"",
];
/// Calls to which nil is an argument like any other.
const WRITES: [&[u8]; 9] = [
    b"\"write\"",
    b"\"put\"",
    b"\"set\"",
    b"\"cas\"",
    b"\"add\"",
    b"\"append\"",
    b"\"enqueue\"",
    b"\"push\"",
    b"\"offer\"",
];

/// A field: absent if empty. The texts are JSON.
#[derive(Default)]
pub struct Record {
    index: Vec<u8>,
    time: Vec<u8>,
    process: Vec<u8>,
    kind: Vec<u8>,
    f: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    error: Vec<u8>,
    other: Vec<u8>,
    /// The names of the other fields, each twice at most.
    names: Vec<Vec<u8>>,
}

impl Record {
    /// Read the map that stands here.
    pub fn read(&mut self, reader: &mut Reader) -> Step {
        for field in [
            &mut self.index,
            &mut self.time,
            &mut self.process,
            &mut self.kind,
            &mut self.f,
            &mut self.key,
            &mut self.value,
            &mut self.error,
        ] {
            field.clear();
        }
        self.names.clear();
        reader.expect(b'{')?;
        loop {
            reader.blank()?;
            if reader.peek()? == Some(b'}') {
                break;
            }
            let name = reader.keyword()?;
            reader.blank()?;
            // only what may become a value of the history is looked at for keywords and texts that are the same
            let (field, depth) = match name {
                b"index" => (&mut self.index, 3),
                b"time" => (&mut self.time, 3),
                b"process" => (&mut self.process, 3),
                b"type" => (&mut self.kind, 3),
                b"f" => (&mut self.f, 3),
                b"key" => (&mut self.key, 0),
                b"value" => (&mut self.value, 0),
                b"error" => (&mut self.error, 3),
                _ => {
                    if self.names.iter().any(|other| other == name) {
                        return Err(Stop::Strange);
                    }
                    self.names.push(name.to_vec());
                    self.other.clear();
                    (&mut self.other, 3)
                }
            };
            if !field.is_empty() {
                return Err(Stop::Strange);
            }
            let start = reader.at;
            reader.value(field, depth)?;
            if std::str::from_utf8(reader.since(start)).is_err() {
                return Err(Stop::Strange);
            }
        }
        reader.expect(b'}')
    }
}

/// Are the values `[k v]`? None if this record does not tell. `nested`: some compare-and-set had a pair in a pair.
pub fn is_keyed(record: &Record, nested: &mut bool) -> Option<bool> {
    if record.kind != KINDS[0] || record.process == b"\"nemesis\"" {
        return None;
    }
    if !record.key.is_empty() || record.f.is_empty() {
        return Some(false);
    }
    let parts = elements(&record.value).unwrap_or_default();
    let &[_, second] = &parts[..] else {
        return Some(false);
    };
    if READS.contains(&&record.f[..]) {
        return Some(second == b"null");
    }
    let cas = record.f == b"\"cas\"";
    if cas && elements(second).is_none_or(|pair| pair.len() != 2) {
        return Some(false);
    }
    *nested |= cas;
    None
}

/// A call that is open: what its completion must repeat.
struct Call {
    f: Vec<u8>,
    name: Vec<u8>,
    key: Vec<u8>,
}

/// What is known while records come in order.
pub struct Records {
    keyed: bool,
    time: i64,
    index: i64,
    open: HashMap<i64, Call>,
}

impl Records {
    pub fn new(keyed: bool) -> Self {
        Records {
            keyed,
            time: -1,
            index: -1,
            open: HashMap::new(),
        }
    }

    /// Append the line of the record. None if it is strange.
    pub fn line(&mut self, record: &Record, out: &mut Vec<u8>) -> Option<()> {
        let kind = KINDS.iter().position(|kind| record.kind == *kind)? as u8;
        self.advance(record)?;
        if record.f.first() != Some(&b'"') {
            return None;
        }
        if record.process == b"\"nemesis\"" {
            self.put(kind, &record.process, &record.f, b"", &record.value, out);
            return close(record, out);
        }
        let process = integer(&record.process)?;
        if kind == INVOKE {
            self.call(process, record, out)?;
            let end = out.len();
            close(record, out)?;
            out.truncate(end); // a call has no error
            out.push(b'}');
            return Some(());
        }
        self.completion(process, kind, record, out)?;
        close(record, out)
    }

    /// Go on by index and time.
    fn advance(&mut self, record: &Record) -> Option<()> {
        if !record.index.is_empty() && record.index != b"null" {
            let index = integer(&record.index)?;
            if index <= self.index {
                return None;
            }
            self.index = index;
        }
        self.time += 1;
        if !record.time.is_empty() && record.time != b"null" {
            self.time = self.time.max(integer(&record.time)?);
        }
        Some(())
    }

    fn call(&mut self, process: i64, record: &Record, out: &mut Vec<u8>) -> Option<()> {
        let parts = elements(&record.value);
        let micro = parts
            .as_ref()
            .is_some_and(|parts| !parts.is_empty() && parts.iter().all(|part| is_micro(part)));
        let name = if micro { TRANSACTION } else { &record.f };
        let (key, mut value) = if self.keyed {
            let &[key, value] = &parts?[..] else { return None };
            (key, value)
        } else {
            (&record.key[..], &record.value[..])
        };
        if value == b"null" && !WRITES.contains(&name) {
            value = b"";
        }
        self.put(INVOKE, &record.process, name, key, value, out);
        let call = Call {
            f: record.f.clone(),
            name: name.to_vec(),
            key: key.to_vec(),
        };
        self.open.insert(process, call).is_none().then_some(())
    }

    fn completion(&mut self, process: i64, kind: u8, record: &Record, out: &mut Vec<u8>) -> Option<()> {
        let call = self.open.remove(&process)?;
        if record.f != call.f {
            return None;
        }
        let parts = if self.keyed { elements(&record.value) } else { None };
        let (key, mut value) = match parts.as_deref() {
            Some(&[key, value]) => (key, value),
            _ if self.keyed && kind == OK => (&call.key[..], &record.value[..]),
            _ if self.keyed => (&call.key[..], &b""[..]),
            _ if record.key.is_empty() => (&call.key[..], &record.value[..]),
            _ => (&record.key[..], &record.value[..]),
        };
        let plain = |key| if key == b"" { &b"null"[..] } else { key };
        if plain(key) != plain(&call.key) {
            return None;
        }
        if value == b"null" && (kind != OK || WRITES.contains(&&call.name[..])) {
            value = b"";
        }
        self.put(kind, &record.process, &call.name, key, value, out);
        Some(())
    }

    /// Append a line but for its error and end.
    fn put(&self, kind: u8, process: &[u8], name: &[u8], key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        debug_assert!(kind <= INFO);
        out.extend_from_slice(b"{\"time\":");
        write!(out, "{}", self.time).expect("memory does not fail");
        let optional = |text: &[u8]| !text.is_empty();
        for (name, text, there) in [
            (&b",\"process\":"[..], process, true),
            (b",\"type\":", KINDS[kind as usize], true),
            (b",\"f\":", name, true),
            (b",\"key\":", key, optional(key) && key != b"null"),
            (b",\"value\":", value, optional(value)),
        ] {
            if there {
                out.extend_from_slice(name);
                out.extend_from_slice(text);
            }
        }
    }
}

/// Append the error, in words, and the end. None if the error has words that only the other reader finds.
fn close(record: &Record, out: &mut Vec<u8>) -> Option<()> {
    match record.error.first() {
        None | Some(b'n') => {}
        Some(b'"') => {
            out.extend_from_slice(b",\"error\":");
            out.extend_from_slice(&record.error);
        }
        Some(_) => {
            let parts = elements(&record.error)?;
            let mut text = Vec::with_capacity(record.error.len() + 8);
            for (n, part) in parts.into_iter().enumerate() {
                let space: &[u8] = if n > 0 { b" " } else { b"" };
                text.extend_from_slice(space);
                match part {
                    b"null" => text.extend_from_slice(b"nil"),
                    b"true" | b"false" => text.extend_from_slice(part),
                    [b'"', name @ .., b'"'] if name.is_ascii() && !name.contains(&b'\\') => {
                        text.extend_from_slice(b"\\\"");
                        text.extend_from_slice(name);
                        text.extend_from_slice(b"\\\"");
                    }
                    _ => text.extend_from_slice(integer(part).map(|_| part)?),
                }
            }
            out.extend_from_slice(b",\"error\":");
            quote(&[b"[", &text[..], b"]"].concat(), out);
        }
    }
    out.push(b'}');
    Some(())
}

fn is_micro(part: &[u8]) -> bool {
    elements(part).is_some_and(|parts| parts.len() == 3 && MICRO.contains(&parts[0]))
}
