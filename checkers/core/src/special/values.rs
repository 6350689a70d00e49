//! Values that are added once and taken at most once.
//!
//! ```text
//!   |--add v--|            |--take v--|       v is surely inside throughout the open stretch (ar, rc), if that is not empty
//!   ac       ar            rc        rr
//! ```
//!
//! Without loss an add ends before its take does, and a take begins after its add did. What is never taken is taken at the end of time; an add of
//! unknown outcome that nobody saw may be forgotten.
use super::{cover, Act, Item};
use crate::columns::Columns;
use crate::intern::NONE;
use crate::register::{Answer, Status, NEVER};

#[derive(Clone, Copy)]
pub struct Value {
    pub add: u32,
    pub take: u32,
    pub ac: i64,
    pub ar: i64,
    pub rc: i64,
    pub rr: i64,
    /// A number, where the order of values matters.
    pub rank: i64,
}

impl Value {
    /// There is no instant at which it is surely inside.
    pub fn brief(&self) -> bool {
        self.ar >= self.rc
    }

    pub fn ops(&self) -> impl Iterator<Item = u32> {
        [self.add, self.take].into_iter().filter(|&op| op != NONE)
    }
}

/// A take that found nothing.
#[derive(Clone, Copy)]
pub struct Empty {
    pub op: u32,
    pub call: i64,
    pub ret: i64,
}

pub struct Values {
    pub values: Vec<Value>,
    pub empties: Vec<Empty>,
}

pub fn illegal(anomaly: &'static str, mut core: Vec<u32>) -> Answer {
    core.sort_unstable();
    Answer::Illegal { anomaly, core }
}

impl Values {
    /// Pair adds with takes. `slots` has NONE for every value, before and after.
    pub fn collect(
        columns: &Columns,
        items: &[Item],
        index: &[u32],
        slots: &mut [u32],
        ranked: bool,
    ) -> Result<Values, Answer> {
        let found = pair(items, index, slots);
        items
            .iter()
            .filter(|item| item.value != NONE)
            .for_each(|item| slots[item.value as usize] = NONE);
        let (pairs, empties) = found?;
        let mut values = Vec::with_capacity(pairs.len());
        for (add, take) in pairs {
            let (a, end) = (&items[add as usize], items.get(take as usize));
            if a.status == Status::Info && end.is_none() {
                continue;
            }
            let (rc, rr) = end.map_or((NEVER, NEVER), |item| (item.call, item.ret));
            if rr < a.call {
                return Err(illegal("future-take", vec![add, take]));
            }
            let rank = if ranked {
                number(columns, a, index[add as usize])?
            } else {
                0
            };
            values.push(Value {
                add,
                take,
                ac: a.call,
                ar: a.ret.min(rr),
                rc: rc.max(a.call),
                rr,
                rank,
            });
        }
        Ok(Values { values, empties })
    }

    /// For each empty take the first instant at which nothing need be inside.
    pub fn empty_points(&self) -> Result<Vec<i64>, Answer> {
        let held = cover::Cover::new(self.values.iter().map(|v| (v.ar, v.rc)));
        let mut points = Vec::with_capacity(self.empties.len());
        for empty in &self.empties {
            let point = held.free(empty.call);
            if point > empty.ret {
                let all = self.values.iter().enumerate().map(|(at, v)| (v.ar, v.rc, at));
                let chain = cover::chain(all, empty.call, empty.ret);
                let mut core: Vec<u32> = chain.into_iter().flat_map(|at| self.values[at].ops()).collect();
                core.push(empty.op);
                return Err(illegal("false-empty", core));
            }
            points.push(point);
        }
        Ok(points)
    }
}

type Pairs = (Vec<(u32, u32)>, Vec<Empty>);

fn pair(items: &[Item], index: &[u32], slots: &mut [u32]) -> Result<Pairs, Answer> {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut failed = Vec::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item.act == Act::Add) {
        if item.status == Status::Fail {
            failed.push(at as u32);
            continue;
        }
        let slot = &mut slots[item.value as usize];
        if *slot != NONE {
            let (first, second) = (index[pairs[*slot as usize].0 as usize], index[at]);
            return Err(Answer::Unknown(format!(
                "#{first} and #{second} add the same value"
            )));
        }
        *slot = pairs.len() as u32;
        pairs.push((at as u32, NONE));
    }
    let mut empties = Vec::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item.act == Act::Take) {
        if item.value == NONE {
            let (op, call, ret) = (at as u32, item.call, item.ret);
            empties.push(Empty { op, call, ret });
            continue;
        }
        let Some((add, take)) = pairs.get_mut(slots[item.value as usize] as usize) else {
            let culprit = failed
                .iter()
                .find(|&&add| items[add as usize].value == item.value);
            return Err(match culprit {
                Some(&add) => illegal("aborted-take", vec![add, at as u32]),
                None => illegal("thin-air", vec![at as u32]),
            });
        };
        if *take != NONE {
            return Err(illegal("double-take", vec![*add, *take, at as u32]));
        }
        *take = at as u32;
    }
    Ok((pairs, empties))
}

fn number(columns: &Columns, item: &Item, index: u32) -> Result<i64, Answer> {
    let text = columns.values.text(item.value);
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Answer::Unknown(format!("#{index} adds what is no integer of 64 bits")))
}
