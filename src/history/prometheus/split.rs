//! How a request is cut into what servers accept: chunks of time, groups of queries.

use super::promql;
use crate::error::Problem;
use crate::history::{Query, Request};
use crate::units::Time;
use std::collections::BTreeMap;

/// Points per series of one range query: Prometheus refuses more than 11,000.
pub const MAX_CHUNK_POINTS: usize = 10_800;
/// Points per series of one request at most: 10 years of minutes.
const MAX_REQUEST_POINTS: i64 = 5_300_000;
/// Queries that travel as one at most.
pub const MAX_JOINED: usize = 32;
/// Bytes of joined queries at most.
pub const MAX_JOINED_BYTES: usize = 32 << 10;

/// The time of a request in chunks, oldest first: both ends included and on the step's grid, no instant twice.
pub(super) fn chunks(request: &Request) -> Result<Vec<(Time, Time)>, Problem> {
    let step = i64::from(request.step.secs());
    // ends that are off the grid move inwards
    let first = request.from.millis().div_euclid(1000 * step) + i64::from(request.from.millis() % (1000 * step) != 0);
    let last = request.to.millis().div_euclid(1000 * step);
    let at = format!("from {} to {}", request.from, request.to);
    if last < first {
        // no points would be taken for no load
        let expected = format!("at least one instant that is a multiple of the step {step} s");
        return Err(Problem::new(at, expected, "none"));
    }
    if last - first >= MAX_REQUEST_POINTS {
        return Err(Problem::new(at, format!("at most {MAX_REQUEST_POINTS} steps"), format!("{}", last - first + 1))
            .help("use a coarser step or ask for less time"));
    }
    let at = |slot: i64| Time::from_secs(slot * step);
    let starts = (first..=last).step_by(MAX_CHUNK_POINTS);
    Ok(starts.map(|start| (at(start), at((start + MAX_CHUNK_POINTS as i64 - 1).min(last)))).collect())
}

/// Queries that are sent together; places in the request.
#[derive(Debug, PartialEq)]
pub(super) enum Group {
    /// As one text.
    Joined { text: String, members: Vec<usize> },
    /// Alone, as it was given.
    Single(usize),
}

impl Group {
    pub(super) fn members(&self) -> Vec<usize> {
        match self {
            Group::Joined { members, .. } => members.clone(),
            Group::Single(member) => vec![*member],
        }
    }
}

/// Texts of queries that are to be asked alone, and whether that failed too (or is still to be tried).
pub(super) type Apart = BTreeMap<String, bool>;

/// The groups of the queries, each query in one of them. Those of `apart` are alone; those that failed alone come last.
pub(super) fn groups(queries: &[Query], apart: &Apart) -> Vec<Group> {
    let mut groups = Vec::new();
    let (mut texts, mut members, mut bytes) = (Vec::<String>::new(), Vec::new(), 0);
    let mut close = |texts: &mut Vec<String>, members: &mut Vec<usize>| match members.as_slice() {
        [] => {}
        [one] => {
            groups.push(Group::Single(*one));
            members.clear();
            texts.clear();
        }
        _ => {
            groups.push(Group::Joined { text: texts.join(promql::JOIN), members: std::mem::take(members) });
            texts.clear();
        }
    };
    let mut alone = Vec::new();
    for (place, query) in queries.iter().enumerate() {
        let joinable = if apart.contains_key(&query.text) { None } else { promql::joinable(&query.text) };
        let Some(text) = joinable else {
            alone.push((apart.get(&query.text).copied().unwrap_or(false), place));
            continue;
        };
        // the longest index, so that the length doesn't depend on the place in the group
        let length = promql::member(&text, MAX_JOINED).len() + promql::JOIN.len();
        if members.len() == MAX_JOINED || bytes + length > MAX_JOINED_BYTES {
            close(&mut texts, &mut members);
            bytes = 0;
        }
        texts.push(promql::member(&text, members.len()));
        members.push(place);
        bytes += length;
    }
    close(&mut texts, &mut members);
    alone.sort_unstable();
    groups.extend(alone.into_iter().map(|(_, place)| Group::Single(place)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Step;
    use proptest::prelude::*;

    fn request(from: i64, to: i64, step: u32) -> Request {
        Request {
            queries: Vec::new(),
            from: Time::from_millis(from),
            to: Time::from_millis(to),
            step: Step::from_secs(step).unwrap(),
        }
    }

    #[test]
    fn two_weeks_of_minutes_are_two_chunks() {
        let got = chunks(&request(0, 14 * 86_400_000, 60)).unwrap();
        let s = Time::from_secs;
        assert_eq!(got, [(s(0), s(10_799 * 60)), (s(10_800 * 60), s(14 * 86_400))]);
        assert!(chunks(&request(0, 5_300_000_000, 1)).is_err());
        assert!(chunks(&request(1, 2, 1)).is_err());
        assert!(chunks(&request(9000, 2000, 1)).is_err());
        assert_eq!(chunks(&request(2000, 2999, 1)).unwrap(), [(s(2), s(2))]);
    }

    proptest! {
        #[test]
        fn every_instant_of_the_grid_is_in_one_chunk(
            from in -1_000_000i64..1_000_000_000, length in 0i64..100_000_000, step in 1u32..4000,
        ) {
            let r = request(from, from + length, step);
            let mut expected = r.from.millis().div_euclid(1000 * i64::from(step));
            if Time::from_secs(expected * i64::from(step)) < r.from {
                expected += 1;
            }
            for (a, b) in chunks(&r).unwrap_or_default() {
                prop_assert_eq!(a, Time::from_secs(expected * i64::from(step)));
                prop_assert!(a <= b && b <= r.to);
                let points = (b.secs() - a.secs()) / i64::from(step) + 1;
                prop_assert!(points <= MAX_CHUNK_POINTS as i64);
                expected += points;
            }
            prop_assert!(Time::from_secs(expected * i64::from(step)) > r.to);
        }
    }

    #[test]
    fn a_query_is_in_one_group_and_bad_ones_are_alone() {
        let query = |text: &str| Query { id: String::new(), text: text.into() };
        let mut queries: Vec<Query> = (0..40).map(|i| query(&format!("m{i}"))).collect();
        queries.push(query("failed"));
        queries.push(query("broken("));
        queries.push(query("suspect"));
        let groups = groups(&queries, &Apart::from([("suspect".to_owned(), false), ("failed".to_owned(), true)]));
        let sizes: Vec<usize> = groups.iter().map(|g| g.members().len()).collect();
        assert_eq!(sizes, [32, 8, 1, 1, 1]);
        let mut all: Vec<usize> = groups.iter().flat_map(Group::members).collect();
        all.sort_unstable();
        assert_eq!(all, (0..43).collect::<Vec<_>>());
        assert!(matches!(&groups[1], Group::Joined { text, .. }
            if text.starts_with(r#"label_replace(m32, "forescale_query", "0", "", "") or label_replace(m33, "#)));
        assert_eq!(groups[2..], [Group::Single(41), Group::Single(42), Group::Single(40)]);
    }
}
