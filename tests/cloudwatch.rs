//! CloudWatch: the rules against a server of recorded answers, and everything that moto has against moto.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "cloudwatch/cbor.rs"]
mod cbor;
#[path = "cloudwatch/moto.rs"]
mod moto;
#[path = "cloudwatch/rules.rs"]
mod rules;
#[path = "cloudwatch/server.rs"]
mod server;
