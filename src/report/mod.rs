//! What people and scripts are shown.

pub mod live;
