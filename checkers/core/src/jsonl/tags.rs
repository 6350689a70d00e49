//! Tags: how JSON says what it has no form for. Checked here, so that a bad one is refused with its line.
//!
//!   {"$bytes": "AAE="}   {"$float": "nan"}   {"$int": "0x…"}   {"$dict": {"$a": 1}}   {"$map": [[1, "a"]]}
//!
//! A value has one text, or equal values would count as different: what JSON can say itself must not be tagged, base64 has no stray
//! bits, a `$map` is sorted here. The twin in Python is `decode_plain` in jsonl.py.

use std::collections::BTreeMap;

const BITS_AS_DECIMAL: usize = 13_000; // an int of fewer bits is written in decimal
const REMEDY: &str = "write values with encode_value";

/// Whether the canonical text of a name looks like a tag.
pub fn is_tag(name: &[u8]) -> bool {
    name.starts_with(b"\"$")
}

/// Check an object with a tag among its names, and make its text canonical.
pub fn check(items: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), String> {
    let alone = items.len() == 1;
    let Some((name, text)) = items.iter_mut().find(|(name, _)| is_tag(name)) else {
        return Ok(());
    };
    let tag = String::from_utf8_lossy(&name[1..name.len() - 1]).into_owned();
    if !alone {
        return Err(format!(
            "has an object with the tag {tag} and other fields; a tag stands alone"
        ));
    }
    let good = match tag.as_str() {
        "$bytes" => inside(text).is_some_and(is_base64),
        "$float" => matches!(inside(text), Some(b"nan" | b"inf" | b"-inf")),
        "$int" => inside(text).is_some_and(is_big_int),
        "$dict" => is_escaped_dict(text),
        "$map" => sort_map(text),
        _ => {
            return Err(format!(
                "has the unknown tag {tag}; escape such a dict as {{\"$dict\": …}}"
            ))
        }
    };
    if good {
        return Ok(());
    }
    Err(format!(
        "has a value with the tag {tag} that cannot be read: {}; {REMEDY}",
        shown(text)
    ))
}

/// The start of a text, for a message.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// What is between the quotes, None if it is no string.
fn inside(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn is_base64(text: &[u8]) -> bool {
    let data = text
        .strip_suffix(b"==")
        .or(text.strip_suffix(b"="))
        .unwrap_or(text);
    let six = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let stray = match text.len() - data.len() {
        0 => 0,
        1 => 0b11,
        _ => 0b1111,
    };
    text.len() & 3 == 0
        && data.iter().all(|&byte| six(byte).is_some())
        && data
            .last()
            .is_none_or(|&byte| six(byte).unwrap_or(0) & stray == 0)
}

fn is_big_int(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let Some(digits) = digits.strip_prefix(b"0x") else {
        return false;
    };
    let first = match digits.first() {
        Some(byte @ b'1'..=b'9') => byte - b'0',
        Some(byte @ b'a'..=b'f') => byte - b'a' + 10,
        _ => return false,
    };
    let bits = 4 * (digits.len() - 1) + (8 - first.leading_zeros() as usize);
    bits >= BITS_AS_DECIMAL && digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// An object that needs the escape: one of its own names begins with `$`.
fn is_escaped_dict(text: &[u8]) -> bool {
    text.first() == Some(&b'{') && parts(text).iter().any(|part| is_tag(part))
}

/// Sort the pairs of a `$map` by key; false if it is none, or if a plain object could say it.
fn sort_map(text: &mut Vec<u8>) -> bool {
    let mut pairs = BTreeMap::new();
    if text.first() != Some(&b'[') {
        return false;
    }
    for entry in parts(text) {
        let sides = if entry.first() == Some(&b'[') {
            parts(entry)
        } else {
            return false;
        };
        let [key, _] = sides.as_slice() else {
            return false;
        };
        if holds_dict(key) {
            return false;
        }
        pairs.insert(key.to_vec(), entry.to_vec());
    }
    if pairs.keys().all(|key| key.first() == Some(&b'"')) {
        return false;
    }
    *text = b"[".to_vec();
    text.extend(pairs.into_values().collect::<Vec<_>>().join(&b','));
    text.push(b']');
    true
}

/// Whether a key holds a dict, which cannot be part of a key.
fn holds_dict(key: &[u8]) -> bool {
    match key.first() {
        Some(b'[') => parts(key).into_iter().any(holds_dict),
        Some(b'{') => ![&b"{\"$bytes\""[..], b"{\"$float\"", b"{\"$int\""]
            .iter()
            .any(|tag| key.starts_with(tag)),
        _ => false,
    }
}

/// The texts between the commas of a canonical array or object.
pub fn parts(text: &[u8]) -> Vec<&[u8]> {
    let inner = &text[1..text.len() - 1];
    let (mut depth, mut quoted, mut escaped, mut start, mut found) = (0, false, false, 0, Vec::new());
    for (at, &byte) in inner.iter().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner.is_empty() {
        found.push(&inner[start..]);
    }
    found
}
