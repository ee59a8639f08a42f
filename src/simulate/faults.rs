//! Everything that goes wrong, drawn from a seed.

use crate::rng::Rng;
use rand::Rng as _;
use serde::{Deserialize, Serialize};

/// One kind of fault. The numbers are those of the failure modes in `docs/safety.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The source fails (1).
    SourceDown,
    /// The source answers zeros (2).
    Zeros,
    /// NaN, infinities, negative and absurd values (3).
    NotANumber,
    /// The source answers with nothing new (4).
    Stale,
    /// The value stands still (4).
    Frozen,
    /// Samples come late, all at once (5).
    Late,
    /// Two copies of the series are summed (6).
    Doubled,
    /// Our clock is wrong (7).
    ClockSkew,
    /// The API server refuses every write of ours (10).
    ApiDown,
    /// Another copy takes over; the old one's write arrives late (12, 13).
    LeaderChange,
    /// A user changes the lower bound by hand (14).
    UserEdit,
    /// A GitOps tool puts the user's bound back, again and again (14).
    GitOpsRevert,
    /// Pods cannot be created (17).
    Quota,
    /// We start again without memory of our plans (18).
    Restart,
    /// We are not there at all (18).
    Down,
    /// A rollout replaces the pods.
    Rollout,
    /// Pods take five times as long to start.
    SlowPods,
    /// Our clock runs fast or slow by up to 1 % (7).
    ClockRate,
    /// The source says ten times the truth (9).
    Poison,
    /// Admission refuses our writes to this object (16).
    WebhookDenies,
    /// New pods stay Pending: no node can be bought (17).
    Stockout,
    /// Work that was not served comes again on top (27).
    RetryStorm,
    /// The kill switch is on (31).
    KillSwitch,
    /// Pods crash and are never ready.
    CrashLoop,
    /// A deploy changes what a replica serves.
    Regression,
    /// Nodes are gone at once, with the pods on them, as spot nodes may be (17).
    NodesLost,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 26] = [
        Fault::SourceDown,
        Fault::Zeros,
        Fault::NotANumber,
        Fault::Stale,
        Fault::Frozen,
        Fault::Late,
        Fault::Doubled,
        Fault::ClockSkew,
        Fault::ApiDown,
        Fault::LeaderChange,
        Fault::UserEdit,
        Fault::GitOpsRevert,
        Fault::Quota,
        Fault::Restart,
        Fault::Down,
        Fault::Rollout,
        Fault::SlowPods,
        Fault::ClockRate,
        Fault::Poison,
        Fault::WebhookDenies,
        Fault::Stockout,
        Fault::RetryStorm,
        Fault::KillSwitch,
        Fault::CrashLoop,
        Fault::Regression,
        Fault::NodesLost,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// One fault for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Episode {
    /// What goes wrong.
    pub fault: Fault,
    /// The first minute of it.
    pub from: u64,
    /// Minutes that it lasts, at least 1.
    pub minutes: u64,
    /// How badly, in [0, 1).
    pub degree: f64,
}

/// Minutes between the beginnings of two episodes, in the mean.
const MEAN_GAP: f64 = 90.0;
/// Minutes an episode lasts at most.
const LONGEST: f64 = 150.0;

/// The episodes of a run of `minutes`: beginnings at random, alone and on top of each other, most of them short.
pub fn draw(rng: &mut Rng, kinds: &[Fault], minutes: u64) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut at = 0.0;
    while !kinds.is_empty() {
        at += -MEAN_GAP * (1.0 - rng.random::<f64>()).ln();
        if at >= minutes as f64 {
            break;
        }
        let Some(fault) = kinds.get(rng.random_range(0..kinds.len())).copied() else { break };
        let minutes = LONGEST.powf(rng.random::<f64>()) as u64;
        episodes.push(Episode { fault, from: at as u64, minutes: minutes.max(1), degree: rng.random() });
    }
    episodes
}

impl Episode {
    /// True while it lasts.
    pub fn lasts(&self, minute: u64) -> bool {
        (self.from..self.from + self.minutes).contains(&minute)
    }
}
