//! A warm pool's slots in the cluster: what they look like, which back end carries them, and what is to be written.
//!
//! Everything here is pure but the executor. Objects are entirely ours: each carries a ledger with an expiry, and labels
//! by which any copy of the program, or `forescale release`, finds and removes them.

mod backend;
#[cfg(feature = "daemon")]
mod keeper;
mod quota;
mod render;
mod shape;

pub use crate::config::BackendChoice;
pub use backend::{Backend, BufferView, EMPTY_WAIT, GATE_WAIT, Leave, choose, leave};
#[cfg(feature = "daemon")]
pub use keeper::{Keeper, Kept, Ours, Standing, ours};
pub use quota::{quota, room};
pub use render::{
    BUFFER_GROUP, MANAGED_LABEL, PAUSE_IMAGE, POOL_LABEL, POOL_LEDGER, PRIORITY_CLASS, SLOT_LABEL, SlotSet, ZONE_LABEL,
    name, priority_class,
};
pub use shape::PodShape;

use crate::plan::pool::PoolReason;
use crate::units::Time;
use serde::{Deserialize, Serialize};

/// What an object of a pool stands for, in an annotation on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolLedger {
    /// Slots of this object.
    pub slots: u32,
    /// What bound the pool's size.
    pub reason: PoolReason,
    /// After this instant nobody answers for it: whoever finds it removes it.
    pub expires: Time,
    /// Of the pod of a slot, so that a change of shape is seen.
    #[serde(default)]
    pub digest: String,
    /// Since when it is being taken away with 0 slots. None: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emptied: Option<Time>,
}

impl PoolLedger {
    /// Reads the annotation's text. None: it is not ours.
    pub fn parse(text: &str) -> Option<PoolLedger> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
