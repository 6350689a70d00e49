//! Strings of JSON: as they come, escapes undone where UTF-8 has the character.

use super::Reader;

impl Reader<'_> {
    #[inline]
    pub(super) fn string(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.expect(b'"')?;
        out.push(b'"');
        loop {
            let start = self.at;
            while self.at < self.text.len() && !matches!(self.text[self.at], b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            out.extend_from_slice(&self.text[start..self.at]);
            if self.take(b'"') {
                out.push(b'"');
                return Ok(());
            }
            if !self.take(b'\\') {
                return Err(self.wrong("a string that does not end"));
            }
            self.escape(out)?;
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let byte = self.peek();
        let code = match byte {
            b'"' | b'\\' | b'/' => u32::from(byte),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                self.at += 1;
                let high = self.hex4()?;
                return self.unicode(high, out);
            }
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += 1;
        push_char(code, out);
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.wrong("four hex digits expected"));
        };
        self.at += 4;
        Ok(digits
            .iter()
            .fold(0, |n, &d| n * 16 + (d as char).to_digit(16).unwrap_or(0)))
    }

    fn unicode(&mut self, high: u32, out: &mut Vec<u8>) -> Result<(), String> {
        if (0xD800..0xDC00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                push_char(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), out);
                return Ok(());
            }
            self.at = back;
        }
        push_char(high, out);
        Ok(())
    }
}

/// Append a character in canonical form. A lone surrogate, which UTF-8 cannot hold, stays an escape.
fn push_char(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some('"') => out.extend_from_slice(b"\\\""),
        Some('\\') => out.extend_from_slice(b"\\\\"),
        Some(c) if code >= 0x20 => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
    }
}
