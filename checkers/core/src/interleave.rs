//! One order of all registers' operations, out of an order for each register.
//!
//! ```text
//!   x   ──w1────r1──        each register's order is given points in time:   x  ·w1      ·r1
//!   y      ──w2─────        never before an operation was called,            y     ·w2
//!                           never before the one that stands before it
//!                           the points, sorted, are an order of all:            w1 w2 r1
//! ```
//!
//! The order of each register respects real time, so no point lies after its operation's end, and the order of all respects real time too
//! (locality: Herlihy & Wing 1990, theorem 1). Then it keeps each process's own order, and shows sequential consistency.

use crate::columns::{Columns, FAIL, INVOKE, OK};
use crate::intern::NONE;

/// Calls by number, key after key, each key's in its order ──► all calls, in one order.
///
/// Of a key that is not in `witness` no read succeeded, so its writes are possible in any order. None if an operation is none of a register's,
/// or a compare-and-set failed, for the witness leaves out what that says of the value; and if a process's own order is not kept: that takes an operation which begins at the very
/// instant at which the process's last one ended.
pub fn interleave(columns: &Columns, witness: &[u32]) -> Option<Vec<u32>> {
    let mut points: Vec<(u32, u32)> = Vec::with_capacity(witness.len());
    let mut ordered = vec![false; columns.keys.len() + 1];
    let of_key = |call: u32| (columns.key[call as usize] as usize).min(columns.keys.len());
    let (mut last_key, mut point) = (usize::MAX, 0);
    for &call in witness {
        let key = of_key(call);
        point = if key == last_key { point.max(call) } else { call };
        (last_key, ordered[key]) = (key, true);
        points.push((point, call));
    }
    let named = |name: &[u8]| columns.fs.find(name).unwrap_or(NONE - 1);
    let (read, write, cas) = (named(b"\"read\""), named(b"\"write\""), named(b"\"cas\""));
    for call in 0..columns.len() {
        let (f, end) = (columns.f[call], columns.pair[call]);
        let client = columns.client[columns.process[call] as usize];
        if !client || columns.kind[call] != INVOKE {
            continue;
        }
        if ![read, write, cas].contains(&f) {
            return None;
        }
        if end == NONE {
            continue;
        }
        match columns.kind[end as usize] {
            FAIL if f == cas => return None,
            OK if f == write && !ordered[of_key(call as u32)] => {
                points.push((call as u32, call as u32));
            }
            _ => {}
        }
    }
    points.sort_by_key(|&(point, _)| point); // a stable sort: what shares a point is of one key, in its order
    let mut latest = vec![0; columns.client.len()];
    for &(_, call) in &points {
        let process = &mut latest[columns.process[call as usize] as usize];
        if call < *process {
            return None;
        }
        *process = call;
    }
    Some(points.into_iter().map(|(_, call)| call).collect())
}

#[cfg(test)]
mod tests {
    use super::interleave;
    use crate::columns::Columns;

    fn history(records: &[(u32, &str, &str, &str, &str)]) -> Columns {
        let line = |(process, kind, f, key, value): &(u32, &str, &str, &str, &str)| {
            format!(r#"{{"process":{process},"type":"{kind}","f":"{f}","key":"{key}","value":{value}}}"#)
        };
        let text: Vec<String> = records.iter().map(line).collect();
        Columns::read(text.join("\n").as_bytes()).unwrap()
    }

    #[test]
    fn points_of_two_registers_are_sorted() {
        let both = history(&[
            (0, "invoke", "write", "x", "1"),
            (1, "invoke", "write", "y", "2"),
            (0, "ok", "write", "x", "1"),
            (0, "invoke", "read", "x", "null"),
            (1, "ok", "write", "y", "2"),
            (0, "ok", "read", "x", "1"),
        ]);
        assert_eq!(interleave(&both, &[0, 3, 1]), Some(vec![0, 1, 3]));
        assert_eq!(interleave(&both, &[1]), Some(vec![0, 1]), "x: untested");
    }

    #[test]
    fn a_later_call_may_stand_first() {
        let one = history(&[
            (0, "invoke", "write", "x", "1"),
            (1, "invoke", "write", "x", "2"),
            (0, "ok", "write", "x", "1"),
            (1, "ok", "write", "x", "2"),
        ]);
        assert_eq!(interleave(&one, &[1, 0]), Some(vec![1, 0]));
    }

    #[test]
    fn an_order_that_a_process_did_not_have_is_none() {
        let one = history(&[
            (0, "invoke", "write", "x", "1"),
            (0, "ok", "write", "x", "1"),
            (0, "invoke", "write", "x", "2"),
            (0, "ok", "write", "x", "2"),
        ]);
        assert_eq!(interleave(&one, &[2, 0]), None);
    }
}
