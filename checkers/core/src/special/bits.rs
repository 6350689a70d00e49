//! A set of small numbers that knows its neighbours: words of 64 bits, and words that say which words are not empty.

pub struct Bits(Vec<Vec<u64>>);

impl Bits {
    pub fn new(size: usize) -> Bits {
        let mut levels = vec![vec![0; size / 64 + 1]];
        while levels.last().is_some_and(|level| level.len() > 1) {
            let size = levels.last().map_or(0, Vec::len);
            levels.push(vec![0; size.div_ceil(64)]);
        }
        Bits(levels)
    }

    pub fn insert(&mut self, mut at: usize) {
        for level in &mut self.0 {
            level[at / 64] |= 1 << (at % 64);
            at /= 64;
        }
    }

    /// The least member that is not below `at`.
    pub fn next(&self, mut at: usize) -> Option<usize> {
        for (height, level) in self.0.iter().enumerate() {
            let word = level.get(at / 64)? & (u64::MAX << (at % 64));
            if word != 0 {
                let mut found = at / 64 * 64 + word.trailing_zeros() as usize;
                for below in self.0[..height].iter().rev() {
                    found = found * 64 + below[found].trailing_zeros() as usize;
                }
                return Some(found);
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The greatest member that is not above `at`.
    pub fn previous(&self, mut at: usize) -> Option<usize> {
        for (height, level) in self.0.iter().enumerate() {
            let word = level[at / 64] & (u64::MAX >> (63 - at % 64));
            if word != 0 {
                let mut found = at / 64 * 64 + 63 - word.leading_zeros() as usize;
                for below in self.0[..height].iter().rev() {
                    found = found * 64 + 63 - below[found].leading_zeros() as usize;
                }
                return Some(found);
            }
            at = (at / 64).checked_sub(1)?;
        }
        None
    }
}
