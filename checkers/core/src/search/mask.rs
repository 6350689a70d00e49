//! Sets of slots: one word, two words, or as many as it takes when more than 128 operations are open at once.

pub trait Mask: Clone + PartialEq {
    /// The empty set with room for so many slots.
    fn empty(slots: usize) -> Self;
    fn words(&self) -> &[u64];
    fn words_mut(&mut self) -> &mut [u64];
    /// Bytes of one set, what it has on the heap included.
    fn bytes(slots: usize) -> usize;

    fn has(&self, slot: u32) -> bool {
        self.words()[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn set(&mut self, slot: u32) {
        self.words_mut()[slot as usize / 64] |= 1 << (slot % 64);
    }

    fn clear(&mut self, slot: u32) {
        self.words_mut()[slot as usize / 64] &= !(1 << (slot % 64));
    }
}

#[derive(Clone, Copy, PartialEq)]
pub struct Bits<const N: usize>([u64; N]);

impl<const N: usize> Mask for Bits<N> {
    fn empty(_: usize) -> Self {
        Bits([0; N])
    }

    fn words(&self) -> &[u64] {
        &self.0
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    fn bytes(_: usize) -> usize {
        8 * N
    }
}

#[derive(Clone, PartialEq)]
pub struct Wide(Box<[u64]>);

impl Mask for Wide {
    fn empty(slots: usize) -> Self {
        Wide(vec![0; slots.div_ceil(64)].into())
    }

    fn words(&self) -> &[u64] {
        &self.0
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    fn bytes(slots: usize) -> usize {
        // the pointer, the words, and what an allocator adds to each block
        16 + 8 * slots.div_ceil(64) + 16
    }
}

/// The slots of one word, lowest first.
pub fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let at = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (at < 64).then_some(at)
    })
}
