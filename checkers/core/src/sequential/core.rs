//! A small part of an impossible run that is impossible too.
//!
//! Left out are single reads, and values with all their readers (a chain of compare-and-sets as a whole): from an order of the rest plus those, an
//! order of the rest follows, so what is left is never impossible for a new reason. Large portions are tried first, as in delta debugging.

use super::steps::{Op, Steps};
use super::{search, End, Limits};
use crate::intern::NONE;
use std::collections::HashSet;

/// Configurations that one try may look at.
const STATES_MAX: usize = 2000;
const TRIES_MAX: usize = 2000;

/// Calls of a part, not yet settled, that has no order; in order of call. The whole, if it is not found out in time.
pub fn shrink(steps: &Steps, limits: &Limits) -> Vec<u32> {
    let limits = Limits {
        states_max: STATES_MAX.min(limits.states_max),
        ..*limits
    };
    let mut kept = steps.clone();
    let mut tries = 0;
    for units in [chains(steps), reads(steps)] {
        let mut portion = units.len().div_ceil(2);
        while portion > 0 && tries < TRIES_MAX {
            for part in units.chunks(portion) {
                let gone: HashSet<u32> = part.iter().flatten().copied().collect();
                let fewer = kept.only(|op| !gone.contains(&op.call));
                tries += 1;
                if fewer.sessions.iter().flatten().count() < kept.sessions.iter().flatten().count()
                    && matches!(search(&settled(&fewer), &limits).end, End::Invalid)
                {
                    kept = fewer;
                }
            }
            portion = if portion == 1 { 0 } else { portion.div_ceil(2) };
        }
    }
    let mut calls: Vec<u32> = settled(&kept)
        .sessions
        .iter()
        .flatten()
        .map(|op| op.call)
        .collect();
    calls.sort_unstable();
    calls
}

/// What is sure to have happened depends on who saw it, so on what is left.
fn settled(steps: &Steps) -> Steps {
    let mut settled = steps.clone();
    settled.settle();
    settled
}

/// The calls of each value and its readers; values that a compare-and-set links are one.
fn chains(steps: &Steps) -> Vec<Vec<u32>> {
    let mut chain: Vec<u32> = (0..steps.values as u32).collect();
    fn root(chain: &mut [u32], mut value: u32) -> u32 {
        while chain[value as usize] != value {
            chain[value as usize] = chain[chain[value as usize] as usize];
            value = chain[value as usize];
        }
        value
    }
    for op in steps
        .sessions
        .iter()
        .flatten()
        .filter(|op| op.wants != NONE && op.makes != NONE)
    {
        let (old, new) = (root(&mut chain, op.wants), root(&mut chain, op.makes));
        chain[new as usize] = old;
    }
    let mut calls = vec![Vec::new(); steps.values];
    for op in steps.sessions.iter().flatten() {
        let value = if op.makes == NONE { op.wants } else { op.makes };
        calls[root(&mut chain, value) as usize].push(op.call);
    }
    calls.retain(|calls| !calls.is_empty());
    calls
}

fn reads(steps: &Steps) -> Vec<Vec<u32>> {
    let only_reads = |op: &&Op| op.makes == NONE;
    steps
        .sessions
        .iter()
        .flatten()
        .filter(only_reads)
        .map(|op| vec![op.call])
        .collect()
}
