//! The rank sweep: where results force a weak order, the history is linearizable if and only if no operation that returned before another was
//! called has the higher rank.
//!
//! ```text
//!   |--rank 5--|   |--rank 3--|      any order must put 3 before 5, and time puts 5 before 3: impossible
//! ```
//! If there is no such pair, the order by rank, and by call among equals, respects time: a conflict could only be between different ranks.

use crate::register::ALWAYS;

#[derive(Clone, Copy)]
pub struct Ranked {
    pub rank: u64,
    pub call: i64,
    pub ret: i64,
    /// The caller's name for it.
    pub place: u32,
}

/// The places in an order that fits; or two, of which the first returned before the second was called and has the higher rank.
pub fn sweep(mut items: Vec<Ranked>) -> Result<Vec<u32>, (u32, u32)> {
    let mut by_return: Vec<(i64, u64, u32)> = items.iter().map(|it| (it.ret, it.rank, it.place)).collect();
    by_return.sort_unstable();
    items.sort_unstable_by_key(|it| (it.call, it.place));
    let mut returned = by_return.iter().peekable();
    let mut highest: Option<(u64, u32)> = None;
    let mut last = ALWAYS;
    for item in &items {
        debug_assert!(last <= item.call);
        last = item.call;
        while let Some(&&(ret, rank, place)) = returned.peek() {
            if ret >= item.call {
                break;
            }
            if highest.is_none_or(|(best, _)| rank > best) {
                highest = Some((rank, place));
            }
            returned.next();
        }
        if let Some((rank, place)) = highest {
            if item.rank < rank {
                return Err((place, item.place));
            }
        }
    }
    items.sort_by_key(|it| it.rank); // stable: by call among equals
    Ok(items.iter().map(|it| it.place).collect())
}
