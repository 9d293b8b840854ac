//! The cluster, and that no two networks of the site share an address.

use faros_cluster::{PodBlocks, version};
use faros_model::{net::Subnet, site, wire::v1alpha1 as wire};

use super::{Check, lan::is_for_hosts};
use crate::{codes::Code, show::show};

const PODS: &str = "spec.cluster.podNetwork";
const SERVICES: &str = "spec.cluster.serviceNetwork";

impl Check<'_> {
    pub(super) fn cluster(&mut self, cluster: Option<&wire::Cluster>) -> Option<site::Cluster> {
        let cluster = cluster.cloned().unwrap_or_default();
        let pod_network = self.cluster_network(PODS, cluster.pod_network.as_deref(), "10.128.0.0/14");
        let service_network =
            self.cluster_network(SERVICES, cluster.service_network.as_deref(), "172.30.0.0/16");
        let distribution = match cluster.distribution {
            Some(wire::Distribution::Openshift) => site::Distribution::Openshift,
            Some(wire::Distribution::None) => site::Distribution::None,
            Some(wire::Distribution::Kubeadm) | None => site::Distribution::Kubeadm,
        };
        if let Some(version) = &cluster.version {
            self.version(distribution, version);
        }
        self.secret_ref("spec.cluster.pullSecretRef", cluster.pull_secret_ref.as_ref());
        let network_plugin = match cluster.network_plugin {
            Some(wire::NetworkPlugin::Cilium) => "cilium",
            Some(wire::NetworkPlugin::Calico) => "calico",
            Some(wire::NetworkPlugin::Flannel) => "flannel",
            Some(wire::NetworkPlugin::Bridge) | None => "bridge",
        };
        Some(site::Cluster {
            distribution,
            version: cluster.version,
            pod_network: pod_network?,
            service_network: service_network?,
            network_plugin: network_plugin.to_owned(),
        })
    }

    /// A version that this one installs; of another distribution, anything that looks like one.
    fn version(&mut self, distribution: site::Distribution, text: &str) {
        const PATH: &str = "spec.cluster.version";
        let number = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<_> = number.split('.').collect();
        let is_number =
            |part: &&str| !part.is_empty() && part.len() <= 5 && part.bytes().all(|b| b.is_ascii_digit());
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(is_number) {
            let what = format!("{} is no version", show(text));
            self.error(Code::InvalidVersion, PATH, what, "such as v1.36.3");
            return;
        }
        if distribution != site::Distribution::Kubeadm {
            return;
        }
        if let Err(why) = version::wanted(Some(text)) {
            let code = match why {
                version::Unwanted::Malformed => Code::InvalidVersion,
                version::Unwanted::TooOld | version::Unwanted::TooNew => Code::VersionNotSupported,
            };
            let (oldest, newest) = (version::SUPPORTED.start(), version::SUPPORTED.end());
            let hint = format!("v1.{oldest} to v1.{newest} are installed, such as v1.{newest}");
            self.error(code, PATH, format!("{} {why}", show(text)), hint);
        }
    }

    /// Each address that a node may have on the LAN needs a block of pod addresses.
    pub(super) fn pod_blocks(&mut self, lan: Option<Subnet>, cluster: Option<&site::Cluster>) {
        let (Some(lan), Some(cluster)) = (lan, cluster) else {
            return;
        };
        if cluster.distribution != site::Distribution::Kubeadm {
            return;
        }
        if let Err(why) = PodBlocks::of(cluster.pod_network, lan) {
            let at = if self.places.has(PODS) {
                PODS
            } else {
                "spec.lan.subnet"
            };
            let hint = format!(
                "take a pod network of /{} or larger, or a smaller LAN",
                why.prefix
            );
            self.error(Code::PodNetworkTooSmall, at, why.to_string(), hint);
        }
    }

    fn cluster_network(&mut self, path: &str, text: Option<&str>, usual: &str) -> Option<Subnet> {
        if self.is_told(path) {
            return None;
        }
        let subnet = self.subnet(path, text.unwrap_or(usual))?;
        if !is_for_hosts(subnet) || subnet.prefix() > 28 {
            let what = format!("{subnet} has no room for addresses that hosts may have");
            self.error(Code::InvalidSubnet, path, what, format!("such as {usual}"));
            return None;
        }
        Some(subnet)
    }

    /// No two networks of the site may share an address.
    pub(super) fn networks(
        &mut self,
        lan: Option<Subnet>,
        uplink: Option<&site::Uplink>,
        cluster: Option<&site::Cluster>,
    ) {
        let uplink = uplink.and_then(|uplink| match uplink.addressing {
            site::UplinkAddressing::Static { subnet, .. } => Some(subnet),
            site::UplinkAddressing::Dhcp | site::UplinkAddressing::Host => None,
        });
        let cluster = cluster.filter(|cluster| cluster.distribution != site::Distribution::None);
        let networks = [
            ("the LAN", "spec.lan.subnet", lan),
            ("the uplink", "spec.uplink.addressing.address", uplink),
            ("the pods", PODS, cluster.map(|cluster| cluster.pod_network)),
            (
                "the services",
                SERVICES,
                cluster.map(|cluster| cluster.service_network),
            ),
        ];
        for (idx, (who, path, network)) in networks.iter().enumerate() {
            for (other_who, other_path, other) in &networks[..idx] {
                let (Some(network), Some(other)) = (network, other) else {
                    continue;
                };
                if !network.overlaps(*other) {
                    continue;
                }
                let what = format!("the network of {who}, {network}, overlaps that of {other_who}, {other}");
                // What the file does not say cannot be underlined.
                let at = if self.places.has(path) { path } else { other_path };
                let hint = if self.places.has(path) {
                    "give each a part of the private addresses for itself".to_owned()
                } else {
                    format!("{network} is the default: set `{path}`, or take another network here")
                };
                self.error(Code::NetworksOverlap, at, what, hint);
            }
        }
    }
}
