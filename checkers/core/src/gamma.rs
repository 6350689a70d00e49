//! How far a history is from linearizable, in time, exactly: Delta and Gamma.
//!
//! Delta: the least d such that the history is linearizable once every read's call is moved d earlier: reads were at most d out of date.
//! Gamma: the least g such that it is linearizable once every interval is widened by g/2 at both ends.
//!
//! With unique values each value has a zone: f the least return, s the greatest call, of its write and reads. Zones a and b conflict if
//!
//! ```text
//!   f_a < s_b  and  f_b < s_a                 |--w1--|  |--w2--|   |--r 1--|
//! ```
//! Moving calls lowers s, widening also raises f, so conflicts only ever go away. The score of a value is the least shift after which it conflicts
//! with no other: a binary search over prefix maxima of zones sorted by f. The key's number is the greatest score.
//! References: Golab, Li & Shah, PODC 2011 (Delta); Golab, Hurwitz & Li, ICDCS 2013 and ICDCS 2014 (Gamma).

use crate::intern::NONE;
use crate::register::{Act, Answer, Key, Op, Status, ALWAYS, NEVER, NIL};
use crate::zones;

/// Of one key: the least shifts in ns, None if no shift is enough; and the score of each value that has a conflict.
#[derive(Default)]
pub struct Shifts {
    pub delta: Option<i64>,
    pub gamma: Option<i64>,
    pub deltas: Vec<i64>,
    pub gammas: Vec<i64>,
}

/// A value's zone: least return, call of its write, greatest call of its reads.
#[derive(Clone, Copy)]
struct Zone {
    f: i64,
    write: i64,
    read: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Shift {
    Delta,
    Gamma,
}

/// Measure one key. None: its values are not unique, or it is not a register's.
pub fn shifts(key: &Key) -> Option<Shifts> {
    let mut writer = vec![NONE; key.values];
    let cas = key.ops.iter().any(|op| op.act == Act::Cas);
    if key.strange.is_some() {
        return None;
    }
    for (at, op) in key
        .ops
        .iter()
        .enumerate()
        .filter(|(_, op)| op.writes() && op.status != Status::Fail)
    {
        let slot = &mut writer[op.new as usize];
        if op.new == NIL || *slot != NONE {
            return None;
        }
        *slot = at as u32;
    }
    if cas {
        return searched(key);
    }
    let Some(zones) = zones_of(key, &writer) else {
        return Some(Shifts {
            delta: None,
            gamma: None,
            deltas: Vec::new(),
            gammas: Vec::new(),
        });
    };
    let measured = Zones::of(zones);
    let (deltas, delta) = measured.scores(Shift::Delta);
    let (gammas, gamma) = measured.scores(Shift::Gamma);
    Some(Shifts {
        delta,
        gamma,
        deltas,
        gammas,
    })
}

/// The zones of values that surely were written. None if a read's value was not.
fn zones_of(key: &Key, writer: &[u32]) -> Option<Vec<Zone>> {
    let blank = Zone {
        f: NEVER,
        write: ALWAYS,
        read: ALWAYS,
    };
    let mut zones = vec![blank; key.values];
    for op in key.ops.iter().filter(|op| op.status == Status::Ok) {
        let zone = &mut zones[op.new as usize];
        zone.f = zone.f.min(op.ret);
        if op.act == Act::Read {
            zone.read = zone.read.max(op.call);
            if op.new != NIL && writer[op.new as usize] == NONE {
                return None;
            }
        }
    }
    for (value, zone) in zones.iter_mut().enumerate() {
        if value == NIL as usize {
            zone.f = ALWAYS;
        } else if zone.f != NEVER {
            zone.write = key.ops[writer[value] as usize].call;
        }
    }
    zones.retain(|zone| zone.f != NEVER);
    Some(zones)
}

impl Zone {
    fn s(&self) -> i64 {
        self.write.max(self.read)
    }

    /// The write was called after a read of it returned.
    fn gap(&self) -> i64 {
        if self.f == ALWAYS {
            return 0;
        }
        self.write.saturating_sub(self.f).max(0)
    }
}

/// The two greatest of a prefix, so that a zone can be left out of it.
#[derive(Clone, Copy)]
struct Top {
    first: i64,
    owner: u32,
    second: i64,
}

impl Top {
    fn add(self, value: i64, owner: u32) -> Top {
        if value > self.first {
            return Top {
                first: value,
                owner,
                second: self.first,
            };
        }
        Top {
            second: self.second.max(value),
            ..self
        }
    }

    fn without(&self, owner: u32) -> i64 {
        if self.owner == owner {
            self.second
        } else {
            self.first
        }
    }
}

struct Zones {
    zones: Vec<Zone>,
    /// Of the zones sorted by f, up to each: the greatest call of a write, and of a read.
    writes: Vec<Top>,
    reads: Vec<Top>,
    span: i64,
}

impl Zones {
    fn of(mut zones: Vec<Zone>) -> Zones {
        zones.sort_by_key(|zone| zone.f);
        let none = Top {
            first: ALWAYS,
            owner: NONE,
            second: ALWAYS,
        };
        let tops = |time: fn(&Zone) -> i64| -> Vec<Top> {
            let grow = |top: &mut Top, (n, zone): (u32, &Zone)| {
                *top = top.add(time(zone), n);
                Some(*top)
            };
            (0..).zip(&zones).scan(none, grow).collect()
        };
        let (writes, reads) = (tops(|zone| zone.write), tops(|zone| zone.read));
        let most = zones.iter().map(Zone::s).max().unwrap_or(0);
        let span = most.saturating_add(1); // no time is below -1, so no shift need be greater
        Zones {
            zones,
            writes,
            reads,
            span,
        }
    }

    /// The scores above 0, and the greatest: None if some value's score has no bound.
    fn scores(&self, shift: Shift) -> (Vec<i64>, Option<i64>) {
        let (mut found, mut bounded) = (Vec::new(), true);
        for (n, zone) in (0..).zip(&self.zones) {
            let mut score = zone.gap();
            if score > 0 && shift == Shift::Delta {
                bounded = false; // moving reads still earlier does not help
                continue;
            }
            if self.conflict(n, shift, score) {
                let (mut low, mut high) = (score, self.span);
                while low + 1 < high {
                    let middle = low + (high - low) / 2;
                    if self.conflict(n, shift, middle) {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                score = high;
            }
            if score > 0 {
                found.push(score);
            }
        }
        if !bounded {
            return (Vec::new(), None);
        }
        let greatest = found.iter().copied().max().unwrap_or(0);
        (found, Some(greatest))
    }

    /// Does the zone conflict with another after a shift of this much?
    fn conflict(&self, n: u32, shift: Shift, by: i64) -> bool {
        let zone = self.zones[n as usize];
        let (s, f) = match shift {
            Shift::Delta => (zone.write.max(earlier(zone.read, by)), zone.f),
            Shift::Gamma => (earlier(zone.s(), by), zone.f),
        };
        // zones with f < s; of them one whose s, shifted, is greater than f
        let count = self.zones.partition_point(|other| other.f < s);
        let Some(last) = count.checked_sub(1) else {
            return false;
        };
        let write = self.writes[last].without(n);
        let read = self.reads[last].without(n);
        let read_late = earlier(read, by) > f;
        match shift {
            Shift::Delta => write > f || read_late,
            Shift::Gamma => earlier(write, by) > f || read_late,
        }
    }
}

fn earlier(time: i64, by: i64) -> i64 {
    if time == ALWAYS {
        return ALWAYS;
    }
    time.saturating_sub(by)
}

/// With compare-and-set, values form chains: ask the zone checker itself, by bisection. Scores of single values are not told.
fn searched(key: &Key) -> Option<Shifts> {
    let mut work = Key {
        id: key.id,
        ops: key.ops.clone(),
        index: key.index.clone(),
        values: key.values,
        strange: None,
    };
    let last = key.ops.iter().map(|op| op.call).max()?;
    let span = last.saturating_sub(key.ops.first()?.call).saturating_add(1);
    let mut least = |shift: Shift| -> Option<Option<i64>> {
        let mut legal = |by: i64| -> Option<bool> {
            for (op, old) in work.ops.iter_mut().zip(&key.ops) {
                *op = shifted(*old, shift, by);
            }
            match zones::check(&work, zones::Failed::Unsaid) {
                Answer::Legal(_) => Some(true),
                Answer::Illegal { .. } => Some(false),
                Answer::Unknown(_) => None,
            }
        };
        if legal(0)? {
            return Some(Some(0));
        }
        if !legal(span)? {
            return Some(None);
        }
        let (mut low, mut high) = (0, span);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if legal(middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(Some(high))
    };
    let (delta, gamma) = (least(Shift::Delta)?, least(Shift::Gamma)?);
    Some(Shifts {
        delta,
        gamma,
        deltas: Vec::new(),
        gammas: Vec::new(),
    })
}

/// The operation with its call earlier. Only the sum of both widenings counts, so Gamma's is put on the calls alone.
fn shifted(mut op: Op, shift: Shift, by: i64) -> Op {
    if shift == Shift::Gamma || op.act == Act::Read {
        op.call -= by;
    }
    op
}
