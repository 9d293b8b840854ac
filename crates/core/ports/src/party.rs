//! Those who talk to each other.

use serde::Serialize;

/// Whose port it is, or who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The bastion, with the virtual IPs that it holds.
    Bastion,
    /// Nodes of the control plane; the bootstrap machine is one until it is gone.
    ControlPlane,
    /// Nodes that run workloads.
    Worker,
    /// Nodes that run management workloads: storage, monitoring.
    MetaWorker,
    /// Nodes that are the way in.
    Frontend,
    /// Nodes that are a member of etcd and nothing else.
    Arbiter,
    /// The nodes' controllers.
    Bmc,
    /// Other hosts of the site file.
    Host,
    /// Whoever else is on the LAN.
    Unknown,
    /// The other side of the uplink: as a peer, whom the site file lets in.
    Outside,
    /// The machine itself, by its loopback.
    Itself,
}

use Party::{
    Arbiter, Bastion, Bmc, ControlPlane, Frontend, Host, Itself, MetaWorker, Outside, Unknown, Worker,
};

impl Party {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Bastion,
        ControlPlane,
        Worker,
        MetaWorker,
        Frontend,
        Arbiter,
        Bmc,
        Host,
        Unknown,
        Outside,
        Itself,
    ];

    /// The nodes, whatever they do.
    pub const NODES: &'static [Self] = &[ControlPlane, Worker, MetaWorker, Frontend, Arbiter];

    /// The nodes that run a kubelet.
    pub const KUBELETS: &'static [Self] = &[ControlPlane, Worker, MetaWorker, Frontend];

    /// Whoever is on the LAN, besides the bastion.
    pub const LAN: &'static [Self] = &[
        ControlPlane,
        Worker,
        MetaWorker,
        Frontend,
        Arbiter,
        Bmc,
        Host,
        Unknown,
    ];

    /// Whoever is a client of the cluster: all but the controllers, which are no one's client.
    pub const CLIENTS: &'static [Self] = &[
        Bastion,
        ControlPlane,
        Worker,
        MetaWorker,
        Frontend,
        Arbiter,
        Host,
        Unknown,
        Outside,
    ];

    /// Whoever is not the machine itself.
    pub const ANYONE: &'static [Self] = &[
        Bastion,
        ControlPlane,
        Worker,
        MetaWorker,
        Frontend,
        Arbiter,
        Bmc,
        Host,
        Unknown,
        Outside,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Bastion => "bastion",
            ControlPlane => "control-plane",
            Worker => "worker",
            MetaWorker => "meta-worker",
            Frontend => "frontend",
            Arbiter => "arbiter",
            Bmc => "bmc",
            Host => "host",
            Unknown => "unknown",
            Outside => "outside",
            Itself => "itself",
        }
    }

    /// What it is, in words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Bastion => "the bastion, with the virtual IPs that it holds",
            ControlPlane => "nodes of the control plane; the bootstrap machine is one until it is gone",
            Worker => "nodes that run workloads",
            MetaWorker => "nodes that run management workloads: storage, monitoring",
            Frontend => "nodes that are the way in",
            Arbiter => "nodes that are a member of etcd and nothing else",
            Bmc => "the nodes' controllers",
            Host => "other hosts of the site file",
            Unknown => "whoever else is on the LAN",
            Outside => "the other side of the uplink: as a peer that comes in, whom the site file lets in",
            Itself => "the machine itself, by its loopback",
        }
    }

    /// A list of them in few words: groups by their names.
    pub fn list(parties: &[Self]) -> String {
        let groups = [
            (Self::ANYONE, "anyone"),
            (Self::CLIENTS, "clients"),
            (Self::LAN, "lan"),
            (Self::NODES, "nodes"),
            (Self::KUBELETS, "kubelets"),
        ];
        let mut left = parties.to_vec();
        let mut words = Vec::new();
        for (group, word) in groups {
            if group.iter().all(|own| left.contains(own)) {
                left.retain(|own| !group.contains(own));
                words.push(word);
            }
        }
        words.extend(left.iter().map(|own| own.as_str()));
        words.join(" ")
    }
}
