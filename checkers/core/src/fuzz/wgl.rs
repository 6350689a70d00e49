//! The second oracle: Wing & Gong's search with Lowe's memory, over a doubly linked list of events as Porcupine does it.
//!
//! ```text
//!   head → call a → call b → ret b → call c → ret a → ret c          lift b: call b and ret b leave the list
//! ```
//! At a call: try it, and begin again at the head if it is new. At a return: nothing fits, take back the last. An operation of unknown outcome has no
//! return, so it may stay for ever. Shares no code with the checkers, nor with the first oracle: states are ordinary collections.
use super::history::{Model, Op, Status, F};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

#[derive(Clone, PartialEq, Eq, Hash)]
enum State {
    Number(i32),
    Members(BTreeSet<i32>),
    Line(VecDeque<i32>),
    Ranked(BTreeMap<i32, u32>),
    Text(String),
    Map(BTreeMap<i32, i32>),
}

const NOBODY: usize = usize::MAX;

/// A node of the list: a call knows its return, a return has none.
struct Event {
    op: usize,
    call: bool,
    partner: usize,
    previous: usize,
    next: usize,
}

/// Is there an order? `saw`: a failed compare-and-set found another value.
pub fn linearizable(model: Model, ops: &[Op], saw: bool) -> bool {
    let mut times: Vec<(i32, u8, usize)> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let told = op.status == Status::Ok || (op.status == Status::Fail && saw && op.f == F::Cas);
        if told {
            times.push((op.ret, 1, at));
        }
        if told || op.status == Status::Info {
            times.push((op.call, 0, at));
        }
    }
    times.sort_unstable();
    // node 0 is the head
    let mut events = vec![Event {
        op: NOBODY,
        call: false,
        partner: NOBODY,
        previous: NOBODY,
        next: NOBODY,
    }];
    for &(_, kind, op) in &times {
        let at = events.len();
        events[at - 1].next = at;
        let mut partner = NOBODY;
        if kind == 1 {
            partner = events
                .iter()
                .position(|event| event.op == op)
                .expect("its call comes first");
            events[partner].partner = at;
        }
        events.push(Event {
            op,
            call: kind == 0,
            partner,
            previous: at - 1,
            next: NOBODY,
        });
    }
    let returns = times.iter().filter(|time| time.1 == 1).count();
    explore(model, ops, &mut events, returns)
}

fn explore(model: Model, ops: &[Op], events: &mut [Event], mut returns: usize) -> bool {
    let (mut done, mut state) = (0u64, start(model));
    let mut cache: HashSet<(u64, State)> = HashSet::new();
    let mut stack: Vec<(usize, State)> = Vec::new();
    let mut at = events[0].next;
    loop {
        if returns == 0 {
            return true;
        }
        if at != NOBODY && events[at].call {
            let op = events[at].op;
            if let Some(next) = apply(model, &ops[op], &state) {
                let after = done | 1 << op;
                if cache.insert((after, next.clone())) {
                    stack.push((at, std::mem::replace(&mut state, next)));
                    done = after;
                    lift(events, at);
                    returns -= usize::from(events[at].partner != NOBODY);
                    at = events[0].next;
                    continue;
                }
            }
            at = events[at].next;
            continue;
        }
        let Some((call, before)) = stack.pop() else {
            return false;
        };
        state = before;
        done &= !(1 << events[call].op);
        returns += usize::from(events[call].partner != NOBODY);
        unlift(events, call);
        at = events[call].next;
    }
}

fn lift(events: &mut [Event], call: usize) {
    for at in [call, events[call].partner]
        .into_iter()
        .filter(|&at| at != NOBODY)
    {
        let (previous, next) = (events[at].previous, events[at].next);
        events[previous].next = next;
        if next != NOBODY {
            events[next].previous = previous;
        }
    }
}

fn unlift(events: &mut [Event], call: usize) {
    for at in [events[call].partner, call]
        .into_iter()
        .filter(|&at| at != NOBODY)
    {
        let (previous, next) = (events[at].previous, events[at].next);
        events[previous].next = at;
        if next != NOBODY {
            events[next].previous = at;
        }
    }
}

fn start(model: Model) -> State {
    match model {
        Model::Register | Model::CasRegister | Model::Mutex | Model::Counter => State::Number(0),
        Model::GrowSet | Model::Set => State::Members(BTreeSet::new()),
        Model::Queue | Model::Stack | Model::List => State::Line(VecDeque::new()),
        Model::PriorityQueue => State::Ranked(BTreeMap::new()),
        Model::Kv => State::Text(String::new()),
        Model::MultiRegister => State::Map(BTreeMap::new()),
    }
}

fn letters(row: &[i32]) -> String {
    row.iter()
        .filter_map(|&n| char::from_u32(n as u32 + 97))
        .collect()
}

/// Run the operation on the object and compare what it returns.
fn apply(model: Model, op: &Op, before: &State) -> Option<State> {
    let mut after = before.clone();
    let right = match &mut after {
        State::Number(n) => match op.f {
            F::Read => *n == op.out,
            F::Cas if op.status == Status::Fail => return (*n != op.arg).then_some(after),
            F::Cas => {
                let fits = *n == op.arg;
                *n = op.new;
                return fits.then_some(after);
            }
            F::Acquire => return (std::mem::replace(n, 1) == 0).then_some(after),
            F::Release => return (std::mem::replace(n, 0) == 1).then_some(after),
            F::Increment => {
                *n += op.arg;
                true
            }
            _ => {
                *n = op.arg;
                true
            }
        },
        State::Members(set) => match op.f {
            F::Add => {
                set.insert(op.arg);
                true
            }
            F::Remove => {
                set.remove(&op.arg);
                true
            }
            F::Contains => i32::from(set.contains(&op.arg)) == op.out,
            _ => set.iter().eq(op.row.iter()),
        },
        State::Line(line) => match op.f {
            F::Add => {
                line.push_back(op.arg);
                true
            }
            F::Take if model == Model::Queue => line.pop_front().unwrap_or(0) == op.out,
            F::Take => line.pop_back().unwrap_or(0) == op.out,
            _ => line.iter().eq(op.row.iter()),
        },
        State::Ranked(ranked) => match op.f {
            F::Add => {
                *ranked.entry(op.arg).or_insert(0) += 1;
                true
            }
            _ => poll(ranked) == op.out,
        },
        State::Text(text) => match op.f {
            F::Put => {
                *text = letters(&op.row);
                true
            }
            F::Append => {
                text.push_str(&letters(&op.row));
                true
            }
            _ => *text == letters(&op.row),
        },
        State::Map(map) => {
            let mut right = true;
            for part in op.row.chunks(3) {
                if part[0] == 1 {
                    map.insert(part[1], part[2]);
                } else {
                    right &= map.get(&part[1]).copied().unwrap_or(0) == part[2];
                }
            }
            right
        }
    };
    (right || op.status != Status::Ok).then_some(after)
}

fn poll(ranked: &mut BTreeMap<i32, u32>) -> i32 {
    let Some(mut greatest) = ranked.last_entry() else {
        return 0;
    };
    let value = *greatest.key();
    *greatest.get_mut() -= 1;
    if *greatest.get() == 0 {
        greatest.remove();
    }
    value
}
