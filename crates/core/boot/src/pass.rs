//! The pass: what lets one boot of a node have its Ignition config, and have it once.
//!
//! A pass is issued with the boot script of an armed node and stands in the script as a nonce. Whoever shows it
//! must be that node, at its address and with its MAC, soon, and for the first time.

use faros_model::{
    ids::{Digest, HostName, Nonce},
    site::{Caller, Stranger},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a node may take from its boot script to its config: the slowest link and a long self-test fit.
const LIFE: SignedDuration = SignedDuration::from_mins(30);

/// A pass, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// The node that it is for.
    pub node: HostName,
    /// The nonce's digits.
    nonce: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// When the config was given for it.
    pub used: Option<Timestamp>,
    /// SHA-256 of the secret in that config, by which the node is known when it joins a cluster.
    #[serde(default)]
    pub join: Option<Digest>,
}

/// Why there is no config for whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPass {
    /// There is no such node.
    UnknownNode,
    /// Whoever asks is not the node.
    Stranger(Stranger),
    /// The node is not to be installed.
    NotArmed,
    /// The nonce is not the one of the last boot script.
    WrongNonce,
    /// The config was given for this nonce already.
    Used,
    /// The nonce is too old.
    Late,
}

impl NoPass {
    /// The stable word, in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNode => "unknown-node",
            Self::Stranger(stranger) => stranger.as_str(),
            Self::NotArmed => "not-armed",
            Self::WrongNonce => "wrong-nonce",
            Self::Used => "used",
            Self::Late => "late",
        }
    }

    /// What it means, as a sentence without its full stop.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownNode => "there is no such node",
            Self::Stranger(stranger) => stranger.message(),
            Self::NotArmed => "the node is not armed",
            Self::WrongNonce => "it was asked for by something other than the last boot script",
            Self::Used => "it was given already for this boot",
            Self::Late => "it was asked for too long after the boot script",
        }
    }

    /// Whether this may be an attack, rather than a machine that is behind the times.
    pub const fn is_alarming(self) -> bool {
        !matches!(self, Self::NotArmed | Self::Late | Self::UnknownNode)
    }
}

impl Pass {
    /// Issues a pass.
    pub fn issue(node: HostName, nonce: &Nonce, now: Timestamp) -> Self {
        Self {
            node,
            nonce: nonce.as_str().to_owned(),
            issued: now,
            used: None,
            join: None,
        }
    }

    fn is_good_for(&self, nonce: &Nonce, now: Timestamp) -> Result<(), NoPass> {
        if !same(self.nonce.as_bytes(), nonce.as_str().as_bytes()) {
            Err(NoPass::WrongNonce)
        } else if self.used.is_some() {
            Err(NoPass::Used)
        } else if now.duration_since(self.issued) > LIFE {
            Err(NoPass::Late)
        } else {
            Ok(())
        }
    }
}

/// Somebody asks for the config of a node.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    /// Who asks, as the node whose config it is.
    pub caller: Caller<'a>,
    /// Whether the node is to be installed.
    pub is_armed: bool,
    /// What the request shows.
    pub nonce: &'a Nonce,
    /// When.
    pub now: Timestamp,
}

/// Decides who is given a config. The pass comes back as used: it must be remembered so before the config leaves.
///
/// # Errors
/// Why there is none for whoever asks: who it is comes first, then whether the node is to be installed, then the
/// pass.
pub fn admit(asks: &Asks<'_>, pass: Option<Pass>) -> Result<Pass, NoPass> {
    asks.caller.identified().map_err(NoPass::Stranger)?;
    if !asks.is_armed {
        return Err(NoPass::NotArmed);
    }
    let pass = pass
        .filter(|pass| pass.node == asks.caller.node.name)
        .ok_or(NoPass::WrongNonce)?;
    pass.is_good_for(asks.nonce, asks.now)?;
    Ok(Pass {
        used: Some(asks.now),
        ..pass
    })
}

/// Compares in a time that does not tell how much of it is right.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
