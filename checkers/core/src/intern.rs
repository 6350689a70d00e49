//! Texts to dense numbers: equal texts get equal numbers, 0, 1, 2, … in order of first appearance.
//!
//! One arena of bytes and an open-addressing table of u32: about 20 bytes a text beside the text itself.

pub const NONE: u32 = u32::MAX;

#[derive(Default)]
pub struct Interner {
    arena: Vec<u8>,
    ends: Vec<usize>,
    table: Vec<u32>,
}

fn hash(text: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut h = text.len() as u64;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        h = (h.rotate_left(5) ^ word).wrapping_mul(K);
    }
    for &byte in chunks.remainder() {
        h = (h.rotate_left(5) ^ u64::from(byte)).wrapping_mul(K);
    }
    h ^= h >> 32;
    h.wrapping_mul(K) ^ (h >> 29)
}

impl Interner {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.arena[start..self.ends[id]]
    }

    /// The slot where the text is, or where it belongs.
    fn slot(&self, text: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(text) as usize & mask;
        while self.table[slot] != NONE && self.text(self.table[slot]) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    pub fn find(&self, text: &[u8]) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        let id = self.table[self.slot(text)];
        (id != NONE).then_some(id)
    }

    pub fn intern(&mut self, text: &[u8]) -> u32 {
        if (self.ends.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let slot = self.slot(text);
        if self.table[slot] == NONE {
            self.table[slot] = self.ends.len() as u32;
            self.arena.extend_from_slice(text);
            self.ends.push(self.arena.len());
        }
        self.table[slot]
    }

    /// Bytes that it may take once one more text of this length is in it, growing included: an array that grows is there twice for a moment.
    pub fn bytes_after(&self, length: usize) -> usize {
        let room = |len: usize, more: usize, capacity: usize| {
            if len + more <= capacity {
                capacity
            } else {
                capacity + (capacity * 2).max(len + more)
            }
        };
        let table = self.table.len();
        let grown = if (self.ends.len() + 1) * 2 > table {
            (table * 2).max(16)
        } else {
            table
        };
        room(self.arena.len(), length, self.arena.capacity())
            + room(self.ends.len(), 1, self.ends.capacity()) * size_of::<usize>()
            + grown * size_of::<u32>()
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(16);
        self.table = Vec::new(); // the old one is not needed to make the new one
        self.table = vec![NONE; size];
        for id in 0..self.ends.len() as u32 {
            let slot = self.slot(self.text(id));
            self.table[slot] = id;
        }
    }

    /// Give back memory that growing has reserved.
    pub fn shrink(&mut self) {
        self.arena.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_get_equal_numbers() {
        let mut interner = Interner::default();
        for round in 0..2 {
            for n in 0..5000u32 {
                assert_eq!(interner.intern(format!("v{n}").as_bytes()), n, "round {round}");
            }
        }
        assert_eq!(interner.len(), 5000);
        assert_eq!(interner.text(4999), b"v4999");
        assert_eq!(interner.find(b"v17"), Some(17));
        assert_eq!(interner.find(b"w17"), None);
    }
}
