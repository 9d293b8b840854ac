//! The services of the bastion: which of them run, and what each is told beyond what follows from the machines and
//! networks of the site.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Distribution, Site};
use crate::ids::{DomainName, HostName};

/// Name service beyond the names that follow from the site itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Resolvers that answer for the rest of the world; none means that other names do not resolve.
    pub forwarders: Vec<Ipv4Addr>,
    /// Further records of the site's own zone.
    pub records: Vec<DnsRecord>,
}

/// One further record of the site's own zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecord {
    /// Name relative to the zone.
    pub name: HostName,
    /// What it says.
    pub data: DnsData,
}

/// The data of a further record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsData {
    /// An address.
    A(Ipv4Addr),
    /// An alias, absolute.
    Cname(DomainName),
    /// Text.
    Txt(String),
}

/// Time service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// Upstream servers, names or addresses.
    pub sources: Vec<String>,
    /// Stratum to claim when no source answers.
    pub orphan_stratum: u8,
}

/// Unlocking of disks by the bastion's Tang service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlock {
    /// Whom the bastion helps.
    pub policy: UnlockPolicy,
    /// What seals the bastion's own keys at rest.
    pub seal_keys_with: SealKeysWith,
}

/// Whom the bastion helps to unlock disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnlockPolicy {
    /// Only a node that is booting right now, and that is known to depend on the key it asks for.
    BootSession,
    /// Any node of the site.
    KnownNodes,
    /// Anyone on the LAN: plain Tang.
    Anyone,
}

/// What seals the bastion's own keys at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SealKeysWith {
    /// The bastion's TPM 2.0.
    Tpm2,
    /// A passphrase that is asked for when the daemon starts.
    Passphrase,
    /// Nothing: who has the bastion's disk has the keys.
    Nothing,
}

/// Whether install content is reachable only while a node is armed, or always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentPolicy {
    /// Only while a node is to be installed.
    WhileArmed,
    /// Always.
    Always,
}

/// How the virtual IPs are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// What decides which node an ingress client gets.
    pub ingress_affinity: IngressAffinity,
    /// Certificates in PEM of who may sign those of the API's servers; by default the authority of our own cluster, and
    /// of other clusters anybody.
    pub api_ca: Option<String>,
}

/// What decides which node an ingress client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IngressAffinity {
    /// Chance.
    None,
    /// Its address: it stays with its node as long as that is well.
    Source,
}

/// Which services of the bastion run. All of them, unless the site file switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch for each service, as in the site file"
)]
pub struct Services {
    /// Addresses and boot options.
    pub dhcp: bool,
    /// Names.
    pub dns: bool,
    /// Loaders, kernels and images, by TFTP and HTTP, and the boot scripts.
    pub netboot: bool,
    /// Ignition configs.
    pub ignition: bool,
    /// Unlocking of disks.
    pub unlock: bool,
    /// Time.
    pub ntp: bool,
    /// The way in and out: forwarding, firewall, published ports.
    pub router: bool,
    /// Virtual IPs, and who of the nodes answers behind them. Runs only where the router does.
    pub balancer: bool,
}

impl Site {
    /// Whether a service of the bastion runs.
    pub const fn runs(&self, service: crate::plan::Service) -> bool {
        match service {
            crate::plan::Service::Dhcp => self.services.dhcp,
            crate::plan::Service::Dns => self.services.dns,
            crate::plan::Service::Netboot => self.services.netboot,
            crate::plan::Service::Ignition => self.services.ignition,
            crate::plan::Service::Unlock => self.services.unlock,
            crate::plan::Service::Ntp => self.services.ntp,
            crate::plan::Service::Router => self.services.router,
            crate::plan::Service::Balancer => self.services.balancer,
            // It follows from there being a cluster to be installed.
            crate::plan::Service::Registry => {
                matches!(self.cluster.distribution, Distribution::Kubeadm)
            }
        }
    }
}
