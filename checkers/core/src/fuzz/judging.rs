//! What each checker says of a batch, put against what the oracles say. Certificates are tried too.
//!
//! A witness is replayed on the oracle's object. A core is given to the oracle: it must be impossible on its own.
use super::history::{Model, Op, Recorded, Status, F};
use super::oracle::{first, linearizable, must, step};
use super::rng::Rng;
use super::wgl;
use crate::columns::Columns;
use crate::judge::{native_key, Budget};
use crate::register::{by_key, each_key, Answer};
use crate::search::{R5, R6};
use crate::{exact, special, zones};

/// How many there were of one model.
#[derive(Clone, Default)]
pub struct Count {
    pub histories: u64,
    pub illegal: u64,
    /// Histories that a polynomial case was asked about, and that it left to the search.
    pub asked: u64,
    pub left: u64,
}

impl Count {
    pub fn add(&mut self, other: &Count) {
        self.histories += other.histories;
        self.illegal += other.illegal;
        self.asked += other.asked;
        self.left += other.left;
    }
}

/// One checker's answer on one history: operations in it, not calls of the run.
struct Said {
    key: usize,
    word: &'static str,
    text: String,
    ops: Vec<u32>,
    /// The core is a shortest bad prefix; the operation whose return ends it.
    prefix: Option<u32>,
    searched: bool,
}

pub struct Batch<'a> {
    pub model: Model,
    pub histories: &'a [Vec<Op>],
    recorded: Recorded,
    columns: Columns,
    /// What the oracles say, a failed compare-and-set being silent, or having seen another value.
    silent: Vec<bool>,
    saw: Vec<bool>,
}

impl<'a> Batch<'a> {
    pub fn of(model: Model, histories: &'a [Vec<Op>]) -> Batch<'a> {
        let recorded = Recorded::of(model, histories);
        let columns = Columns::read(recorded.text.as_bytes()).expect("well-formed");
        let ask = |saw: bool| -> Vec<bool> {
            histories
                .iter()
                .map(|ops| {
                    let first = linearizable(model, ops, saw);
                    assert_eq!(
                        first,
                        wgl::linearizable(model, ops, saw),
                        "the oracles differ: {ops:?}"
                    );
                    first
                })
                .collect()
        };
        let silent = ask(false);
        let failed = |ops: &Vec<Op>| ops.iter().any(|op| op.f == F::Cas && op.status == Status::Fail);
        let saw = if histories.iter().any(failed) {
            ask(true)
        } else {
            silent.clone()
        };
        Batch {
            model,
            histories,
            recorded,
            columns,
            silent,
            saw,
        }
    }

    /// Ask every checker that can judge the model. `rules` are subsets of R1 to R6 for the search.
    pub fn judge(&self, rules: &[u8]) -> Count {
        let illegal = self.silent.iter().filter(|legal| !**legal).count() as u64;
        let mut count = Count {
            histories: self.histories.len() as u64,
            illegal,
            ..Count::default()
        };
        for &rules in rules {
            self.compare(
                &format!("search {rules:06b}"),
                self.search(rules, false),
                false,
                &mut count,
            );
            if self.model == Model::CasRegister {
                self.compare(
                    &format!("search saw {rules:06b}"),
                    self.search(rules, true),
                    true,
                    &mut count,
                );
            }
        }
        if self.model.register() {
            self.compare("zones", self.zones(zones::Failed::Unsaid), false, &mut count);
            self.compare(
                "zones silent",
                self.zones(zones::Failed::Silent),
                false,
                &mut count,
            );
            self.compare("zones saw", self.zones(zones::Failed::Saw), true, &mut count);
        }
        if let Some(answers) = polynomial(&self.columns, self.model) {
            let said = answers
                .into_iter()
                .map(|(key, word, text, ops, ..)| self.said(key, word, text, &ops));
            self.compare("special", said.collect(), false, &mut count);
        }
        count
    }

    fn said(&self, key: u32, word: &'static str, text: String, calls: &[u32]) -> Said {
        let name = std::str::from_utf8(self.columns.keys.text(key)).expect("a number");
        let key: usize = name.parse().expect("a number");
        let own = |&call: &u32| {
            let (history, op) = self.recorded.owner[call as usize];
            assert_eq!(
                history as usize, key,
                "a call of another key: {:?}",
                self.histories[key]
            );
            op
        };
        Said {
            key,
            word,
            text,
            ops: calls.iter().map(own).collect(),
            prefix: None,
            searched: false,
        }
    }

    fn zones(&self, failed: zones::Failed) -> Vec<Said> {
        let mut found = Vec::new();
        each_key(&self.columns, |key| {
            let place =
                |ops: Vec<u32>| -> Vec<u32> { ops.iter().map(|&at| key.index[at as usize]).collect() };
            found.push(match zones::check(key, failed) {
                Answer::Legal(ops) => self.said(key.id, "valid", String::new(), &place(ops)),
                Answer::Illegal { anomaly, core } => {
                    self.said(key.id, "invalid", anomaly.into(), &place(core))
                }
                Answer::Unknown(why) => self.said(key.id, "unknown", why, &[]),
            });
        });
        found
    }

    fn search(&self, rules: u8, saw: bool) -> Vec<Said> {
        let budget = Budget::new(None, 1 << 30, 1 << 20, rules, saw);
        let (calls, starts) = by_key(&self.columns);
        let keys = (0..self.columns.keys.len()).filter(|&key| starts[key] < starts[key + 1]);
        let said = keys.map(|key| {
            let calls = &calls[starts[key] as usize..starts[key + 1] as usize];
            let name = self.model.name();
            let answer = native_key(&self.columns, key as u32, calls, name, None, &budget, &|| Ok(()));
            let (answer, _) = answer.expect("a model that is built in");
            let mut said = self.said(answer.key, answer.word, answer.reason, &answer.ops);
            let blocking = answer.blocking.map(|call| self.recorded.owner[call as usize].1);
            said.searched = true;
            said.prefix = blocking.filter(|_| answer.minimal && answer.word == "invalid");
            if rules & (R5 | R6) == 0 && answer.word == "invalid" {
                assert!(
                    answer.minimal,
                    "no reduction knows the future, so the prefix is the shortest"
                );
            }
            said
        });
        said.collect()
    }

    fn compare(&self, checker: &str, answers: Vec<Said>, saw: bool, count: &mut Count) {
        let mut seen = vec![false; self.histories.len()];
        for said in answers {
            let ops = &self.histories[said.key];
            let legal = if saw {
                self.saw[said.key]
            } else {
                self.silent[said.key]
            };
            let context = || {
                format!(
                    "{checker} on {:?}: {} {}\n{ops:#?}",
                    self.model, said.word, said.text
                )
            };
            assert!(
                !std::mem::replace(&mut seen[said.key], true),
                "judged twice: {}",
                context()
            );
            count.asked += u64::from(!checker.starts_with("search"));
            match said.word {
                "valid" => {
                    assert!(legal, "the oracles say illegal: {}", context());
                    if let Err(why) = replay(self.model, ops, &said.ops, saw) {
                        panic!("{why}, order {:?}: {}", said.ops, context());
                    }
                }
                "invalid" => {
                    assert!(!legal, "the oracles say legal: {}", context());
                    self.core(&said, ops, saw, &context);
                }
                _ => {
                    assert!(!checker.starts_with("search"), "no answer: {}", context());
                    assert!(excused(self.model, ops, checker), "must apply: {}", context());
                    count.left += 1;
                }
            }
        }
        for (key, ops) in self.histories.iter().enumerate().filter(|&(key, _)| !seen[key]) {
            assert!(ops.is_empty(), "key {key} was not judged by {checker}: {ops:#?}");
        }
    }

    fn core(&self, said: &Said, ops: &[Op], saw: bool, context: &dyn Fn() -> String) {
        let core: Vec<Op> = said.ops.iter().map(|&at| ops[at as usize].clone()).collect();
        assert!(
            !linearizable(self.model, &core, saw),
            "core {core:#?} is possible: {}",
            context()
        );
        let mut names = said.ops.clone();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), said.ops.len(), "twice in the core: {}", context());
        let zones = self.model.register() && !said.searched;
        if zones && ops.iter().all(|op| op.f != F::Cas) {
            assert!(core.len() <= 6, "a core of zones has six at most: {}", context());
        }
        if let Some(last) = said.prefix {
            let end = ops[last as usize].ret;
            let mut before: Vec<Op> = core.into_iter().filter(|op| op.call <= end).collect();
            let cut = before
                .iter_mut()
                .filter(|op| op.ret >= end && must(op, saw).is_some());
            cut.for_each(|op| op.status = Status::Info);
            assert!(
                linearizable(self.model, &before, saw),
                "the prefix is not minimal: {}",
                context()
            );
        }
    }
}

/// What the model's polynomial case says, if there is one beside the zones.
pub fn polynomial(columns: &Columns, model: Model) -> Option<Vec<special::Said>> {
    let name = model.name();
    special::check(columns, name, 1).or_else(|| exact::check(columns, name, 1))
}

/// May a polynomial case leave this history to the search?
fn excused(model: Model, ops: &[Op], checker: &str) -> bool {
    let failed = ops.iter().any(|op| op.f == F::Cas && op.status == Status::Fail);
    if failed && matches!(checker, "zones" | "zones saw") {
        return true;
    }
    if !model.register() && !model.container() {
        return true;
    }
    let lost = ops.iter().any(|op| op.f == F::Take && op.status == Status::Info);
    let done = ops.iter().filter(|op| op.status != Status::Fail);
    let mut written: Vec<i32> = done.filter_map(Op::written).collect();
    let all = written.len();
    written.sort_unstable();
    written.dedup();
    let itself = ops.iter().any(|op| op.f == F::Cas && op.arg == op.new);
    lost || written.len() < all || written.contains(&0) || itself
}

/// Is it an order of the operations that real time and the object allow?
fn replay(model: Model, ops: &[Op], order: &[u32], saw: bool) -> Result<(), &'static str> {
    let mut state = first(model);
    let mut seen = vec![false; ops.len()];
    let mut latest = i32::MIN;
    for &at in order {
        let op = &ops[at as usize];
        let Some(must) = must(op, saw) else {
            return Err("a failed operation is in the order");
        };
        if std::mem::replace(&mut seen[at as usize], true) {
            return Err("an operation is in the order twice");
        }
        if must && op.ret < latest {
            return Err("an operation comes after one that was called when it had returned");
        }
        latest = latest.max(op.call);
        state = step(model, op, &state).ok_or("the object cannot do that")?;
    }
    match ops
        .iter()
        .zip(&seen)
        .all(|(op, &seen)| seen || must(op, saw) != Some(true))
    {
        true => Ok(()),
        false => Err("an operation is missing in the order"),
    }
}

/// Subsets of R1 to R6 to try: the two extremes now and then, else some at random.
pub fn some_rules(rng: &mut Rng) -> Vec<u8> {
    vec![
        if rng.percent(20) { 63 } else { rng.below(64) as u8 },
        rng.below(64) as u8,
    ]
}
