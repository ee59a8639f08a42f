//! No input makes a parser panic. The committed corpus goes through every parser with the other tests; `tests/fuzz/run`
//! makes new inputs from it, keeps what leads to an answer never heard before, and what fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

mod mutate;
mod targets;

use forescale::clock::Stopwatch;
use mutate::{minimise, mutate};
use rand::Rng as _;
use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use targets::{TARGETS, Target};

/// Inputs that are kept of one target at most, and the longest, bytes: the corpus is committed.
const KEPT: usize = 150;
const KEPT_BYTES: usize = 1500;
/// Inputs that new ones are made from.
const POOL: usize = 4000;
/// One turn of a target.
const TURN: Duration = Duration::from_secs(10);

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz").join(target)
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder(target)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn the_corpus_goes_through_every_parser() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name}: expected a corpus in {}; found none", folder(name).display());
        for (path, input) in inputs {
            let done = catch_unwind(|| target(&input));
            assert!(done.is_ok(), "{name}: {} fails", path.display());
        }
    }
}

#[test]
fn a_find_is_made_small() {
    let small = minimise(b"some text (with a parenthesis) and more", |input| input.contains(&b'('));
    assert_eq!(small, b"(");
}

/// What is kept of an answer to tell whether it was heard before: its words, without what it quotes and counts.
fn gist(answer: &str) -> String {
    let mut quoted = false;
    let mut words: String = answer
        .chars()
        .filter(|c| {
            quoted ^= *c == '"';
            !quoted && (c.is_alphabetic() || " |;".contains(*c))
        })
        .take(160)
        .collect();
    if answer.len() < 30 {
        words += answer;
    }
    words
}

/// The search on one target.
struct Search {
    target: Target,
    pool: Vec<Vec<u8>>,
    heard: HashSet<String>,
    kept: usize,
    runs: u64,
    spent: Duration,
    slowest: Duration,
    finds: usize,
}

impl Search {
    fn new(target: Target) -> Search {
        let pool: Vec<Vec<u8>> = corpus(target.0).into_iter().map(|(_, input)| input).collect();
        let kept = pool.len();
        let heard = pool.iter().map(|input| gist(&target.1(input))).collect();
        let none = Duration::ZERO;
        Search { target, pool, heard, kept, runs: 0, spent: none, slowest: none, finds: 0 }
    }

    fn keep(&mut self, input: &[u8], what: &str) {
        let digest =
            input.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        fs::write(folder(self.target.0).join(format!("{what}-{digest:016x}")), input).unwrap();
    }

    fn turn(&mut self, rng: &mut forescale::rng::Rng) {
        let begin = Stopwatch::start();
        while begin.elapsed() < TURN && self.finds < 10 {
            let input = mutate(&self.pool, rng);
            let from = Stopwatch::start();
            let said = catch_unwind(AssertUnwindSafe(|| (self.target.1)(&input)));
            self.slowest = self.slowest.max(from.elapsed());
            self.runs += 1;
            let Ok(said) = said else {
                let small = minimise(&input, |less| catch_unwind(AssertUnwindSafe(|| (self.target.1)(less))).is_err());
                println!("{}: FAILS on {:?}", self.target.0, String::from_utf8_lossy(&small));
                self.keep(&small, "find");
                self.finds += 1;
                continue;
            };
            if self.heard.insert(gist(&said)) {
                if self.kept < KEPT && input.len() <= KEPT_BYTES {
                    self.keep(&input, "new");
                    self.kept += 1;
                }
                if self.pool.len() < POOL {
                    self.pool.push(input);
                } else {
                    let at = rng.random_range(0..POOL);
                    self.pool[at] = input;
                }
            }
        }
        self.spent += begin.elapsed();
    }
}

/// Runs for `FORESCALE_FUZZ_MINUTES` on all targets in turn, or on the one that `FORESCALE_FUZZ_TARGET` names.
#[test]
#[ignore = "runs as long as it is told to: tests/fuzz/run"]
fn search() {
    let minutes: f64 = std::env::var("FORESCALE_FUZZ_MINUTES").unwrap().parse().unwrap();
    let only = std::env::var("FORESCALE_FUZZ_TARGET").ok();
    let seed = forescale::rng::fresh_seed();
    println!("seed {seed}");
    let mut rng = forescale::rng::stream(seed, "fuzz");
    let chosen = TARGETS.iter().filter(|t| only.as_ref().is_none_or(|name| name == t.0));
    let mut searches: Vec<Search> = chosen.map(|t| Search::new(*t)).collect();
    assert!(!searches.is_empty(), "expected one of {:?}", TARGETS.iter().map(|t| t.0).collect::<Vec<_>>());
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Stopwatch::start();
    while begin.elapsed().as_secs_f64() < 60.0 * minutes {
        searches.iter_mut().for_each(|search| search.turn(&mut rng));
        println!(
            "after {:.1} minutes: target, runs, minutes, answers heard, slowest ms, finds",
            begin.elapsed().as_secs_f64() / 60.0
        );
        for s in &searches {
            let minutes = s.spent.as_secs_f64() / 60.0;
            println!(
                "{}, {}, {minutes:.1}, {}, {}, {}",
                s.target.0,
                s.runs,
                s.heard.len(),
                s.slowest.as_millis(),
                s.finds
            );
        }
    }
    assert!(searches.iter().all(|s| s.finds == 0), "finds: see the files find-* of tests/data/fuzz");
}
