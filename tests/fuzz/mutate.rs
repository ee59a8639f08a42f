//! Inputs from inputs: what a file turns into when people and machines go wrong, many times over.

use forescale::rng::Rng;
use rand::{Rng as _, seq::IndexedRandom};

/// Longest input, bytes.
const LONGEST: usize = 4096;

/// What breaks parsers more often than noise does.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b",",
    b";",
    b":",
    b"=",
    b"-",
    b"+",
    b"/",
    b"*",
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"inf",
    b"1e18",
    b"9223372036854775807",
    b"18446744073709551616",
    b"4294967296",
    b"0.0",
    b"null",
    b"true",
    b"\xff",
    b"\xef\xbb\xbf",
    "é".as_bytes(),
    "\u{2028}".as_bytes(),
    "𝟘".as_bytes(),
    b"9999-12-31T23:59:59Z",
    b"-9999-01-01T00:00:00Z",
    b"2026-03-29T02:30",
    b"1970-01-01",
    b"Europe/Berlin",
    b"Australia/Lord_Howe",
    b"@1",
    b"offset",
    b"&a",
    b"*a",
    b"<<: *a",
    b"---",
    b"!!binary",
    b"|",
    b">",
    b"%",
    b"#",
];

/// A new input from one of `pool`.
pub fn mutate(pool: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = pool.choose(rng).cloned().unwrap_or_default();
    for _ in 0..1 << rng.random_range(0..5u32) {
        let at = rng.random_range(0..=input.len());
        let end = (at + (1usize << rng.random_range(0..8u32))).min(input.len());
        match rng.random_range(0..9u32) {
            0 => drop(input.drain(at..end)),
            1 => splice(&mut input, at, at, TOKENS.choose(rng).copied().unwrap_or_default()),
            2 => splice(&mut input, at, end, TOKENS.choose(rng).copied().unwrap_or_default()),
            3 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8u32),
            4 if at < input.len() => input[at] = rng.random_range(0x20..0x7f),
            5 => {
                let again = input[at..end].to_vec();
                splice(&mut input, at, at, &again);
            }
            6 => {
                let other = pool.choose(rng).cloned().unwrap_or_default();
                let from = rng.random_range(0..=other.len());
                let to = (from + (1usize << rng.random_range(0..8u32))).min(other.len());
                splice(&mut input, at, at, &other[from..to]);
            }
            7 => number(&mut input, at, rng),
            _ => swap_lines(&mut input, rng),
        }
    }
    input.truncate(LONGEST);
    input
}

fn splice(input: &mut Vec<u8>, from: usize, to: usize, by: &[u8]) {
    input.splice(from..to.max(from), by.iter().copied());
}

/// Replaces the number at or after `at`.
fn number(input: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(from) = input[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else { return };
    let to = from + input[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let new = match rng.random_range(0..4u32) {
        0 => rng.random_range(0..70u64),
        1 => rng.random_range(0..10_000u64),
        2 => u64::MAX >> rng.random_range(0..64u32),
        _ => 10u64.pow(rng.random_range(0..20u32)),
    };
    splice(input, from, to, new.to_string().as_bytes());
}

fn swap_lines(input: &mut Vec<u8>, rng: &mut Rng) {
    let mut lines: Vec<Vec<u8>> = input.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let (a, b) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
    lines.swap(a, b);
    *input = lines.join(&b'\n');
}

/// The smallest input found that still does what `input` does, by leaving out parts.
pub fn minimise(input: &[u8], still: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut part = best.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < best.len() {
            let mut less = best.clone();
            less.drain(at..(at + part).min(best.len()));
            if still(&less) { best = less } else { at += part }
        }
        if part == 1 {
            return best;
        }
        part = part.div_ceil(2);
    }
}
