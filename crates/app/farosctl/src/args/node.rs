//! `farosctl node …`.

use clap::Subcommand;
use faros_model::ids::HostName;

use super::{host, seconds};

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Close a node to new pods, and have those that it has start elsewhere.
    #[command(after_help = "Examples:
  farosctl node drain node-2
  farosctl node drain node-2 --lift          open it again

Pods go as their budgets of disruption allow it; whoever is held is asked again until the time is over.")]
    Drain {
        /// The node.
        #[arg(value_parser = host)]
        node: HostName,
        /// Open it to pods again.
        #[arg(long, conflicts_with_all = ["force", "timeout"])]
        lift: bool,
        #[command(flatten)]
        work: NodeWork,
    },
    /// Take a node's machine out of the cluster, and have the next one installed in its place.
    #[command(after_help = "Example:
  farosctl node replace node-2
  switch the old machine off, give the new one's MAC to node-2 in the site file, and apply that
  switch the new machine on: it gets the name, the address and the work of node-2

A node that answers is emptied first. One whose absence would cost etcd its majority has to stay: that is refused.")]
    Replace(Going),
    /// Take a node out of the cluster for good.
    #[command(after_help = "Example:
  farosctl node remove node-5
  switch the machine off, take node-5 out of the site file, and apply that")]
    Remove(Going),
}

/// A node whose machine goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Going {
    /// The node.
    #[arg(value_parser = host)]
    pub(crate) node: HostName,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) work: NodeWork,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct NodeWork {
    /// Let go of pods that nothing starts again; and go on with a node that cannot be emptied.
    #[arg(long)]
    pub(crate) force: bool,
    /// How long it may take to empty the node, such as 90s or 10m.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10m")]
    pub(crate) timeout: u32,
}
