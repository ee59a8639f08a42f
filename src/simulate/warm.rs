//! The warm pool of a simulated life: sized by the very code that sizes it live, and watched.

use crate::plan::Plan;
use crate::plan::pool::{Bounds, Member, OBJECTIVE, PoolSizer, PoolTask};
use crate::units::{QuantileLevel, Time};
use std::time::Duration;

/// Slots that the user pays for at most.
const SLOTS: u32 = 50;
/// From asking for a node to a pod on it.
const LEAD: Duration = Duration::from_secs(120);

/// A pool.
#[derive(Debug)]
pub(super) struct Warm(PoolSizer<()>);

impl Warm {
    /// One that has seen nothing.
    pub(super) fn new() -> Option<Warm> {
        let objective = QuantileLevel::new(OBJECTIVE)?;
        let time_zone = "UTC".into();
        Some(Warm(PoolSizer::new(PoolTask { lead: LEAD, objective, max_slots: SLOTS, time_zone, windows: Vec::new() })))
    }

    /// The slots from now on. Without a believable sample the pool has to stay as it is, and it never costs more than
    /// the user's cap: an error names the invariant and says what was seen instead.
    pub(super) fn size(&mut self, now: Time, plan: &Plan, informed: bool) -> Result<u32, (&'static str, String)> {
        let before = self.0.slots();
        let need = plan.parts.reactive.filter(|_| informed);
        let member =
            need.map(|need| ((), Member { need: need as f32, pods: plan.replicas as f32, expected: need as f32 }));
        let slots = self.0.advance(now, member.as_slice(), Bounds { quota: None, fresh: member.is_some() }).slots;
        match () {
            () if slots > SLOTS => Err(("I1", format!("a warm pool of {slots} slots, {SLOTS} are allowed"))),
            () if member.is_none() && slots != before => {
                Err(("I3", format!("warm pool {before} -> {slots} without a sample")))
            }
            () => Ok(slots),
        }
    }
}
