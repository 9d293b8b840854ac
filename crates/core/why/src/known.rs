//! All that is known of a node when somebody asks why.

use faros_model::{
    api::{Discovered, NodeStatus, ServiceStatus},
    event::Event,
    site::{Architecture, Node, Site},
};
use jiff::Timestamp;

/// What is known of a node: the intent, where it is in its life, what was recorded, and how the bastion is.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The present time.
    pub now: Timestamp,
    /// The accepted site.
    pub site: &'a Site,
    /// The node, as the site has it.
    pub node: &'a Node,
    /// Where it is in its life.
    pub status: &'a NodeStatus,
    /// What was recorded, by number: all of the node's present session, and the last of the node and of the
    /// site. The more, the better the answer; any order of magnitude will do.
    pub events: &'a [Event],
    /// How the bastion's services are.
    pub services: &'a [ServiceStatus],
    /// Whether the content store has the node's image.
    pub image: ImageState,
    /// Whether all unlocking is stopped.
    pub lockdown: bool,
    /// Machines that are not in the site file.
    pub discovered: &'a [Discovered],
}

/// Whether the content store has the node's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// It has, for this architecture.
    Present(Architecture),
    /// It has not.
    Missing,
    /// It cannot be told.
    Unknown,
}
