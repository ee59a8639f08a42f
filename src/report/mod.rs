//! What people and scripts are shown.

pub mod fan;
pub mod live;
