//! A plan: what an apply would do, with no choices left in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Generation, HostName};

/// The way from the running generation to a new one. Applying it twice makes an empty second plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The generation that runs; `None` on a bastion that has accepted none.
    pub base: Option<Generation>,
    /// The generation that applying this would make.
    pub next: Generation,
    /// The steps, in the order they are carried out; none if there is nothing to do.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether any step disrupts something that runs, or destroys data.
    pub fn is_disruptive(&self) -> bool {
        self.steps
            .iter()
            .flat_map(|step| &step.changes)
            .any(|change| change.impact != Impact::None)
    }

    /// Where it waits for a confirmation, as an index of its steps, and for how many seconds.
    pub fn window(&self) -> Option<(usize, u32)> {
        self.steps
            .iter()
            .enumerate()
            .find_map(|(idx, step)| match step.action {
                Action::Confirm { seconds } => Some((idx, seconds)),
                _ => None,
            })
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// What it changes, for people and for the audit log.
    pub changes: Vec<Change>,
}

/// Everything the executor may do. If it is not in here, it cannot happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Arm nodes: their next network boot installs them.
    Arm {
        /// Which nodes.
        nodes: Vec<HostName>,
    },
    /// Disarm nodes that are no longer in the site, and forget them.
    Forget {
        /// Which nodes.
        nodes: Vec<HostName>,
    },
    /// Hand the new intent to a service, which swaps it in without closing a socket.
    Swap {
        /// Which service.
        service: Service,
    },
    /// Start a service that did not run.
    Start {
        /// Which service.
        service: Service,
    },
    /// Stop a service.
    Stop {
        /// Which service.
        service: Service,
    },
    /// Wait for a confirmation; without one, take back all that was done.
    Confirm {
        /// For how long.
        seconds: u32,
    },
    /// Make the new generation the accepted one: the daemon starts from it from now on.
    Accept,
}

/// The services of the bastion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Addresses and boot options.
    Dhcp,
    /// Names.
    Dns,
    /// Loaders, kernels, images and boot scripts, by TFTP and HTTP.
    Netboot,
    /// Ignition configs.
    Ignition,
    /// Unlocking of disks, by Tang's protocol.
    Unlock,
    /// Time.
    Ntp,
    /// The way in and out: forwarding, firewall, published ports.
    Router,
    /// Virtual IPs, and who of the nodes answers behind them.
    Balancer,
    /// Container images, and what nodes join the cluster with, over HTTPS.
    Registry,
}

impl Service {
    /// All services, in the order in which they start.
    pub const ALL: [Self; 9] = [
        Self::Router,
        Self::Balancer,
        Self::Dns,
        Self::Ntp,
        Self::Unlock,
        Self::Registry,
        Self::Ignition,
        Self::Netboot,
        Self::Dhcp,
    ];

    /// The word in the site file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Dns => "dns",
            Self::Netboot => "netboot",
            Self::Ignition => "ignition",
            Self::Unlock => "unlock",
            Self::Ntp => "ntp",
            Self::Router => "router",
            Self::Balancer => "balancer",
            Self::Registry => "registry",
        }
    }
}

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Added, removed or changed.
    pub kind: ChangeKind,
    /// What it is about, such as `node/node-1` or `record/api.harbour-7.edge.example.com A`.
    pub subject: String,
    /// The value before; empty for an addition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The value after; empty for a removal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Whether it disrupts or destroys.
    pub impact: Impact,
    /// Why it disrupts or destroys, in words; empty if it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Added, removed or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Was not there before.
    Add,
    /// Is there no longer.
    Remove,
    /// Is another.
    Change,
}

/// What a change does to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Nothing that runs notices.
    None,
    /// Something that runs is disturbed: an address moves, a service stops.
    Disruptive,
    /// Data is lost: a disk is wiped.
    Destructive,
}
