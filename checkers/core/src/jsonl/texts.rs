//! What a text of JSON is made of, without reading it whole: where an object ends, and the elements of a canonical array.

/// Does the object that begins the text end in it? Of a line that was cut off it does not.
pub fn closes(text: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The two parts of a canonical `[old,new]`, or None if the text is no array of two.
pub fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match elements(text)?[..] {
        [old, new] => Some((old, new)),
        _ => None,
    }
}

/// The elements of a canonical array, or None if the text is no array.
pub fn elements(text: &[u8]) -> Option<Vec<&[u8]>> {
    text.starts_with(b"[").then(|| super::tags::parts(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_where_its_own_bracket_does() {
        for text in ["{}", "{\"a\":[{}]}", "{\"}\":\"\\\"}\"} and more"] {
            assert!(closes(text.as_bytes()), "{text}");
        }
        for text in ["", "{", "{\"a\":[{}]", "{\"a\":\"}\"", "{\"a\":\"\\\"}"] {
            assert!(!closes(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn pairs() {
        assert_eq!(pair(b"[1,2]"), Some((&b"1"[..], &b"2"[..])));
        assert_eq!(
            pair(b"[[1,2],\"a,\\\"]\"]"),
            Some((&b"[1,2]"[..], &b"\"a,\\\"]\""[..]))
        );
        assert_eq!(pair(b"[1]"), None);
        assert_eq!(pair(b"[1,2,3]"), None);
        assert_eq!(pair(b"7"), None);
    }
}
