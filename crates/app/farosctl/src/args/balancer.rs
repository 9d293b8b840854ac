//! `farosctl balancer …`, and other programs in the balancer's place.

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RenderFor {
    /// haproxy.cfg
    Haproxy,
    /// keepalived.conf
    Keepalived,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BalancerCommand {
    /// Keep new connections from a server; those that are there go on until they end by themselves.
    #[command(after_help = "Examples:
  farosctl balancer drain node-2
  farosctl balancer                         until node-2 has no connections any more
  farosctl balancer drain node-2 --lift")]
    Drain {
        /// The server, as `farosctl balancer` names it: a node, mostly.
        #[arg(value_name = "NODE")]
        backend: String,
        /// Lead new connections to it again.
        #[arg(long, conflicts_with = "force")]
        lift: bool,
        /// Even if it is the last server of a service: its clients are turned away then.
        #[arg(long)]
        force: bool,
    },
}
