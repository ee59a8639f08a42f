//! The candidates: simple policies, each a rule from signals to replicas.
#![allow(clippy::indexing_slicing, reason = "signals have one place for each signal")]

use super::signals::{SIGNALS, Signal};
use std::fmt;
use std::sync::LazyLock;

/// One policy: the largest of up to two signals times a margin and the load times a margin, held for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What it looks ahead with.
    pub signal: Signal,
    /// Factor on the signal.
    pub margin: f32,
    /// A second look ahead, or [`Signal::None`].
    pub other: Signal,
    /// Factor on the load of now: 1 / the target utilization of its reactive part.
    pub reactive: f32,
    /// True: what it wanted within the last five minutes is held; else only what it wants now.
    pub held: bool,
}

impl Candidate {
    /// The load it wants to be ready for, from the signals it looks at.
    pub(super) fn load(&self, signals: &[f32; SIGNALS]) -> f32 {
        (signals[self.signal as usize] * self.margin)
            .max(signals[self.other as usize])
            .max(signals[Signal::Load as usize] * self.reactive)
    }

    /// Budgets missed that its margin over the load of now suggests, before its books say more: none from 1.4 on.
    pub(super) fn prior_miss(&self) -> f32 {
        (6.0 * (1.4 - self.reactive)).max(0.0)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.signal != Signal::None {
            write!(f, "{} x {} or ", self.signal, self.margin)?;
        }
        if self.other != Signal::None {
            write!(f, "{} or ", self.other)?;
        }
        write!(f, "load x {}{}", self.reactive, if self.held { ", held 5 min" } else { "" })
    }
}

const QUANTILES: [Signal; 6] =
    [Signal::Quantile0, Signal::Quantile3, Signal::Quantile4, Signal::Quantile6, Signal::Quantile7, Signal::Quantile8];

/// All candidates, in a fixed order: the same ones for every workload.
pub fn candidates() -> &'static [Candidate] {
    static ALL: LazyLock<Vec<Candidate>> = LazyLock::new(all);
    &ALL
}

fn all() -> Vec<Candidate> {
    let mut all = Vec::new();
    let mut add = |signals: &[Signal], other: Signal, margins: &[f32], reactive: &[f32], holds: &[bool]| {
        for &signal in signals {
            for &margin in margins {
                for &reactive in reactive {
                    for &held in holds {
                        all.push(Candidate { signal, margin, other, reactive, held });
                    }
                }
            }
        }
    };
    const HELD: [bool; 1] = [true];
    add(&QUANTILES, Signal::None, &[0.9, 1.0, 1.15], &[0.9, 1.1], &[false, true]);
    for other in [Signal::Day1, Signal::Day3, Signal::Day7] {
        add(&[Signal::Quantile3, Signal::Quantile4, Signal::Quantile6], other, &[1.0], &[1.0, 1.15], &HELD);
    }
    add(&[Signal::Day1, Signal::Day3, Signal::Day7], Signal::None, &[1.0, 1.15, 1.4], &[1.0, 1.3], &HELD);
    add(&[Signal::Around1, Signal::Around3, Signal::Around7], Signal::None, &[0.8, 1.0, 1.2], &[1.05, 1.3], &HELD);
    add(&[Signal::HoltWinters], Signal::None, &[0.9, 1.0, 1.1, 1.25, 1.5], &[0.9, 1.1, 1.4], &HELD);
    add(&[Signal::HourlyMean, Signal::HourlyMax], Signal::None, &[0.8, 1.0, 1.25], &[1.0, 1.2], &HELD);
    add(&[Signal::Week], Signal::None, &[0.8, 1.0, 1.25], &[1.0, 1.2], &HELD);
    add(
        &[
            Signal::Recent15,
            Signal::Recent30,
            Signal::Recent60,
            Signal::Recent120,
            Signal::Recent360,
            Signal::Recent1440,
        ],
        Signal::None,
        &[1.0, 1.15, 1.4],
        &[1.0],
        &HELD,
    );
    add(
        &[Signal::Hour3, Signal::Hour8, Signal::Hour24, Signal::Half4, Signal::Half16],
        Signal::None,
        &[1.0, 1.15],
        &[1.05, 1.4],
        &HELD,
    );
    add(
        &[Signal::None],
        Signal::None,
        &[1.0],
        &[0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0],
        &HELD,
    );
    add(
        &[Signal::Exact, Signal::Ratio1, Signal::Ratio3, Signal::Ratio7],
        Signal::None,
        &[1.0, 1.1, 1.25],
        &[0.9, 1.0],
        &[false],
    );
    add(&[Signal::Exact2, Signal::Exact3, Signal::Exact5], Signal::None, &[1.0], &[0.9, 1.1], &[false]);
    add(&[Signal::Steady2, Signal::Steady3, Signal::Steady5], Signal::None, &[1.0], &[1.0], &[false, true]);
    all
}
