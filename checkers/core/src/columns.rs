//! A history as columns: one array per field, every text interned, calls paired with their completions once.
//!
//! About 31 bytes a record, so a million operations (two million records) fit in 62 MB plus their distinct values.

use crate::intern::{Interner, NONE};
use crate::jsonl::{closes, pair, Line};
use std::collections::HashMap;
use std::io::BufRead;

pub const INVOKE: u8 = 0;
pub const OK: u8 = 1;
pub const FAIL: u8 = 2;
pub const INFO: u8 = 3;
/// What some editors put before a text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// The only process that is no client: who makes faults.
const NEMESIS: &[u8] = b"\"nemesis\"";

#[derive(Default)]
pub struct Columns {
    pub time: Vec<i64>,
    pub kind: Vec<u8>,
    pub process: Vec<u32>,
    pub f: Vec<u32>,
    pub key: Vec<u32>,
    pub value: Vec<u32>,
    pub error: Vec<u32>,
    /// The completion of a call, the call of a completion, NONE without either.
    pub pair: Vec<u32>,
    pub processes: Interner,
    pub fs: Interner,
    pub keys: Interner,
    pub values: Interner,
    pub errors: Interner,
    /// Per process: is it a client (an integer)?
    pub client: Vec<bool>,
    /// Per value that a `cas` carries as `[old, new]`: the two parts.
    pub cas: HashMap<u32, (u32, u32)>,
    pub warnings: Vec<String>,
}

/// What is known of a process while reading: idle, in a call, or retired by an `info`.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    Open(u32),
    Retired(u32),
}

#[derive(Default)]
pub struct Pairing {
    states: Vec<State>,
    /// Has the first record no time? Then none has.
    untimed: bool,
}

impl Columns {
    /// Read JSON lines. The error names the line, what is wrong with it, and what to do.
    pub fn read(mut source: impl BufRead) -> Result<Columns, String> {
        let mut columns = Columns::default();
        let mut pairing = Pairing::default();
        let (mut text, mut line, mut number) = (Vec::with_capacity(256), Line::default(), 0usize);
        loop {
            text.clear();
            let size = source
                .read_until(b'\n', &mut text)
                .map_err(|e| format!("cannot be read: {e}"))?;
            if size == 0 {
                break;
            }
            number += 1;
            let whole = text.last() == Some(&b'\n');
            if whole {
                text.pop();
            }
            let text = text.strip_prefix(MARK).filter(|_| number == 1).unwrap_or(&text);
            match line.read(text) {
                Ok(()) => columns
                    .push(&line, &mut pairing)
                    .map_err(|e| format!("line {number} {e}"))?,
                Err(_) if !whole && !closes(text) => {
                    let note = format!(
                        "line {number}, the last, was cut off and is dropped; its operation counts as info"
                    );
                    columns.warnings.push(note);
                }
                Err(error) => return Err(format!("line {number} {error}")),
            }
        }
        columns.shrink();
        Ok(columns)
    }

    pub fn len(&self) -> usize {
        self.time.len()
    }

    pub fn push(&mut self, line: &Line, pairing: &mut Pairing) -> Result<(), String> {
        let at = self.len();
        if at >= NONE as usize - 1 {
            return Err("is past the 4 billion records a history may have; split the run".into());
        }
        if let Some(index) = line.index.filter(|&index| index >= 0 && index != at as i64) {
            return Err(format!(
                "has index {index} where {at} comes next; a record is missing, doubled or out of order"
            ));
        }
        let time = self.time_of(line.time, pairing)?;
        let last = self.time.last().copied().unwrap_or(i64::MIN);
        if time < last {
            return Err(format!(
                "goes back in time, from {last} to {time} ns; record with one monotonic clock, in order"
            ));
        }
        let kind = line.kind.unwrap_or(INVOKE);
        if line.process[0] == b'"' && line.process != NEMESIS {
            let name = String::from_utf8_lossy(&line.process);
            return Err(format!(
                "has the process {name}; give each client a number, and call who makes faults \"nemesis\""
            ));
        }
        let process = self.processes.intern(&line.process);
        if process as usize == pairing.states.len() {
            pairing.states.push(State::Idle);
            self.client.push(line.process[0] != b'"');
        }
        let f = self.fs.intern(&line.f);
        let key = self
            .keys
            .intern(if line.key.is_empty() { b"null" } else { &line.key });
        let partner = self.partner(pairing, process, kind, f, key)?;
        if partner != NONE {
            self.pair[partner as usize] = at as u32;
        }
        let value = if line.value.is_empty() {
            NONE
        } else {
            self.values.intern(&line.value)
        };
        if value != NONE && line.f == b"\"cas\"" && !self.cas.contains_key(&value) {
            if let Some((old, new)) = pair(&line.value) {
                let parts = (self.values.intern(old), self.values.intern(new));
                self.cas.insert(value, parts);
            }
        }
        let error = if line.error.is_empty() {
            NONE
        } else {
            self.errors.intern(&line.error)
        };
        self.time.push(time);
        self.kind.push(kind);
        self.process.push(process);
        self.f.push(f);
        self.key.push(key);
        self.value.push(value);
        self.error.push(error);
        self.pair.push(partner);
        Ok(())
    }

    /// The time of the next record. Without any times the records are a nanosecond apart: at one instant all would be concurrent, and nothing stale.
    fn time_of(&self, given: Option<i64>, pairing: &mut Pairing) -> Result<i64, String> {
        let given = given.filter(|&time| time != -1); // of an operation that nobody stamped
        if self.len() == 0 {
            pairing.untimed = given.is_none();
        }
        match given {
            None if pairing.untimed => Ok(self.len() as i64),
            None => Err("has no time, and those before it have; give every record its time, or none".into()),
            Some(_) if pairing.untimed => {
                Err("has a time, and those before it have none; give every record its time, or none".into())
            }
            Some(time) if time < 0 => Err(format!(
                "has the time {time}; count nanoseconds from the first record on"
            )),
            Some(time) => Ok(time),
        }
    }

    /// The call that this record completes, NONE for a call. Errors are records that no process could have made.
    fn partner(
        &self,
        pairing: &mut Pairing,
        process: u32,
        kind: u8,
        f: u32,
        key: u32,
    ) -> Result<u32, String> {
        let client = self.client[process as usize];
        let state = &mut pairing.states[process as usize];
        let name = || String::from_utf8_lossy(self.processes.text(process)).into_owned();
        if kind == INVOKE {
            match *state {
                State::Open(open) if client => {
                    return Err(format!("is a call by process {} whose call #{open} is still open; one process does one thing at a time", name()));
                }
                State::Retired(end) if client => {
                    return Err(format!(
                        "is a call by process {} after its info #{end}; go on under a fresh process",
                        name()
                    ));
                }
                _ => *state = State::Open(self.len() as u32),
            }
            return Ok(NONE);
        }
        let State::Open(open) = *state else {
            if !client {
                return Ok(NONE);
            }
            return Err(format!(
                "completes nothing: process {} has no open call; record the call first",
                name()
            ));
        };
        let call = open as usize;
        if self.f[call] != f || self.key[call] != key {
            if !client {
                return Ok(NONE);
            }
            return Err(format!(
                "completes call #{open} with another f or key; a completion repeats both"
            ));
        }
        *state = if kind == INFO {
            State::Retired(self.len() as u32)
        } else {
            State::Idle
        };
        Ok(open)
    }

    pub fn shrink(&mut self) {
        self.time.shrink_to_fit();
        self.kind.shrink_to_fit();
        for column in [
            &mut self.process,
            &mut self.f,
            &mut self.key,
            &mut self.value,
            &mut self.error,
            &mut self.pair,
        ] {
            column.shrink_to_fit();
        }
        self.values.shrink();
    }

    /// Is the record a call by a client?
    pub fn is_call(&self, at: usize) -> bool {
        self.kind[at] == INVOKE && self.client[self.process[at] as usize]
    }

    /// Per function: how many calls by clients ended ok, fail, info, or never; the sorted latencies of the ok ones.
    pub fn latencies(&self) -> Vec<([u64; 4], Vec<i64>)> {
        let mut tables = vec![([0; 4], Vec::new()); self.fs.len()];
        for at in (0..self.len()).filter(|&at| self.is_call(at)) {
            let (counts, times) = &mut tables[self.f[at] as usize];
            match (self.pair[at], self.outcome(at)) {
                (NONE, _) => counts[3] += 1,
                (end, OK) => {
                    counts[0] += 1;
                    times.push(self.time[end as usize] - self.time[at]);
                }
                (_, FAIL) => counts[1] += 1,
                _ => counts[2] += 1,
            }
        }
        tables.iter_mut().for_each(|(_, times)| times.sort_unstable());
        tables
    }

    /// Of the calls by clients made in any of the windows (start included, end not): how many ended ok, and how many they are.
    pub fn done_within(&self, windows: &[(i64, i64)]) -> (u64, u64) {
        let inside = |at: usize| {
            let time = self.time[at];
            windows.iter().any(|&(start, end)| start <= time && time < end)
        };
        let (mut done, mut calls) = (0, 0);
        for at in (0..self.len()).filter(|&at| self.is_call(at) && inside(at)) {
            calls += 1;
            done += u64::from(self.outcome(at) == OK);
        }
        (done, calls)
    }

    /// What became of a call: OK, FAIL or INFO. A call without completion is INFO.
    pub fn outcome(&self, call: usize) -> u8 {
        match self.pair[call] {
            NONE => INFO,
            end => self.kind[end as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Columns, String> {
        Columns::read(text.as_bytes())
    }

    const CALL: &str =
        "{\"index\":0,\"time\":5,\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"key\":1}\n";

    #[test]
    fn calls_are_paired() {
        let text = format!(
            "{CALL}{}",
            CALL.replace("\"index\":0", "\"index\":1").replace("invoke", "ok")
        );
        let columns = read(&text).expect("good");
        assert_eq!(columns.pair, [1, 0]);
        assert_eq!(columns.outcome(0), OK);
    }

    #[test]
    fn a_cut_last_line_is_dropped_and_only_that() {
        let cut = format!("{CALL}{{\"index\":1,\"ti");
        let columns = read(&cut).expect("good");
        assert_eq!(
            (columns.len(), columns.warnings.len(), columns.outcome(0)),
            (1, 1, INFO)
        );
        let error = read(&format!("{cut}\n{CALL}")).err().expect("bad");
        assert!(error.starts_with("line 2 "), "{error}");
    }

    #[test]
    fn impossible_records_are_refused() {
        let ok = CALL.replace("invoke", "ok");
        let info = CALL
            .replace("invoke", "info")
            .replace("\"index\":0", "\"index\":1");
        let again = CALL.replace("\"index\":0", "\"index\":2");
        for (text, part) in [
            (ok, "completes nothing"),
            (format!("{CALL}{info}{again}"), "fresh process"),
            (format!("{CALL}{CALL}"), "index 0 where 1"),
            (
                format!("{CALL}{}", info.replace("\"time\":5", "\"time\":4")),
                "back in time",
            ),
            (
                format!("{CALL}{}", info.replace("\"key\":1", "\"key\":2")),
                "another f or key",
            ),
        ] {
            let error = read(&text).err().expect(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
