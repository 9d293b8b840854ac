//! The command line.

mod balancer;
mod cluster;
mod content;
mod node;
mod output;
mod ports;
mod snapshot;
mod unlock;
mod upgrade;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use faros_model::ids::{Generation, HostName, MacAddr, SessionId};

use self::values::{generation, host, mac, seconds, session};
pub(crate) use self::{
    balancer::{BalancerCommand, RenderFor},
    cluster::{ClusterCommand, Kubectl, Whose},
    content::{BuildCommand, ContentCommand, ImageCommand, ImageKernel},
    node::{Going, NodeCommand, NodeWork},
    output::Output,
    ports::{PortsCommand, PortsMatrix, PortsRole, PortsWanted},
    snapshot::SnapshotCommand,
    unlock::UnlockCommand,
    upgrade::{UpgradeCommand, UpgradeWork},
};

/// Plan, apply and watch a Faros site.
#[derive(Debug, Parser)]
#[command(
    name = "farosctl",
    version,
    after_help = "Examples:
  farosctl check site.yaml          is the file right? needs no daemon
  farosctl plan site.yaml           what would change, and for whom
  farosctl apply site.yaml          show the plan, ask, and carry it out
  farosctl watch                    follow the machines as they boot
  farosctl why node-1               why a node does not get on, and what to do

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 the site file has problems,
4 there are changes (plan --exit-code), 5 no daemon answers, 6 refused for safety,
130 interrupted."
)]
pub(crate) struct Args {
    /// Unix socket of farosd.
    #[arg(
        long,
        global = true,
        env = "FAROS_SOCKET",
        value_name = "PATH",
        default_value = SOCKET
    )]
    pub(crate) socket: PathBuf,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where farosd answers, unless it was told otherwise.
pub(crate) const SOCKET: &str = "/run/faros/farosd.sock";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a site file; needs no daemon.
    #[command(after_help = "Examples:
  farosctl check site.yaml
  farosctl check site.yaml --output json    {\"problems\": [{code, line, column, path, message, hint}]}
  farosctl check - < site.yaml")]
    Check {
        /// The site file, or `-` for standard input.
        file: PathBuf,
    },
    /// Show what applying a site file would do.
    #[command(after_help = "Examples:
  farosctl plan site.yaml
  farosctl plan site.yaml --exit-code       exit with 4 if there are changes

If nodes of a cluster would be armed whose image or whose release of Kubernetes is not in the content store, the plan is
refused (6), with the list of all that is missing and the commands that bring it.")]
    Plan {
        /// The site file, or `-` for standard input.
        file: PathBuf,
        /// Exit with 4 if there are changes.
        #[arg(long)]
        exit_code: bool,
        /// Accept that nodes it arms wait for content that is not in the store.
        #[arg(long)]
        without_content: bool,
    },
    /// Show the plan, ask, and carry it out.
    #[command(after_help = "Examples:
  farosctl apply site.yaml
  farosctl apply site.yaml --yes            without asking first
  farosctl apply site.yaml --yes --confirm-within 2m
  farosctl apply site.yaml --yes --no-revert

A change that could cut you off (the uplink, who may come in, the LAN's address) runs on trial: unless it is confirmed
within 60 s, what ran before runs again. On a terminal this command asks for the confirmation; elsewhere it ends at
once, and `farosctl confirm GENERATION` keeps the change. Confirm from a second session, by the way that must still
work: the first may live on where nobody new gets in. The first apply of a bastion is on trial only if it is made on a
terminal.")]
    Apply {
        /// The site file, or `-` for standard input.
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Keep an apply that waits for a confirmation.
    #[command(after_help = "Examples:
  farosctl confirm
  farosctl confirm 3                        only if it is generation 3 that waits
  farosctl confirm --revert                 what ran before runs again at once

Say it in a session that was opened after the change, by the way that must still work: sessions that were there before
may live on where nobody new gets in.")]
    Confirm {
        /// The generation that is meant; refused if another waits.
        #[arg(value_parser = generation)]
        generation: Option<Generation>,
        /// Take it back instead.
        #[arg(long)]
        revert: bool,
    },
    /// List the accepted generations.
    History,
    /// Show a generation; the running one if none is named.
    #[command(after_help = "Examples:
  farosctl show
  farosctl show 3 --file > site-3.yaml")]
    Show {
        /// Its number.
        #[arg(value_parser = generation)]
        generation: Option<Generation>,
        /// Print its site file and nothing else.
        #[arg(long)]
        file: bool,
    },
    /// Apply the site file of an earlier generation again.
    #[command(after_help = "Example:
  farosctl rollback 3")]
    Rollback {
        /// The generation to go back to.
        #[arg(value_parser = generation)]
        generation: Generation,
        #[command(flatten)]
        how: How,
    },
    /// Show how the bastion and its services are.
    Status,
    /// Show whether the clock is right, by which sources, and who keeps it.
    Time,
    /// Show the virtual IPs and who answers behind them, or keep new connections from a node.
    #[command(after_help = "Examples:
  farosctl balancer                         addresses, services, servers, connections
  farosctl balancer --history               and when each server came in and went out, and why
  farosctl balancer drain node-2            no new connections to node-2, before it is worked on
  farosctl balancer drain node-2 --lift     and again
  farosctl balancer --output json | jq '.services[] | select(.served | not) | .name'")]
    Balancer {
        /// Show when each server came in and went out, and why.
        #[arg(long)]
        history: bool,
        #[command(subcommand)]
        command: Option<BalancerCommand>,
    },
    /// Show where each node is in its life.
    Nodes,
    /// Follow the machines as they boot.
    #[command(after_help = "Examples:
  farosctl watch
  farosctl watch --node node-1
  farosctl watch --output json | jq .kind    one event a line")]
    Watch {
        /// Only this node.
        #[arg(long, value_parser = host)]
        node: Option<HostName>,
        /// Begin with the events after this number.
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
    },
    /// Tell the story of a boot: what took how long, from its first packet on.
    #[command(after_help = "Examples:
  farosctl timeline                         every node's latest boot, side by side
  farosctl timeline node-1                  one boot, with a bar
  farosctl timeline node-1 --sessions       which boots there are
  farosctl timeline node-1 --session boot-17
  farosctl timeline node-1 --follow         as it happens
  farosctl timeline --last 2 --svg boots.svg    a picture of the two latest boots of each
  farosctl timeline node-1 --output json | jq '.spans[] | {kind, name, began, ended}'")]
    Timeline {
        /// The node; without it, all nodes.
        #[arg(value_parser = host)]
        node: Option<HostName>,
        /// One boot session, such as boot-17; the latest, if none is named.
        #[arg(long, value_parser = session, requires = "node", conflicts_with_all = ["last", "sessions"])]
        session: Option<SessionId>,
        /// List the node's boot sessions instead.
        #[arg(long, requires = "node", conflicts_with_all = ["last", "svg", "follow"])]
        sessions: bool,
        /// So many of the latest boot sessions of each node.
        #[arg(long, value_name = "N", default_value_t = 1)]
        last: usize,
        /// Write a picture to this file instead.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Go on as the boot goes on, until interrupted.
        #[arg(long, conflicts_with_all = ["svg", "session", "last"])]
        follow: bool,
    },
    /// Say why a node does not get on: the likely causes, their evidence, and what to do.
    #[command(after_help = "Examples:
  farosctl why node-1
  farosctl why node-1 --output json | jq -r '.causes[0].code'

The page `why.md` of the documentation lists all causes.")]
    Why {
        /// The node.
        #[arg(value_parser = host)]
        node: HostName,
    },
    /// Show past events.
    Events {
        /// Only this node.
        #[arg(long, value_parser = host)]
        node: Option<HostName>,
        /// Only those after this number.
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
        /// So many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show leased addresses.
    Leases,
    /// Show machines that are not in the site file.
    Discovered,
    /// Kernels, images and loaders that the bastion serves.
    Content {
        #[command(subcommand)]
        command: ContentCommand,
    },
    /// Node operating systems, from Debian packages.
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Have a node's next network boot install it, which wipes its disk.
    #[command(after_help = "Example:
  farosctl install node-2")]
    Install {
        /// The node.
        #[arg(value_parser = host)]
        node: HostName,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Have a node boot its own disk, whatever its firmware tries first.
    Disarm {
        /// The node.
        #[arg(value_parser = host)]
        node: HostName,
    },
    /// Work on a node of the cluster: empty it, replace its machine, take it out.
    Node {
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// The Kubernetes cluster: how it is, beginning it, and credentials for people.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Run kubectl against the cluster, with a certificate that is made for it and ends soon.
    #[command(after_help = "Examples:
  farosctl kubectl -- get nodes -o wide
  farosctl kubectl --role edit -- apply -f app.yaml
  farosctl kubectl --role cluster-admin -- drain node-2

Exit code, input and terminal are kubectl's own. Its kubeconfig is in memory alone.")]
    Kubectl(Kubectl),
    /// Unlocking of the nodes' disks: its keys, and which node depends on which.
    Unlock {
        #[command(subcommand)]
        command: UnlockCommand,
    },
    /// Stop all unlocking at once, until it is lifted: no disk that is closed opens any more.
    #[command(after_help = "Examples:
  farosctl lockdown --reason \"a box was stolen\"
  farosctl lockdown --lift")]
    Lockdown {
        /// Allow unlocking again.
        #[arg(long)]
        lift: bool,
        /// Why; kept with it and shown in the status.
        #[arg(long, default_value = "", conflicts_with = "lift")]
        reason: String,
    },
    /// Add a discovered machine to a site file as a node, for review; nothing is applied.
    #[command(after_help = "Example:
  farosctl discovered
  farosctl adopt 52:54:00:08:00:04 --name node-4 --file site.yaml
  farosctl plan site.yaml")]
    Adopt {
        /// Its MAC, as `farosctl discovered` shows it.
        #[arg(value_parser = mac)]
        mac: MacAddr,
        /// Its name from now on.
        #[arg(long, value_parser = host)]
        name: HostName,
        /// What it is to do; may be given several times.
        #[arg(long = "role", value_enum, default_value = "worker")]
        roles: Vec<AdoptRole>,
        /// The disk to install it on, if `nodeDefaults` has none: a path below /dev/disk/by-…
        #[arg(long, value_name = "PATH")]
        install_disk: Option<String>,
        /// The site file that is changed. Without it, the changed file is printed.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show who may reach whom on which port, as text or for packet filters; or hold what there is against it.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:
  farosctl ports                                   what holds for the site that runs here
  farosctl ports site.yaml --role worker           for a site file, without a daemon
  farosctl ports site.yaml --all --output csv      also rows whose conditions are not so
  farosctl ports site.yaml --matrix tectonic       Tectonic's generic platform, and what became of it
  farosctl ports --role control-plane --role worker --output nft | nft -c -f -
  farosctl ports --role worker --output firewalld > /etc/firewalld/zones/faros.xml
  farosctl ports --output openstack > groups.sh    security groups, one for each role
  farosctl ports site.yaml --with cilium-geneve --without cilium-vxlan
  farosctl ports verify                            rules and listeners against the matrix

--output is text (or table), json, csv, nft, firewalld or openstack. The page `ports.md` of the documentation has the
whole matrix with its conditions and documents."
    )]
    Ports {
        #[command(subcommand)]
        command: Option<PortsCommand>,
        #[command(flatten)]
        wanted: PortsWanted,
    },
    /// Print what the balancer does as a file for other programs, of the site that runs here or of a site file.
    #[command(after_help = "Examples:
  farosctl render haproxy > /etc/haproxy/haproxy.cfg
  farosctl render keepalived site.yaml > /etc/keepalived/keepalived.conf

Switch the bastion's own balancer off then: services.balancer.enabled: false")]
    Render {
        /// For which program.
        #[arg(value_enum)]
        program: RenderFor,
        /// The site file, or `-` for standard input; without it, the site that runs here, from the daemon.
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the site file, for editors.
    Schema,
    /// Print the OpenAPI document of the local API.
    Openapi,
    /// Print a completion script.
    #[command(after_help = "Example:
  farosctl completion bash > /etc/bash_completion.d/farosctl")]
    Completion {
        /// For which shell.
        shell: Shell,
    },
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct How {
    /// Do not ask before.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Run it on trial for so long, such as 90s or 2m, whatever it changes.
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "no_revert")]
    pub(crate) confirm_within: Option<u32>,
    /// Keep it at once, even if it could cut you off.
    #[arg(long)]
    pub(crate) no_revert: bool,
    /// Accept that nodes it arms wait for content that is not in the store.
    #[arg(long)]
    pub(crate) without_content: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AdoptRole {
    /// Runs the Kubernetes control plane.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// Runs management workloads.
    MetaWorker,
    /// Entry point.
    Frontend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_look_like_a_flag() -> Result<(), clap::Error> {
        for own in ["-5Zk", "-yA_", "--x", "Zk-"] {
            let words = ["farosctl", "unlock", "retire", "--force", own];
            let args = Args::try_parse_from(words)?;
            let said = format!("{:?}", args.command);
            assert!(
                said.contains(&format!("key: \"{own}\"")) && said.contains("force: true"),
                "{said}"
            );
        }
        Ok(())
    }
}
