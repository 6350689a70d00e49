//! Configurations seen: an arena with parents, and a table of numbers into it.
//!
//! Entries that agree in position, must-part and state share a probe chain; an entry whose info-part is a subset of the new one's
//! *dominates* it (R3). The arena grows by blocks and the table is rebuilt from it, so nothing is ever held twice.

use super::mask::Mask;
use crate::intern::NONE;

const BLOCK: usize = 1 << 14;

pub struct Node<M> {
    pub parent: u32,
    pub op: u32,
    pub at: u32,
    pub state: u32,
    pub hash: u32,
    pub mask: M,
}

pub struct Table<M> {
    blocks: Vec<Vec<Node<M>>>,
    len: usize,
    slots: Vec<u32>,
    node_bytes: usize,
    dominance: bool,
}

fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    h = (h ^ (h >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    h ^ (h >> 33)
}

impl<M: Mask> Table<M> {
    pub fn new(slots: usize, dominance: bool) -> Self {
        Table {
            blocks: vec![Vec::new()],
            len: 0,
            slots: vec![NONE; 64],
            node_bytes: (20 + M::bytes(slots)).next_multiple_of(8),
            dominance,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn node(&self, id: u32) -> &Node<M> {
        &self.blocks[id as usize / BLOCK][id as usize % BLOCK]
    }

    /// Bytes that one more node may need, table and block included.
    pub fn bytes_after_push(&self) -> usize {
        let table = if (self.len + 1) * 3 > self.slots.len() * 2 {
            self.slots.len() * 2
        } else {
            self.slots.len()
        };
        let last = self.blocks.last().expect("never empty");
        let room = if last.len() == last.capacity() {
            last.capacity().clamp(4, BLOCK)
        } else {
            0
        };
        (self.capacity() + room) * self.node_bytes + table * 4
    }

    fn capacity(&self) -> usize {
        (self.blocks.len() - 1) * BLOCK + self.blocks.last().expect("never empty").capacity()
    }

    fn hash(&self, at: u32, state: u32, mask: &M, info: &M) -> u32 {
        let mut h = u64::from(at) << 32 | u64::from(state);
        for (word, info) in mask.words().iter().zip(info.words()) {
            let part = if self.dominance { word & !info } else { *word };
            h = mix(h.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part);
        }
        h as u32
    }

    /// Does the old one make the new one needless? `info` is the info-part of the position, which both have.
    fn covers(&self, old: &Node<M>, at: u32, state: u32, mask: &M, info: &M) -> bool {
        if old.at != at || old.state != state {
            return false;
        }
        if !self.dominance {
            return old.mask == *mask;
        }
        let pairs = old.mask.words().iter().zip(mask.words()).zip(info.words());
        pairs
            .into_iter()
            .all(|((&old, &new), &info)| (old ^ new) & !info == 0 && old & !new == 0)
    }

    /// The number of the new configuration; None if one that was seen covers it.
    pub fn insert(&mut self, mut node: Node<M>, info: &M) -> Option<u32> {
        let last = self.slots.len() - 1;
        node.hash = self.hash(node.at, node.state, &node.mask, info);
        let mut slot = node.hash as usize & last;
        while self.slots[slot] != NONE {
            let old = self.node(self.slots[slot]);
            if self.covers(old, node.at, node.state, &node.mask, info) {
                return None;
            }
            slot = (slot + 1) & last;
        }
        let id = self.len as u32;
        self.slots[slot] = id;
        if self.blocks.last().expect("never empty").len() == BLOCK {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.blocks.last_mut().expect("never empty").push(node);
        self.len += 1;
        if self.len * 3 > self.slots.len() * 2 {
            self.grow();
        }
        Some(id)
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots = Vec::new();
        self.slots = vec![NONE; size];
        for id in 0..self.len {
            let mut slot = self.node(id as u32).hash as usize & (size - 1);
            while self.slots[slot] != NONE {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = id as u32;
        }
    }
}
