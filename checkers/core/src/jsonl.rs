//! One line of history, read without building a tree.
//!
//! Values are kept as *canonical* text: no spaces, dict keys sorted, strings with the fewest escapes, floats in shortest form.
//! Two values have the same canonical text exactly if they are equal and of the same type: `0`, `0.0`, `false`, `"0"` differ.

mod strings;
mod tags;
mod texts;

use std::collections::BTreeMap;

pub use texts::{closes, elements, pair};

/// Python has to decode it again, with two or three calls a level, and may make about 1,000.
const MAX_DEPTH: usize = 300;

/// The fields of a line. Texts are canonical JSON; an empty text means the field is absent.
#[derive(Default)]
pub struct Line {
    pub index: Option<i64>,
    pub time: Option<i64>,
    pub process: Vec<u8>,
    pub kind: Option<u8>,
    pub f: Vec<u8>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub error: Vec<u8>,
    scratch: Vec<u8>,
}

impl Line {
    fn clear(&mut self) {
        self.index = None;
        self.time = None;
        self.kind = None;
        for text in [
            &mut self.process,
            &mut self.f,
            &mut self.key,
            &mut self.value,
            &mut self.error,
        ] {
            text.clear();
        }
    }

    /// Read one line (without its newline) into this. The error says what is wrong and what to do.
    pub fn read(&mut self, line: &[u8]) -> Result<(), String> {
        self.clear();
        std::str::from_utf8(line).map_err(|_| "is not UTF-8; write histories as UTF-8".to_string())?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let answer = self.fields(line, &mut scratch);
        self.scratch = scratch;
        answer
    }

    fn fields(&mut self, line: &[u8], scratch: &mut Vec<u8>) -> Result<(), String> {
        let mut reader = Reader {
            text: line,
            at: 0,
            escaped: false,
        };
        reader.spaces();
        reader
            .expect(b'{')
            .map_err(|_| "is not a JSON object; each line must be one operation".to_string())?;
        reader.spaces();
        if !reader.take(b'}') {
            loop {
                reader.spaces();
                scratch.clear();
                reader.string(scratch)?;
                reader.spaces();
                reader.expect(b':')?;
                reader.spaces();
                self.field(&mut reader, scratch)?;
                reader.spaces();
                if reader.take(b'}') {
                    break;
                }
                reader.expect(b',')?;
            }
        }
        reader.spaces();
        if reader.at != line.len() {
            return Err(format!(
                "has something after the operation at column {}; put one operation on a line",
                reader.at + 1
            ));
        }
        for (name, absent) in [
            ("process", self.process.is_empty()),
            ("type", self.kind.is_none()),
            ("f", self.f.is_empty()),
        ] {
            if absent {
                return Err(format!("lacks the field \"{name}\"; add it"));
            }
        }
        Ok(())
    }

    fn field(&mut self, reader: &mut Reader, name: &mut Vec<u8>) -> Result<(), String> {
        let twice = match name.as_slice() {
            b"\"index\"" => self.index.is_some(),
            b"\"time\"" => self.time.is_some(),
            b"\"type\"" => self.kind.is_some(),
            b"\"process\"" => !self.process.is_empty(),
            b"\"f\"" => !self.f.is_empty(),
            b"\"key\"" => !self.key.is_empty(),
            b"\"value\"" => !self.value.is_empty(),
            b"\"error\"" => !self.error.is_empty(),
            _ => false,
        };
        if twice {
            let name = String::from_utf8_lossy(name);
            return Err(format!("has the field {name} twice; leave one"));
        }
        let target = match name.as_slice() {
            b"\"index\"" => return reader.integer("index").map(|n| self.index = Some(n)),
            b"\"time\"" => return reader.integer("time").map(|n| self.time = Some(n)),
            b"\"type\"" => {
                name.clear();
                reader.value(name, 0)?;
                self.kind = Some(match name.as_slice() {
                    b"\"invoke\"" => 0,
                    b"\"ok\"" => 1,
                    b"\"fail\"" => 2,
                    b"\"info\"" => 3,
                    other => {
                        let other = String::from_utf8_lossy(other);
                        return Err(format!("has the type {other}; use one of invoke, ok, fail, info"));
                    }
                });
                return Ok(());
            }
            b"\"process\"" => &mut self.process,
            b"\"f\"" => &mut self.f,
            b"\"key\"" => &mut self.key,
            b"\"value\"" => &mut self.value,
            b"\"error\"" => &mut self.error,
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(format!("has the unknown field {other}; remove it"));
            }
        };
        target.clear();
        reader.value(target, 0)?;
        let first = target[0];
        let integer = (first == b'-' || first.is_ascii_digit()) && !target.iter().any(|b| b".eE".contains(b));
        match name.as_slice() {
            b"\"process\"" if first != b'"' && !integer => {
                Err("has a process that is neither an integer nor a name; use one of them".into())
            }
            b"\"f\"" if first != b'"' => Err("has an f that is not text; name the function".into()),
            b"\"error\"" if target.as_slice() == b"null" => {
                target.clear();
                Ok(())
            }
            b"\"error\"" if first != b'"' => Err("has an error that is not text; say it in words".into()),
            _ => Ok(()),
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// What comes next is inside `$dict`, where names that look like tags are names.
    escaped: bool,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r') && self.at < self.text.len() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.at < self.text.len() && self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.wrong(&format!("'{}' expected", byte as char)))
    }

    fn wrong(&self, what: &str) -> String {
        format!(
            "is not JSON at column {} ({what}); repair or remove the line",
            self.at + 1
        )
    }

    fn integer(&mut self, name: &str) -> Result<i64, String> {
        let start = self.at;
        let mut text = Vec::with_capacity(20);
        self.value(&mut text, 0)?;
        let text = std::str::from_utf8(&text).unwrap_or("");
        text.parse().map_err(|_| {
            let shown = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
            format!("has {name} = {shown}; it must be an integer of at most 63 bits")
        })
    }

    /// Append the canonical text of the value that starts here.
    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("has a value nested too deep; record something flatter".into());
        }
        match self.peek() {
            b'"' => self.string(out),
            b'-' | b'0'..=b'9' => self.number(out),
            b'[' => self.array(out, depth),
            b'{' => self.object(out, depth),
            b't' => self.word(out, b"true"),
            b'f' => self.word(out, b"false"),
            b'n' => self.word(out, b"null"),
            _ => Err(self.wrong("a value expected")),
        }
    }

    fn word(&mut self, out: &mut Vec<u8>, word: &[u8]) -> Result<(), String> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("a value expected"));
        }
        self.at += word.len();
        out.extend_from_slice(word);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), String> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wrong("a digit expected"));
        }
        Ok(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        } else if self.peek().is_ascii_digit() {
            return Err(self.wrong("a number must not begin with 0"));
        }
        let mut integer = true;
        if self.take(b'.') {
            integer = false;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if integer {
            out.extend_from_slice(if text == b"-0" { b"0" } else { text });
            return Ok(());
        }
        let number: f64 = std::str::from_utf8(text)
            .unwrap_or("")
            .parse()
            .unwrap_or(f64::NAN);
        if !number.is_finite() {
            return Err(self.wrong("a number beyond a double's range"));
        }
        out.extend_from_slice(format!("{number:?}").as_bytes());
        Ok(())
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        self.expect(b'[')?;
        out.push(b'[');
        self.spaces();
        if !self.take(b']') {
            loop {
                self.spaces();
                self.value(out, depth + 1)?;
                self.spaces();
                if self.take(b']') {
                    break;
                }
                self.expect(b',')?;
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        self.expect(b'{')?;
        let escaped = std::mem::take(&mut self.escaped);
        let mut tagged = false;
        let mut items = BTreeMap::new();
        self.spaces();
        if !self.take(b'}') {
            loop {
                self.spaces();
                let (mut name, mut value) = (Vec::new(), Vec::new());
                self.string(&mut name)?;
                self.spaces();
                self.expect(b':')?;
                self.spaces();
                tagged |= !escaped && tags::is_tag(&name);
                self.escaped = tagged && name == b"\"$dict\"" && self.peek() == b'{';
                self.value(&mut value, depth + 1)?;
                if items.contains_key(&name) {
                    let name = String::from_utf8_lossy(&name);
                    return Err(format!("has a value with the name {name} twice; leave one"));
                }
                items.insert(name, value);
                self.spaces();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        if tagged {
            tags::check(&mut items)?;
        }
        out.push(b'{');
        for (n, (name, value)) in items.into_iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend(name);
            out.push(b':');
            out.extend(value);
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut line = Line::default();
        line.read(format!("{{\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"value\":{text}}}").as_bytes())
            .expect(text);
        String::from_utf8(line.value).expect("UTF-8")
    }

    #[test]
    fn canonical_text_is_one_per_value() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.0", "0.0"),
            ("false", "false"),
            ("\"0\"", "\"0\""),
            ("1e2", "100.0"),
            ("[ 1 , [ ] ]", "[1,[]]"),
            ("{\"b\":1, \"a\":2}", "{\"a\":2,\"b\":1}"),
            (
                "\"\\u0041\\/\\n\\ud83d\\ude00\\ud800\"",
                "\"A/\\u000a\u{1F600}\\ud800\"",
            ),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(canonical(text), expected);
        }
    }

    #[test]
    fn bad_lines_are_refused() {
        let mut line = Line::default();
        for text in [
            "",
            "{",
            "[]",
            "{\"f\":1}",
            "{\"process\":0,\"type\":\"ok\",\"f\":\"r\"} x",
            "{\"process\":01}",
        ] {
            assert!(line.read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
