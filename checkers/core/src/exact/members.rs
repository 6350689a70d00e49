//! A set of which single elements are asked: `add v`, `remove v`, `contains v -> [v, there]`, each element added once and removed once at most.
//!
//! Elements are independent, so each is judged alone. The add belongs as late as the reads that saw the element allow, the remove as early:
//!
//! ```text
//!   contains: no     │add│        contains: yes        │remove│     contains: no
//!                     i = min(return of add, of yes)    r = max(call of remove, of yes)
//! ```
//! A no must have a part before i or after r. A remove that comes before the add removes nothing, and all nos come before i then.
use super::{foreign, illegal, unrecorded, Adders, Call};
use crate::columns::Columns;
use crate::intern::NONE;
use crate::jsonl::elements;
use crate::register::{Answer, Status, ALWAYS, NEVER};

/// An instant, what goes first at one instant, and the call.
type Timed = (i64, u8, u32);

#[derive(Default)]
struct Element {
    value: u32,
    add: Option<Call>,
    remove: Option<Call>,
    yes: Vec<Call>,
    no: Vec<Call>,
}

pub fn judge(columns: &Columns, calls: &[Call]) -> Answer {
    judged(columns, calls).unwrap_or_else(|answer| answer)
}

fn judged(columns: &Columns, calls: &[Call]) -> Result<Answer, Answer> {
    let add = columns.fs.find(b"\"add\"");
    let places =
        |f: Option<u32>| (0..calls.len() as u32).filter(move |&place| Some(calls[place as usize].f) == f);
    let adds: Vec<u32> = places(add).collect();
    let adders = Adders::collect(columns, calls, &adds)?;
    let mut order: Vec<Timed> = Vec::with_capacity(calls.len());
    for element in collect(columns, calls)? {
        let Some(add) = element.add else {
            if let Some(yes) = element.yes.first() {
                return Err(adders.stranger(calls, Some(element.value), yes.at));
            }
            order.extend(
                element
                    .no
                    .iter()
                    .chain(&element.remove)
                    .map(|call| (call.call, 0, call.at)),
            );
            continue;
        };
        element.place(&add, &mut order)?;
    }
    order.sort_unstable();
    Ok(Answer::Legal(order.into_iter().map(|(_, _, at)| at).collect()))
}

fn collect(columns: &Columns, calls: &[Call]) -> Result<Vec<Element>, Answer> {
    let find = |name: &[u8]| columns.fs.find(name);
    let (add, remove, contains) = (find(b"\"add\""), find(b"\"remove\""), find(b"\"contains\""));
    let mut sorted: Vec<&Call> = calls.iter().filter(|call| call.status != Status::Fail).collect();
    sorted.sort_by_key(|call| call.arg);
    let mut found: Vec<Element> = Vec::new();
    for call in sorted {
        if call.arg == NONE {
            return Err(if [add, remove, contains].contains(&Some(call.f)) {
                unrecorded(columns, call)
            } else {
                foreign(columns, call)
            });
        }
        if found.last().is_none_or(|element| element.value != call.arg) {
            found.push(Element {
                value: call.arg,
                ..Element::default()
            });
        }
        let element = found.last_mut().expect("there is one");
        if Some(call.f) == add {
            element.add = Some(*call);
        } else if Some(call.f) == remove {
            if let Some(first) = element.remove.replace(*call) {
                let (first, second) = (first.at, call.at);
                return Err(Answer::Unknown(format!(
                    "#{first} and #{second} remove the same element"
                )));
            }
        } else if Some(call.f) != contains {
            return Err(foreign(columns, call));
        } else if call.ok() {
            match there(columns, call) {
                Some(true) => element.yes.push(*call),
                Some(false) => element.no.push(*call),
                None => return Err(unrecorded(columns, call)),
            }
        }
    }
    Ok(found)
}

fn there(columns: &Columns, call: &Call) -> Option<bool> {
    if call.result == NONE {
        return None;
    }
    match elements(columns.values.text(call.result))?[..] {
        [_, b"true"] => Some(true),
        [_, b"false"] => Some(false),
        _ => None,
    }
}

impl Element {
    /// Give each operation its instant; the core if that cannot be.
    fn place(&self, add: &Call, order: &mut Vec<Timed>) -> Result<(), Answer> {
        if add.status == Status::Info && self.yes.is_empty() {
            let sure = self.remove.iter().filter(|remove| remove.ok());
            order.extend(self.no.iter().chain(sure).map(|call| (call.call, 0, call.at)));
            return Ok(());
        }
        let first = self.yes.iter().min_by_key(|call| call.ret);
        let last = self.yes.iter().max_by_key(|call| call.call);
        let late = add.ret.min(first.map_or(NEVER, |call| call.ret));
        if late < add.call {
            return Err(self.core("future-read", add, [first.copied(), None, None]));
        }
        let held = self.no.iter().find(|call| call.call > late); // a no that only a remove explains
        let idle = self.remove.filter(|remove| remove.ok());
        if held.is_none() && idle.is_none_or(|remove| remove.call <= late) {
            order.extend(idle.map(|remove| (remove.call, 0, remove.at)));
            self.emit(add, None, late, NEVER, order);
            return Ok(());
        }
        let Some(remove) = self.remove else {
            return Err(self.core("lost", add, [first.copied(), held.copied(), None]));
        };
        let seen = last.map_or(ALWAYS, |call| call.call);
        let early = remove.call.max(seen);
        let (i, r) = if early < late {
            (early.max(add.call), early.max(add.call))
        } else {
            (late, early)
        };
        if r > remove.ret {
            let anomaly = if seen > remove.ret { "resurrected" } else { "lost" };
            return Err(self.core(anomaly, add, [first.copied(), last.copied(), held.copied()]));
        }
        if let Some(no) = self.no.iter().find(|call| call.call > i && call.ret < r) {
            let mut core = vec![first.copied(), last.copied(), Some(*no)];
            core.push(held.copied());
            return Err(self.core("lost", add, core));
        }
        self.emit(add, Some(&remove), i, r, order);
        Ok(())
    }

    /// The add at i, the remove at r.
    fn emit(&self, add: &Call, remove: Option<&Call>, i: i64, r: i64, order: &mut Vec<Timed>) {
        order.push((i, 1, add.at));
        order.extend(self.yes.iter().map(|call| (call.call.max(i), 2, call.at)));
        order.extend(remove.map(|call| (r, 3, call.at)));
        order.extend(self.no.iter().map(|call| {
            if call.call <= i {
                (call.call, 0, call.at)
            } else {
                (call.call.max(r), 4, call.at)
            }
        }));
    }

    fn core(
        &self,
        anomaly: &'static str,
        add: &Call,
        reads: impl IntoIterator<Item = Option<Call>>,
    ) -> Answer {
        let ops = reads.into_iter().flatten().chain([*add]).chain(self.remove);
        illegal(anomaly, ops.map(|call| call.at).collect())
    }
}
