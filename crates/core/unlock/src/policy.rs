//! The policy: one pure function from what is known of a request to an answer or a reason.

use std::{collections::BTreeMap, fmt};

use faros_model::{
    ids::{HostName, MacAddr},
    site::{Node, UnlockPolicy},
};
use jiff::{SignedDuration, Timestamp};

/// How long after a node's first disk was unlocked its others may be.
const REST_OF_BOOT: SignedDuration = SignedDuration::from_mins(10);

/// How long a boot is live without a word of the machine.
const LIVE: SignedDuration = SignedDuration::from_hours(24);

/// So many requests of a node are let through in [`WINDOW`]: one for each of its disks, and some more for a boot
/// that is repeated.
const MOST: usize = 40;

/// See [`MOST`].
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Where a node is in its boot, as far as unlocking is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booting {
    /// It was never seen to boot.
    Never,
    /// It boots: it was last heard of at this time, and no disk of it was unlocked in this boot.
    Since(Timestamp),
    /// A disk of it was first unlocked in this boot at this time.
    Unlocked(Timestamp),
    /// It runs, and the bastion has just asked it to bind its disks anew, which takes their old key.
    Rebinding,
    /// Its boot was given up, because the machine may not be the one it says it is.
    Closed,
}

/// What is known of a request for help.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When it was made.
    pub now: Timestamp,
    /// Whom the site file lets be helped.
    pub policy: UnlockPolicy,
    /// Whether all unlocking is stopped.
    pub locked_down: bool,
    /// The node whose address asks.
    pub node: Option<&'a Node>,
    /// The MAC that the kernel has for that address; `None` if it cannot say.
    pub mac: Option<MacAddr>,
    /// Where the node is in its boot.
    pub booting: Booting,
    /// Whether there is such a key as it asks for.
    pub is_key: bool,
    /// Whether the ledger has it that the node depends on the key it asks for.
    pub is_bound: bool,
    /// How many of the node's requests were let through lately.
    pub recent: usize,
}

/// Why the bastion does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// All unlocking is stopped.
    LockedDown,
    /// Nobody in the site file has this address.
    UnknownMachine,
    /// The address is a node's, and the MAC is another's or unknown.
    WrongMac,
    /// The machine may not be the one it says it is.
    IdentityConflict,
    /// No boot of the node is under way.
    NotBooting,
    /// The node's disks do not depend on this key.
    NotBound,
    /// The node asked too often.
    RateLimited,
    /// There is no such key, or it was retired.
    UnknownKey,
    /// The request is not what clevis sends.
    Malformed,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::LockedDown,
        Self::UnknownMachine,
        Self::WrongMac,
        Self::IdentityConflict,
        Self::NotBooting,
        Self::NotBound,
        Self::RateLimited,
        Self::UnknownKey,
        Self::Malformed,
    ];

    /// The stable word, in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LockedDown => "locked-down",
            Self::UnknownMachine => "unknown-machine",
            Self::WrongMac => "wrong-mac",
            Self::IdentityConflict => "identity-conflict",
            Self::NotBooting => "not-booting",
            Self::NotBound => "not-bound",
            Self::RateLimited => "rate-limited",
            Self::UnknownKey => "unknown-key",
            Self::Malformed => "malformed",
        }
    }

    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LockedDown => "refused_locked_down",
            Self::UnknownMachine => "refused_unknown_machine",
            Self::WrongMac => "refused_wrong_mac",
            Self::IdentityConflict => "refused_identity_conflict",
            Self::NotBooting => "refused_not_booting",
            Self::NotBound => "refused_not_bound",
            Self::RateLimited => "refused_rate_limited",
            Self::UnknownKey => "refused_unknown_key",
            Self::Malformed => "refused_malformed",
        }
    }

    /// The HTTP status of the answer: clevis tries again whatever it is, and people read it in a trace.
    pub const fn status(self) -> u16 {
        match self {
            Self::RateLimited => 429,
            Self::UnknownKey => 404,
            Self::Malformed => 400,
            Self::LockedDown
            | Self::UnknownMachine
            | Self::WrongMac
            | Self::IdentityConflict
            | Self::NotBooting
            | Self::NotBound => 403,
        }
    }

    /// What it means, as a sentence without its full stop.
    pub const fn message(self) -> &'static str {
        match self {
            Self::LockedDown => "the site is locked down",
            Self::UnknownMachine => "no node of the site has this address",
            Self::WrongMac => "the address is a node's, and the MAC is another's or unknown",
            Self::IdentityConflict => "the machine may not be the one it says it is",
            Self::NotBooting => "no boot of this node is under way",
            Self::NotBound => "this node's disks do not depend on this key",
            Self::RateLimited => "this node asked too often",
            Self::UnknownKey => "there is no such key",
            Self::Malformed => "the request is not one of clevis",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the bastion helps. Lockdown stops everyone; then each policy asks for more than the one before it:
/// `anyone` for nothing, `known-nodes` for the address and MAC of a node, `boot-session` for a live boot and a
/// binding in the ledger.
///
/// # Errors
/// The first reason why not.
pub fn decide(facts: &Facts<'_>) -> Result<(), Refusal> {
    if facts.locked_down {
        return Err(Refusal::LockedDown);
    }
    if facts.policy == UnlockPolicy::Anyone {
        return Ok(());
    }
    let node = facts.node.ok_or(Refusal::UnknownMachine)?;
    if !node.has_mac(facts.mac) {
        return Err(Refusal::WrongMac);
    }
    if facts.booting == Booting::Closed {
        return Err(Refusal::IdentityConflict);
    }
    if facts.policy == UnlockPolicy::BootSession {
        let since = |then: Timestamp| facts.now.duration_since(then);
        let is_live = match facts.booting {
            Booting::Never | Booting::Closed => false,
            Booting::Rebinding => true,
            Booting::Since(heard) => since(heard) < LIVE,
            Booting::Unlocked(at) => since(at) < REST_OF_BOOT,
        };
        if !is_live {
            return Err(Refusal::NotBooting);
        }
    }
    if !facts.is_key {
        return Err(Refusal::UnknownKey);
    }
    if facts.policy == UnlockPolicy::BootSession && !facts.is_bound {
        return Err(Refusal::NotBound);
    }
    if facts.recent >= MOST {
        return Err(Refusal::RateLimited);
    }
    Ok(())
}

/// How many requests of each node were let through lately.
#[derive(Debug, Clone, Default)]
pub struct Recent(BTreeMap<HostName, Vec<Timestamp>>);

impl Recent {
    /// How many requests of `node` were let through in the window that ends now.
    pub fn count(&mut self, node: &HostName, now: Timestamp) -> usize {
        let Some(times) = self.0.get_mut(node) else {
            return 0;
        };
        times.retain(|then| now.duration_since(*then) < WINDOW);
        times.len()
    }

    /// Takes note that a request is let through, before it is worked on: many may come at once.
    pub fn admitted(&mut self, node: &HostName, now: Timestamp) {
        self.0.entry(node.clone()).or_default().push(now);
    }
}
