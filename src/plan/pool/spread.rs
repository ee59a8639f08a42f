//! How the slots of a pool are laid out: over zones, and in gangs.

/// Slots by zone, in the order of the zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerZone(pub Vec<u32>);

/// Spreads `slots` evenly over `zones` (at least 1), the first zones having one more. With `reserve`, so many more that
/// the zones that are left still hold `slots` when any one of several is lost.
pub fn per_zone(slots: u32, zones: usize, reserve: bool) -> PerZone {
    let zones = zones.max(1) as u32;
    if reserve && zones > 1 {
        return PerZone(vec![slots.div_ceil(zones - 1); zones as usize]);
    }
    let (each, more) = (slots / zones, slots % zones);
    PerZone((0..zones).map(|z| each + u32::from(z < more)).collect())
}

/// Gangs of `size` pods (at least 1) that hold `slots`: a gang starts whole or not at all.
pub fn gangs(slots: u32, size: u32) -> u32 {
    slots.div_ceil(size.max(1))
}
