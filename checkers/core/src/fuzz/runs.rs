//! Runs of several sessions over several keys, and the weak models that see them whole, by their definitions.
//!
//! Every order of the writes is tried. A session guarantee only ever says that one write of a key is not after another; causal consistency wants, for each
//! read, an order of the writes that holds causal order and makes it the last of its causal past; convergence wants one order for all reads.
use super::rng::Rng;
use std::fmt::Write;

#[derive(Clone, Debug)]
pub struct Event {
    pub session: usize,
    pub key: usize,
    /// What it read, and what it wrote: a compare-and-set does both. 0 is the value before any write.
    pub read: Option<i32>,
    pub write: Option<i32>,
    /// Its outcome is unknown: the last of its session.
    pub info: bool,
}

/// In the order in which they were done.
pub type Run = Vec<Event>;

/// Reads return one of the last versions, sometimes one to come.
pub fn random(rng: &mut Rng) -> Run {
    let sessions = rng.pick(&[2, 2, 3]);
    let (keys, stale, cas) = (
        rng.pick(&[1, 2, 2]),
        rng.pick(&[20, 50, 80]),
        rng.pick(&[0, 0, 25]),
    );
    let writes = rng.pick(&[33, 50]);
    let mut versions = vec![vec![0]; keys];
    let mut run: Run = Vec::new();
    let mut fresh = 0;
    let mut retired = vec![false; sessions];
    for _ in 0..rng.range(3, 9) {
        let (session, key) = (rng.below(sessions), rng.below(keys));
        if retired[session] {
            continue;
        }
        let seen = if rng.percent(stale) {
            rng.pick(&versions[key])
        } else {
            versions[key][versions[key].len() - 1]
        };
        let mut event = Event {
            session,
            key,
            read: Some(seen),
            write: None,
            info: false,
        };
        if fresh < 5 && rng.percent(writes) {
            fresh += 1;
            versions[key].push(fresh);
            event.write = Some(fresh);
            if !rng.percent(cas) {
                event.read = None;
            }
            event.info = rng.percent(10);
            retired[session] = event.info;
        }
        run.push(event);
    }
    if rng.percent(15) {
        let at = rng.below(run.len());
        let seen = rng.pick(&versions[run[at].key]);
        if run[at].read.is_some() && run[at].write.is_none() {
            run[at].read = Some(seen);
        }
    }
    run
}

/// As JSON lines. A process for each session.
pub fn recorded(run: &Run) -> String {
    let mut text = String::new();
    let shown = |value: Option<i32>| match value {
        None | Some(0) => "null".to_string(),
        Some(value) => value.to_string(),
    };
    for (n, event) in run.iter().enumerate() {
        let (f, value) = match (event.read, event.write) {
            (_, None) => ("read", shown(event.read)),
            (None, _) => ("write", shown(event.write)),
            (_, _) => ("cas", format!("[{},{}]", shown(event.read), shown(event.write))),
        };
        let (session, key) = (event.session, event.key);
        let end = if event.info { "info" } else { "ok" };
        for (kind, time) in [("invoke", 3 * n), (end, 3 * n + 2)] {
            let head = format_args!("{{\"time\":{time},\"process\":{session},\"type\":\"{kind}\"");
            let _ = writeln!(text, "{head},\"f\":\"{f}\",\"key\":{key},\"value\":{value}}}");
        }
    }
    text
}

/// Without the writes of unknown outcome that nobody saw who surely did something.
pub fn happened(run: &Run) -> Run {
    let mut sure: Vec<bool> = run.iter().map(|event| !event.info).collect();
    for _ in 0..run.len() {
        for at in 0..run.len() {
            let read = |n: usize| {
                sure[n] && run[n].key == run[at].key && run[n].read.is_some() && run[n].read == run[at].write
            };
            sure[at] |= (0..run.len()).any(read);
        }
    }
    run.iter()
        .zip(sure)
        .filter(|(_, sure)| *sure)
        .map(|(event, _)| event.clone())
        .collect()
}

/// Call `visit` with every order of the items until it says true. Did it?
fn any_order(items: &mut Vec<usize>, from: usize, visit: &mut dyn FnMut(&[usize]) -> bool) -> bool {
    if from == items.len() {
        return visit(items);
    }
    for at in from..items.len() {
        items.swap(from, at);
        let found = any_order(items, from + 1, visit);
        items.swap(from, at);
        if found {
            return true;
        }
    }
    false
}

pub const RYW: u8 = 1;
pub const MR: u8 = 2;
pub const MW: u8 = 4;
pub const WFR: u8 = 8;

/// What the guarantees say: (key, a, b), value a is not after value b.
fn demands(run: &Run, mask: u8) -> Vec<(usize, i32, i32)> {
    let mut found = Vec::new();
    let mut say = |kind: u8, key: usize, a: Option<i32>, b: Option<i32>| {
        if let (true, Some(a), Some(b)) = (mask & kind > 0, a, b) {
            found.push((key, a, b));
        }
    };
    for (n, first) in run.iter().enumerate() {
        for (m, later) in run.iter().enumerate() {
            if first.session != later.session || first.key != later.key || n > m {
                continue;
            }
            say(WFR, first.key, first.read, later.write);
            if n < m {
                say(RYW, first.key, first.write, later.read);
                say(MR, first.key, first.read, later.read);
                say(MW, first.key, first.write, later.write);
            }
        }
    }
    // c, a write; a session that read it; what that session then read of a key on which the session of c had done something before
    for (c, made) in run.iter().enumerate().filter(|(_, event)| event.write.is_some()) {
        for (o, observer) in run.iter().enumerate() {
            if observer.key != made.key || observer.read != made.write {
                continue;
            }
            for last in run[o + 1..]
                .iter()
                .filter(|last| last.session == observer.session)
            {
                for (e, early) in run[..=c].iter().enumerate() {
                    if early.session == made.session && early.key == last.key {
                        say(WFR, last.key, early.read, last.read);
                        if e < c {
                            say(MW, last.key, early.write, last.read);
                        }
                    }
                }
            }
        }
    }
    found
}

/// Is there for each key an order of its values, the first one first, that meets every demand?
pub fn guaranteed(run: &Run, mask: u8) -> bool {
    let wanted = demands(run, mask);
    (0..=run.iter().map(|event| event.key).max().unwrap_or(0)).all(|key| {
        let mut writes: Vec<usize> = (0..run.len())
            .filter(|&n| run[n].key == key && run[n].write.is_some())
            .collect();
        any_order(&mut writes, 0, &mut |order| {
            let place = |value: i32| {
                order
                    .iter()
                    .position(|&n| run[n].write == Some(value))
                    .map_or(0, |at| at + 1)
            };
            wanted.iter().all(|&(of, a, b)| of != key || place(a) <= place(b))
        })
    })
}

/// Per event the set of those causally before it; None if that is circular.
fn past(run: &Run) -> Option<Vec<u32>> {
    let mut past = vec![0u32; run.len()];
    for (n, event) in run.iter().enumerate() {
        for (m, other) in run.iter().enumerate() {
            let session = other.session == event.session && m < n;
            let reads =
                event.read.is_some_and(|v| v != 0) && other.key == event.key && other.write == event.read;
            if session || reads {
                past[n] |= 1 << m;
            }
        }
    }
    for _ in 0..run.len() {
        for n in 0..run.len() {
            for m in 0..run.len() {
                if past[n] >> m & 1 == 1 {
                    past[n] |= past[m];
                }
            }
        }
    }
    (0..run.len()).all(|n| past[n] >> n & 1 == 0).then_some(past)
}

/// Causal consistency, or with one order for all reads causal convergence.
pub fn causal(run: &Run, one_order: bool) -> bool {
    let Some(past) = past(run) else { return false };
    let mut writes: Vec<usize> = (0..run.len()).filter(|&n| run[n].write.is_some()).collect();
    let reads: Vec<usize> = (0..run.len()).filter(|&n| run[n].read.is_some()).collect();
    let mut explained = 0u32;
    let all = reads.iter().fold(0, |set, &n| set | 1 << n);
    any_order(&mut writes, 0, &mut |order| {
        let holds =
            |(at, &n): (usize, &usize)| order[at + 1..].iter().all(|&later| past[n] >> later & 1 == 0);
        if !order.iter().enumerate().all(holds) {
            return false;
        }
        let mut good = 0u32;
        for &read in &reads {
            let seen = |&&n: &&usize| past[read] >> n & 1 == 1 && run[n].key == run[read].key;
            let last = order
                .iter()
                .rev()
                .find(seen)
                .and_then(|&n| run[n].write)
                .unwrap_or(0);
            good |= u32::from(run[read].read == Some(last)) << read;
        }
        explained |= good;
        if one_order {
            good == all
        } else {
            explained == all
        }
    })
}
