//! Random and exhaustive small histories: every checker against two oracles that share no code with it.
//!
//! ```text
//!   generate ─► history ─► JSON lines ─► columns ─► zones, special cases, search with any reductions ─┐
//!                  └─────► oracle (every order), wgl (list of events) ────────────────────────────────┴─► judging: equal, certificates hold
//! ```
//! `cargo test fuzz` runs a small number; `QUORATE_FUZZ=10000000 cargo test --release fuzz -- --nocapture` a large one and prints the shares.
//! `QUORATE_SEED` chooses others. A failure prints the history.
mod circles;
mod generate;
mod history;
mod judging;
mod laws;
mod oracle;
mod rng;
mod runs;
mod small;
mod weak;
mod wgl;

use crate::columns::Columns;
use crate::sessions::Sessions;
use crate::{causal, guarantees};
use generate::{Shape, CONTENTS};
use history::{Model, MODELS};
use judging::{some_rules, Batch, Count};
use rng::Rng;
use std::sync::atomic::{AtomicU64, Ordering};

const BATCH: usize = 50;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A batch that fails is the last.
struct End<'a>(&'a AtomicU64);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

/// Run the batches, as many at a time as there are processors. What a batch holds depends on the seed and its number only.
fn batches<T: Default + Send>(
    count: u64,
    run: impl Fn(u64) -> T + Sync,
    join: impl Fn(&mut T, T) + Sync,
) -> T {
    let next = AtomicU64::new(0);
    let work = || {
        let _end = End(&next);
        let mut total = T::default();
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= count {
                return total;
            }
            join(&mut total, run(batch));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut total = T::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => join(&mut total, part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        total
    })
}

/// Per model, and per content of registers.
#[derive(Default)]
struct Table(Vec<(String, Count)>);

impl Table {
    fn add(&mut self, name: &str, count: &Count) {
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, total)) => total.add(count),
            None => self.0.push((name.into(), count.clone())),
        }
    }

    fn join(&mut self, other: Table) {
        other.0.iter().for_each(|(name, count)| self.add(name, count));
    }

    /// Print the shares, and see that neither verdict is rare.
    fn show(&mut self, what: &str) {
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        let (mut all, mut rare) = (Count::default(), None);
        for (name, count) in &self.0 {
            let share = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
            let illegal = share(count.illegal, count.histories);
            let left = share(count.left, count.asked);
            println!(
                "{what} {name:28} {:>10} histories, {illegal:4.1} % illegal, {left:4.1} % left to the search",
                count.histories
            );
            if !name.contains(' ') {
                rare =
                    rare.or((!(15.0..=80.0).contains(&illegal) && count.histories >= 1000).then_some(name));
                all.add(count);
            }
        }
        let illegal = 100.0 * all.illegal as f64 / all.histories.max(1) as f64;
        if self.0.len() > 1 {
            println!(
                "{what} all: {} histories, {illegal:.1} % illegal, no mismatch",
                all.histories
            );
        }
        assert_eq!(rare, None, "one verdict is rare");
    }
}

#[test]
fn random_histories() {
    let (seed, total) = (number("QUORATE_SEED", 1), number("QUORATE_FUZZ", 100_000));
    let run = |batch: u64| {
        let mut rng = Rng::new(seed, batch);
        let rng = &mut rng;
        let model = match rng.below(16) {
            0..=1 => Model::Register,
            2..=5 => Model::CasRegister,
            other => MODELS[other - 4],
        };
        let shape = Shape::random(rng, model);
        let histories: Vec<_> = (0..BATCH)
            .map(|_| generate::history(rng, model, &shape, 9))
            .collect();
        let count = Batch::of(model, &histories).judge(&some_rules(rng));
        let mut table = Table::default();
        table.add(model.name(), &count);
        table.add(&format!("{} {}", model.name(), CONTENTS[shape.content]), &count);
        table
    };
    let mut table = batches(total.div_ceil(BATCH as u64), run, Table::join);
    println!("seed {seed}");
    table.show("random");
}

/// Every history of n operations, of one model.
fn small_scope(model: Model, n: usize, ties: bool) -> Table {
    let (times, contents) = (small::times(n, ties), small::contents(model, n));
    let run = |batch: u64| {
        let timed = |times: &Vec<(i32, i32)>| {
            let mut ops = contents[batch as usize].clone();
            let places = ops.iter_mut().zip(times);
            places.for_each(|(op, &time)| (op.call, op.ret) = time);
            ops
        };
        let mut table = Table::default();
        let mut rng = Rng::new(7, batch);
        for part in times.chunks(200) {
            let histories: Vec<_> = part.iter().map(timed).collect();
            table.add(
                model.name(),
                &Batch::of(model, &histories).judge(&some_rules(&mut rng)),
            );
        }
        table
    };
    batches(contents.len() as u64, run, Table::join)
}

#[test]
fn all_small_histories() {
    let nightly = number("QUORATE_FUZZ", 100_000) >= 1_000_000;
    for model in MODELS {
        for n in 1..=3 {
            small_scope(model, n, nightly || n < 3 || model == Model::Register).show(&format!("all of {n}"));
        }
        if nightly || model == Model::Register {
            small_scope(model, 4, nightly && model == Model::Register).show("all of 4");
        }
    }
}

#[test]
fn small_times_are_all_there_are() {
    // (2n - 1)!! without ties; with them the weak orders of 2n ends in which calls come in order and no return before its call
    assert_eq!(
        (1..=4).map(|n| small::times(n, false).len()).collect::<Vec<_>>(),
        [1, 3, 15, 105]
    );
    assert_eq!(
        (1..=3).map(|n| small::times(n, true).len()).collect::<Vec<_>>(),
        [2, 16, 208]
    );
}

#[test]
fn weak_registers() {
    let (seed, total) = (number("QUORATE_SEED", 1), number("QUORATE_FUZZ", 100_000) / 4);
    let run = |batch: u64| {
        let mut rng = Rng::new(seed ^ 0x5EED, batch);
        let model = rng.pick(&[Model::Register, Model::Register, Model::CasRegister]);
        let shape = Shape::random(&mut rng, model);
        let histories: Vec<_> = (0..BATCH)
            .map(|_| generate::history(&mut rng, model, &shape, 8))
            .collect();
        weak::judge(model, &histories, batch.is_multiple_of(3))
    };
    let found = batches(total.div_ceil(BATCH as u64), run, weak::Tally::join);
    println!("weak registers: {found:?}, no mismatch");
    for broken in [found.corrupt, found.irregular, found.unsafe_] {
        assert!((0.05..0.8).contains(&(broken as f64 / found.total as f64)));
    }
    assert!(found.shifted * 10 > found.measured && found.unbounded * 50 > found.measured);
}

/// Runs, and how many broke: each set of guarantees, causal consistency, convergence.
#[derive(Default, Debug)]
struct Broken(u64, [u64; 18]);

/// A violation proves itself.
fn told(run: &runs::Run, sessions: &Sessions, found: &Option<causal::Broken>) {
    if let Some(Err(why)) = found
        .as_ref()
        .map(|broken| circles::validate(run, sessions, broken))
    {
        panic!("{why}: {run:#?}");
    }
}

#[test]
fn sessions_and_causality() {
    let (seed, total) = (number("QUORATE_SEED", 1), number("QUORATE_FUZZ", 100_000) / 4);
    let run = |batch: u64| {
        let mut rng = Rng::new(seed ^ 0xCA5E, batch);
        let mut broken = Broken::default();
        for _ in 0..BATCH {
            broken.0 += 1;
            let recorded = runs::random(&mut rng);
            let columns = Columns::read(runs::recorded(&recorded).as_bytes()).expect("well-formed");
            let (sessions, run) = (Sessions::of(&columns), runs::happened(&recorded));
            for mask in [rng.range(1, 15) as u8, runs::RYW | runs::MR | runs::MW, 15] {
                let found = guarantees::search(&sessions, mask, 1).broken;
                let kept = runs::guaranteed(&run, mask);
                told(&recorded, &sessions, &found);
                assert_eq!(found.is_none(), kept, "guarantees {mask}: {recorded:#?}");
                broken.1[mask as usize] += u64::from(!kept);
            }
            for (n, convergence) in [(16, false), (17, true)] {
                let found = causal::search(&sessions, convergence).expect("small").broken;
                let kept = runs::causal(&run, convergence);
                told(&recorded, &sessions, &found);
                assert_eq!(
                    found.is_none(),
                    kept,
                    "causal, convergence {convergence}: {recorded:#?}"
                );
                broken.1[n] += u64::from(!kept);
            }
            if runs::causal(&run, true) {
                assert!(
                    runs::causal(&run, false) && runs::guaranteed(&run, 15),
                    "{run:#?}"
                );
            }
        }
        broken
    };
    let join = |all: &mut Broken, part: Broken| {
        all.0 += part.0;
        all.1.iter_mut().zip(part.1).for_each(|(sum, one)| *sum += one);
    };
    let found = batches(total.div_ceil(BATCH as u64), run, join);
    let share = |n: usize| 100 * found.1[n] / found.0;
    println!(
        "sessions: {} runs; broken: all guarantees {} %, CC {} %, CCv {} %; no mismatch",
        found.0,
        share(15),
        share(16),
        share(17)
    );
    assert!(
        (15..17).all(|n| (15..75).contains(&share(n))),
        "one verdict is rare"
    );
}

#[test]
fn laws_of_long_histories() {
    let (seed, total) = (
        number("QUORATE_SEED", 1),
        number("QUORATE_FUZZ", 100_000).div_ceil(200),
    );
    let run = |batch: u64| laws::judge(&mut Rng::new(seed ^ 0x1A35, batch), batch);
    let found = batches(total, run, laws::Tally::join);
    println!("laws: {found:?}, no mismatch");
    assert!(
        found.total * 2 > total && found.illegal * 8 > found.total && found.illegal * 5 < found.total * 4
    );
    assert!(
        found.both * 3 > found.total && found.wide * 50 > found.total,
        "{found:?}"
    );
}
