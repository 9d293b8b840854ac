//! What the matrix's conditions ask of a site.
//!
//! A site file says which distribution and which network plug-in there is, and not how a plug-in is set up. For that
//! the plug-in's own default stands, and whoever knows better can say so.

use std::collections::BTreeSet;

use faros_model::{
    plan::Service,
    site::{self, Role, Site, UplinkAddressing},
};
use serde::Serialize;

/// One condition of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// The distribution is one of these.
    Distribution(&'static [Distribution]),
    /// The network plug-in is this.
    Plugin(Plugin),
    /// The site has this.
    With(Feature),
}

/// Which Kubernetes is installed. A site file cannot ask for k3s yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Upstream Kubernetes by kubeadm.
    Kubeadm,
    /// k3s.
    K3s,
    /// OpenShift.
    Openshift,
    /// Only the machines.
    None,
}

/// The network plug-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// Bridge and host routes.
    Bridge,
    /// Cilium.
    Cilium,
    /// Calico.
    Calico,
    /// Flannel.
    Flannel,
}

macro_rules! features {
    ($($(#[doc = $meaning:literal])* $variant:ident = $word:literal, $default:expr;)*) => {
        /// Something that a site has or has not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Feature {
            $($(#[doc = $meaning])* $variant,)*
        }

        impl Feature {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// What it is, in words.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),*)),* }
            }

            /// Whether it is so where nobody says otherwise; `None` where the site file says it.
            pub const fn default(self) -> Option<bool> {
                match self { $(Self::$variant => $default),* }
            }
        }
    };
}

features! {
    /// There are public keys that may log in on nodes.
    Ssh = "ssh", None;
    /// There are several members of the control plane.
    SeveralControlPlanes = "several-control-planes", None;
    /// No node is a worker, so that the control plane runs workloads.
    NoWorkers = "no-workers", None;
    /// There are frontends.
    Frontends = "frontends", None;
    /// There are several frontends, which share virtual IPs.
    SeveralFrontends = "several-frontends", None;
    /// Nodes have controllers.
    Bmcs = "bmcs", None;
    /// The cluster is monitored.
    Monitoring = "monitoring", None;
    /// Storage is Ceph by Rook.
    RookCeph = "rook-ceph", None;
    /// Secrets are in a Vault.
    Vault = "vault", None;
    /// The bastion gets its address on the uplink by DHCP.
    UplinkDhcp = "uplink-dhcp", None;
    /// The bastion answers DHCP.
    Dhcp = "dhcp", None;
    /// The bastion answers DNS.
    Dns = "dns", None;
    /// The bastion answers NTP.
    Ntp = "ntp", None;
    /// The bastion serves loaders, kernels and images.
    Netboot = "netboot", None;
    /// The bastion serves Ignition configs.
    Ignition = "ignition", None;
    /// The bastion unlocks disks.
    Unlock = "unlock", None;
    /// kube-proxy runs on every node.
    KubeProxy = "kube-proxy", Some(true);
    /// Nodes of a control plane that is apart reach it through konnectivity.
    Konnectivity = "konnectivity", Some(false);
    /// Ceph uses the network of its hosts, and not that of the pods.
    CephHostNetwork = "ceph-host-network", Some(false);
    /// Cilium's tunnel is VXLAN.
    CiliumVxlan = "cilium-vxlan", Some(true);
    /// Cilium's tunnel is Geneve.
    CiliumGeneve = "cilium-geneve", Some(false);
    /// Cilium encrypts with WireGuard.
    CiliumWireguard = "cilium-wireguard", Some(false);
    /// Cilium encrypts with IPsec.
    CiliumIpsec = "cilium-ipsec", Some(false);
    /// Cilium's Hubble observes flows.
    CiliumHubble = "cilium-hubble", Some(true);
    /// Hubble's relay collects them.
    CiliumHubbleRelay = "cilium-hubble-relay", Some(false);
    /// Cilium authenticates pods to each other.
    CiliumMutualAuth = "cilium-mutual-auth", Some(false);
    /// Cilium keeps identities in etcd.
    CiliumKvstore = "cilium-kvstore", Some(false);
    /// Calico announces routes by BGP.
    CalicoBgp = "calico-bgp", Some(true);
    /// Calico's tunnel is IP in IP.
    CalicoIpip = "calico-ipip", Some(true);
    /// Calico's tunnel is VXLAN.
    CalicoVxlan = "calico-vxlan", Some(false);
    /// Calico's Typha stands between its agents and the API.
    CalicoTypha = "calico-typha", Some(true);
    /// Calico encrypts with WireGuard.
    CalicoWireguard = "calico-wireguard", Some(false);
    /// Flannel's backend is VXLAN.
    FlannelVxlan = "flannel-vxlan", Some(true);
    /// Flannel's backend is WireGuard.
    FlannelWireguard = "flannel-wireguard", Some(false);
    /// Flannel's backend is UDP, which is for debugging.
    FlannelUdp = "flannel-udp", Some(false);
    /// Flannel's backend is IPsec, which is an experiment.
    FlannelIpsec = "flannel-ipsec", Some(false);
    /// k3s' embedded registry mirror.
    K3sRegistryMirror = "k3s-registry-mirror", Some(false);
    /// OVN-Kubernetes encrypts with IPsec.
    OvnIpsec = "ovn-ipsec", Some(false);
    /// MetalLB announces services on the LAN.
    Metallb = "metallb", Some(false);
    /// kube-vip holds a virtual IP.
    KubeVip = "kube-vip", Some(false);
}

/// What conditions are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The distribution.
    pub distribution: Distribution,
    /// The network plug-in.
    pub plugin: Plugin,
    /// What the site has.
    pub features: BTreeSet<Feature>,
}

impl Facts {
    /// Those of a site.
    pub fn of(site: &Site) -> Self {
        let with_role = |role| {
            site.nodes
                .values()
                .filter(|node| node.roles.contains(&role))
                .count()
        };
        let later = |key: &str, path: &str| site.later.get(key).and_then(|part| part.pointer(path));
        let has = |feature: Feature| match feature {
            Feature::Ssh => !site.ssh_authorized_keys.is_empty(),
            Feature::SeveralControlPlanes => with_role(Role::ControlPlane) + with_role(Role::Arbiter) > 1,
            Feature::NoWorkers => with_role(Role::Worker) == 0,
            Feature::Frontends => with_role(Role::Frontend) > 0,
            Feature::SeveralFrontends => with_role(Role::Frontend) > 1,
            Feature::Bmcs => site.nodes.values().any(|node| node.bmc.is_some()),
            Feature::Monitoring => later("monitoring", "/enabled").is_some_and(|own| own == true),
            Feature::RookCeph => later("storage", "/provider").is_some_and(|own| own == "rook-ceph"),
            Feature::Vault => later("secrets", "/backend/vault").is_some(),
            Feature::UplinkDhcp => !matches!(site.uplink.addressing, UplinkAddressing::Static { .. }),
            Feature::Dhcp => site.runs(Service::Dhcp),
            Feature::Dns => site.runs(Service::Dns),
            Feature::Ntp => site.runs(Service::Ntp),
            Feature::Netboot => site.runs(Service::Netboot),
            Feature::Ignition => site.runs(Service::Ignition),
            Feature::Unlock => site.runs(Service::Unlock),
            other => other.default() == Some(true),
        };
        Self {
            distribution: match site.cluster.distribution {
                site::Distribution::Kubeadm => Distribution::Kubeadm,
                site::Distribution::Openshift => Distribution::Openshift,
                site::Distribution::None => Distribution::None,
            },
            plugin: match site.cluster.network_plugin.as_str() {
                "cilium" => Plugin::Cilium,
                "calico" => Plugin::Calico,
                "flannel" => Plugin::Flannel,
                _ => Plugin::Bridge,
            },
            features: Feature::ALL.iter().copied().filter(|own| has(*own)).collect(),
        }
    }

    /// Whether a condition is so.
    pub fn are(&self, is: Is) -> bool {
        match is {
            Is::Distribution(any) => any.contains(&self.distribution),
            Is::Plugin(plugin) => self.distribution != Distribution::None && self.plugin == plugin,
            Is::With(feature) => self.features.contains(&feature),
        }
    }
}

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    )*};
}

words! {
    Distribution { Kubeadm = "kubeadm", K3s = "k3s", Openshift = "openshift", None = "none" }
    Plugin { Bridge = "bridge", Cilium = "cilium", Calico = "calico", Flannel = "flannel" }
}

impl std::fmt::Display for Is {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Distribution(any) => {
                let words: Vec<&str> = any.iter().map(|own| own.as_str()).collect();
                f.write_str(&words.join(" or "))
            }
            Self::Plugin(plugin) => f.write_str(plugin.as_str()),
            Self::With(feature) => f.write_str(feature.as_str()),
        }
    }
}
