//! EDN values to JSON text, as `checkers.jsonl.encode_value` writes what `checkers.formats.edn` reads.
//!
//! nil, true, false, integers of up to 18 digits, floats that JSON would write too, text, keywords, symbols, vectors, lists, sets of integers, maps with
//! names or with integers as keys. All else is strange.

use std::collections::HashSet;

const DEPTH_MAX: usize = 30;
const DIGITS_MAX: usize = 18;
/// From here on integers of a set are in the order of their texts.
const ORDERED_MAX: i64 = 1 << 53;

/// Why there is no value: the text goes on in the next piece, or only the other reader knows.
#[derive(Debug, PartialEq)]
pub enum Stop {
    More,
    Strange,
}

pub type Step<T = ()> = Result<T, Stop>;

/// Keywords and texts among the values, which must not become one.
#[derive(Default)]
pub struct Seen {
    words: HashSet<Vec<u8>>,
    texts: HashSet<Vec<u8>>,
    escaped: bool,
}

impl Seen {
    /// Might a keyword and a text be the same?
    pub fn clash(&self) -> bool {
        !self.words.is_empty() && (self.escaped || !self.words.is_disjoint(&self.texts))
    }

    fn add(set: &mut HashSet<Vec<u8>>, name: &[u8]) {
        if !set.contains(name) {
            set.insert(name.to_vec());
        }
    }
}

pub struct Reader<'a> {
    text: &'a [u8],
    pub at: usize,
    /// No text comes after this.
    last: bool,
    seen: &'a mut Seen,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | 9..=13 | 0x1c..=0x1f)
}

fn ends_atom(byte: u8) -> bool {
    is_blank(byte) || b";\"()[]{}".contains(&byte)
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./?!*+<>=&%$".contains(&byte)
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a [u8], last: bool, seen: &'a mut Seen) -> Self {
        Reader {
            text,
            at: 0,
            last,
            seen,
        }
    }

    /// The next byte, None at the end.
    pub fn peek(&self) -> Step<Option<u8>> {
        match self.text.get(self.at) {
            Some(&byte) => Ok(Some(byte)),
            None if self.last => Ok(None),
            None => Err(Stop::More),
        }
    }

    fn byte(&self) -> Step<u8> {
        self.peek()?.ok_or(Stop::Strange)
    }

    /// Pass over the mark of UTF-8.
    pub fn mark(&mut self) -> Step {
        if self.text.len() < 3 && !self.last {
            return Err(Stop::More);
        }
        self.at += if self.text.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        Ok(())
    }

    /// Pass over spaces, commas and comments.
    pub fn blank(&mut self) -> Step {
        loop {
            match self.peek()? {
                Some(byte) if is_blank(byte) => self.at += 1,
                Some(b';') => {
                    while let Some(byte) = self.peek()?.filter(|&byte| byte != b'\n') {
                        if !byte.is_ascii() {
                            return Err(Stop::Strange);
                        }
                        self.at += 1;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// The text from there to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    pub fn expect(&mut self, byte: u8) -> Step {
        if self.byte()? != byte {
            return Err(Stop::Strange);
        }
        self.at += 1;
        Ok(())
    }

    /// Pass over a tag such as `#jepsen.history.Op`.
    pub fn tag_of_record(&mut self) -> Step {
        self.expect(b'#')?;
        let tag = self.atom()?;
        let plain = tag.first().is_some_and(u8::is_ascii_alphabetic) && tag.iter().all(|&byte| in_name(byte));
        if !plain || !tag.ends_with(b"Op") {
            return Err(Stop::Strange);
        }
        self.blank()
    }

    /// What stands here until a space or bracket.
    fn atom(&mut self) -> Step<&'a [u8]> {
        let start = self.at;
        while self.peek()?.is_some_and(|byte| !ends_atom(byte)) {
            self.at += 1;
        }
        Ok(&self.text[start..self.at])
    }

    /// The name of the keyword that stands here.
    pub fn keyword(&mut self) -> Step<&'a [u8]> {
        self.expect(b':')?;
        let name = self.atom()?;
        let plain =
            name.first().is_some_and(u8::is_ascii_alphabetic) && name.iter().all(|&byte| in_name(byte));
        if plain {
            Ok(name)
        } else {
            Err(Stop::Strange)
        }
    }

    /// Append the value that stands here. `depth` counts the brackets around it.
    pub fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Step {
        if depth > DEPTH_MAX {
            return Err(Stop::Strange);
        }
        match self.byte()? {
            b'"' => {
                let start = out.len();
                self.string(out)?;
                if depth <= 2 {
                    let name = &out[start + 1..out.len() - 1];
                    self.seen.escaped |= name.contains(&b'\\');
                    Seen::add(&mut self.seen.texts, name);
                }
            }
            b':' => {
                let name = self.keyword()?;
                self.word(name, depth, out);
            }
            b'-' | b'0'..=b'9' => self.number(out)?,
            b'[' => self.list(b']', out, depth)?,
            b'(' => self.list(b')', out, depth)?,
            b'{' => self.map(out, depth)?,
            b'#' => self.set(out)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'<' | b'_' => match self.atom()? {
                b"nil" => out.extend_from_slice(b"null"),
                word @ (b"true" | b"false") => out.extend_from_slice(word),
                name if name.iter().all(|&byte| in_name(byte)) => self.word(name, depth, out),
                _ => return Err(Stop::Strange),
            },
            _ => return Err(Stop::Strange),
        }
        Ok(())
    }

    /// A keyword or symbol: its name.
    fn word(&mut self, name: &[u8], depth: usize, out: &mut Vec<u8>) {
        if depth <= 2 {
            Seen::add(&mut self.seen.words, name);
        }
        quote(name, out);
    }

    /// Text: its escapes are those of JSON.
    fn string(&mut self, out: &mut Vec<u8>) -> Step {
        self.expect(b'"')?;
        out.push(b'"');
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => self.escape(out)?,
                byte @ 0..=0x1f => {
                    out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    self.at += 1;
                }
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Step {
        let size = match self.text.get(self.at + 1) {
            None => return Err(if self.last { Stop::Strange } else { Stop::More }),
            Some(b'u') => 6,
            Some(byte) if b"\"\\/bfnrt".contains(byte) => 2,
            Some(_) => return Err(Stop::Strange),
        };
        match self.text.get(self.at..self.at + size) {
            None => return Err(if self.last { Stop::Strange } else { Stop::More }),
            Some(text) if text[2..].iter().all(u8::is_ascii_hexdigit) => out.extend_from_slice(text),
            Some(_) => return Err(Stop::Strange),
        }
        self.at += size;
        Ok(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Step {
        let text = self.atom()?;
        if integer(text).is_none() && !is_float(text) {
            return Err(Stop::Strange);
        }
        out.extend_from_slice(text);
        Ok(())
    }

    fn list(&mut self, close: u8, out: &mut Vec<u8>, depth: usize) -> Step {
        self.at += 1;
        out.push(b'[');
        let start = out.len();
        loop {
            self.blank()?;
            if self.byte()? == close {
                break;
            }
            if out.len() > start {
                out.push(b',');
            }
            self.value(out, depth + 1)?;
        }
        self.at += 1;
        out.push(b']');
        Ok(())
    }

    /// A set of integers, in order.
    fn set(&mut self, out: &mut Vec<u8>) -> Step {
        self.expect(b'#')?;
        self.expect(b'{')?;
        let mut items = Vec::new();
        loop {
            self.blank()?;
            if self.byte()? == b'}' {
                break;
            }
            let item = integer(self.atom()?).filter(|item| item.abs() < ORDERED_MAX);
            items.push(item.ok_or(Stop::Strange)?);
        }
        self.at += 1;
        items.sort_unstable();
        if items.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Stop::Strange);
        }
        out.push(b'[');
        for (n, item) in items.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}{item}").as_bytes());
        }
        out.push(b']');
        Ok(())
    }

    /// A map: an object if its keys are names; with integers as keys, pairs under the tag `$map`.
    fn map(&mut self, out: &mut Vec<u8>, depth: usize) -> Step {
        self.at += 1;
        let mut items: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        loop {
            self.blank()?;
            if self.byte()? == b'}' {
                break;
            }
            let (mut name, mut value) = (Vec::new(), Vec::new());
            self.value(&mut name, depth + 1)?;
            self.blank()?;
            self.value(&mut value, depth + 1)?;
            items.push((name, value));
        }
        self.at += 1;
        let tag = |name: &[u8]| name.starts_with(b"\"$") || name.starts_with(b"\"#") || name.contains(&b'\\');
        let named = items.iter().all(|(name, _)| name[0] == b'"' && !tag(name));
        if !named && !items.iter().all(|(name, _)| integer(name).is_some()) {
            return Err(Stop::Strange);
        }
        items.sort_unstable();
        if items.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Stop::Strange);
        }
        let [open, before, between, close, end]: [&[u8]; 5] = if named {
            [b"{", b"", b":", b"", b"}"]
        } else {
            [b"{\"$map\":[", b"[", b",", b"]", b"]}"]
        };
        out.extend_from_slice(open);
        for (n, (name, value)) in items.iter().enumerate() {
            let comma: &[u8] = if n > 0 { b"," } else { b"" };
            for part in [comma, before, name, between, value, close] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(end);
        Ok(())
    }
}

/// Append a name that needs no escapes as text.
pub fn quote(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name);
    out.push(b'"');
}

/// The integer that the text is, if it is one that is written in one way only.
pub fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let zero = digits.first() == Some(&b'0') && text.len() > 1;
    if digits.is_empty() || digits.len() > DIGITS_MAX || zero || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Is it a float that JSON would write so? One beyond the range of a double is refused by the reader of lines.
fn is_float(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let end = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = end(digits);
    if whole == 0 || whole > 1 && digits[0] == b'0' {
        return false;
    }
    let mut rest = &digits[whole..];
    if let Some(part) = rest.strip_prefix(b".") {
        let size = end(part);
        rest = &part[size..];
        if size == 0 {
            return false;
        }
    }
    if let [b'e' | b'E', part @ ..] = rest {
        let part = part
            .strip_prefix(b"-")
            .or(part.strip_prefix(b"+"))
            .unwrap_or(part);
        return !part.is_empty() && end(part) == part.len();
    }
    rest.is_empty() && whole < digits.len()
}
