//! How the clock stands.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bastion's clock stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeStatus {
    /// What the clock is worth.
    pub state: TimeState,
    /// Why, in words; empty if it is synchronized with sources.
    pub why: String,
    /// The stratum that clients are told; `None` while unsynchronized.
    pub stratum: Option<u8>,
    /// What clients are told that the time comes from: an address, `127.127.1.1` for the clock itself.
    pub reference: Option<Ipv4Addr>,
    /// How far the sources say that the clock is behind, in seconds.
    pub offset: Option<f64>,
    /// Round trip to the reference clock, in seconds.
    pub root_delay: f64,
    /// How far the clock may be off besides half of that, in seconds.
    pub root_dispersion: f64,
    /// When the clock was last compared.
    pub compared_at: Option<jiff::Timestamp>,
    /// Who keeps the clock: `farosd`, `host` or `nobody`.
    pub kept_by: String,
    /// Which daemon of the host keeps it, or why nobody does.
    pub keeper: String,
    /// Whether whoever keeps the clock has told the kernel that it is right.
    pub kernel_synchronized: bool,
    /// How often the clock was set, instead of steered, since the daemon started.
    pub steps: u64,
    /// The sources of the site file, in its order.
    pub sources: Vec<TimeSource>,
}

/// What a clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeState {
    /// Measured against sources that agree, or vouched for by the host's time daemon.
    Synchronized,
    /// No source answers: the site goes by the bastion's clock.
    Orphan,
    /// Known to be wrong, or not known to be right yet.
    Unsynchronized,
}

/// An upstream time server as it is seen from the bastion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSource {
    /// Its name or address in the site file.
    pub server: String,
    /// The address that is asked.
    pub address: Option<Ipv4Addr>,
    /// `best`, `agrees`, `disagrees`, `asking`, `unreachable`, `unsynchronized`, `loop`, `too-far` or `unknown-name`.
    pub state: String,
    /// Its stratum.
    pub stratum: Option<u8>,
    /// How far it is ahead of the bastion's clock, in seconds.
    pub offset: Option<f64>,
    /// Round trip to it, in seconds.
    pub delay: Option<f64>,
    /// How much its answers differ, in seconds.
    pub jitter: Option<f64>,
    /// Which of the last eight questions it answered; the latest is the lowest bit.
    pub reach: u8,
    /// When the answer came that counts.
    pub measured_at: Option<jiff::Timestamp>,
}
