//! The LAN as the file says it, before everyone on it has an address.

use std::net::Ipv4Addr;

use faros_model::{
    ids::{HostName, MacAddr},
    net::{Range, Subnet},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, Wish, text};
use crate::{
    codes::Code,
    place::join,
    show::{did_you_mean, show},
};

/// What could be read of the LAN.
pub(super) struct LanDraft {
    pub(super) subnet: Option<Subnet>,
    pub(super) dynamic_range: Option<Range>,
    pub(super) interfaces: Vec<String>,
    pub(super) mtu: u16,
    /// Each with its path.
    pub(super) ignored_macs: Vec<(String, MacAddr)>,
    pub(super) bastion: Wish,
    pub(super) api: Wish,
    pub(super) ingress: Wish,
    pub(super) bootstrap: Wish,
    pub(super) hosts: Vec<HostDraft>,
    pub(super) firewall: Option<Vec<site::LanRule>>,
}

pub(super) struct HostDraft {
    pub(super) path: String,
    pub(super) name: Option<HostName>,
    pub(super) mac: Option<MacAddr>,
    pub(super) address: Wish,
}

const DEFAULT_SUBNET: &str = "192.168.8.0/24";

impl Check<'_> {
    pub(super) fn lan(&mut self, lan: Option<&wire::Lan>, uplink: Option<&wire::Uplink>) -> Option<LanDraft> {
        let lan = lan?;
        let interfaces = self.lan_interfaces(lan, uplink);
        let subnet = self.lan_subnet(lan);
        let mut ignored_macs: Vec<(String, MacAddr)> = Vec::new();
        for (idx, text) in lan.ignored_macs.iter().flatten().enumerate() {
            let path = self.places.item("spec.lan.ignoredMacs", idx);
            let Some(mac) = self.mac(&path, text) else {
                continue;
            };
            if ignored_macs.iter().any(|(_, other)| *other == mac) {
                self.error(
                    Code::DuplicateValue,
                    &path,
                    format!("{mac} is here twice"),
                    "keep one of them",
                );
            } else {
                ignored_macs.push((path, mac));
            }
        }
        let mut hosts = Vec::new();
        for (idx, host) in lan.hosts.iter().flatten().enumerate() {
            let path = self.places.item("spec.lan.hosts", idx);
            let at = |key| join(&path, key);
            hosts.push(HostDraft {
                name: host.name.as_deref().and_then(|name| self.name(&at("name"), name)),
                mac: host.mac.as_deref().and_then(|mac| self.mac(&at("mac"), mac)),
                address: self.wish(&at("address"), host.address.as_deref()),
                path,
            });
        }
        let firewall = lan.firewall.as_ref().map(|rules| {
            let rules = rules.iter().enumerate().map(|(idx, rule)| {
                let path = self.places.item("spec.lan.firewall", idx);
                site::LanRule {
                    from: self.firewall_from(&join(&path, "from"), rule),
                    allow: rule.allow.iter().flatten().copied().map(allowed).collect(),
                }
            });
            rules.collect()
        });
        let own = lan.addresses.clone().unwrap_or_default();
        Some(LanDraft {
            subnet,
            dynamic_range: subnet.and_then(|subnet| self.dynamic_range(lan, subnet)),
            interfaces,
            mtu: lan.mtu.and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(1500),
            ignored_macs,
            bastion: self.wish("spec.lan.addresses.bastion", own.bastion.as_deref()),
            api: self.wish("spec.lan.addresses.api", own.api.as_deref()),
            ingress: self.wish("spec.lan.addresses.ingress", own.ingress.as_deref()),
            bootstrap: self.wish("spec.lan.addresses.bootstrap", own.bootstrap.as_deref()),
            hosts,
            firewall,
        })
    }

    fn lan_interfaces(&mut self, lan: &wire::Lan, uplink: Option<&wire::Uplink>) -> Vec<String> {
        const PATH: &str = "spec.lan.interfaces";
        let interfaces = lan.interfaces.clone().unwrap_or_default();
        if interfaces.is_empty() && self.places.has(PATH) && !self.is_told(PATH) {
            self.error(
                Code::MissingValue,
                PATH,
                "the LAN has no interface",
                "name at least one",
            );
        }
        for (idx, name) in interfaces.iter().enumerate() {
            let path = self.places.item(PATH, idx);
            if !text::interface(self, &path, name) {
                continue;
            }
            if interfaces[..idx].contains(name) {
                self.error(
                    Code::DuplicateValue,
                    &path,
                    format!("{name} is here twice"),
                    "keep one of them",
                );
            } else if let Some(wire::InterfaceRef::Name(uplink)) =
                uplink.and_then(|uplink| uplink.interface.as_ref())
                && uplink == name
            {
                let what = format!("{name} is the uplink already");
                let hint = "the LAN and the rest of the world need an interface each";
                self.error(Code::DuplicateValue, &path, what, hint);
            }
        }
        interfaces
    }

    fn lan_subnet(&mut self, lan: &wire::Lan) -> Option<Subnet> {
        const PATH: &str = "spec.lan.subnet";
        if self.is_told(PATH) {
            return None;
        }
        let subnet = self.subnet(PATH, lan.subnet.as_deref().unwrap_or(DEFAULT_SUBNET))?;
        if !(8..=29).contains(&subnet.prefix()) {
            let what = format!("{subnet} is no network for a site");
            let (code, hint) = match subnet.prefix() {
                0..8 => (Code::InvalidSubnet, "take a prefix of /8 to /29; /24 is usual"),
                _ => (Code::SubnetTooSmall, "take a prefix of /29 or less; /24 is usual"),
            };
            self.error(code, PATH, what, hint);
            return None;
        }
        if !is_for_hosts(subnet) {
            let what = format!("{subnet} is not made of addresses that hosts may have");
            self.error(
                Code::InvalidSubnet,
                PATH,
                what,
                "take private addresses, such as 192.168.8.0/24",
            );
            return None;
        }
        Some(subnet)
    }

    fn dynamic_range(&mut self, lan: &wire::Lan, subnet: Subnet) -> Option<Range> {
        const PATH: &str = "spec.lan.dynamicRange";
        let hosts = subnet.hosts()?;
        let half = Ipv4Addr::from_bits(subnet.network().to_bits() + (1 << (31 - subnet.prefix())));
        let Some(text) = lan.dynamic_range.as_deref() else {
            return if self.is_told(PATH) {
                None
            } else {
                Range::new(half, hosts.last())
            };
        };
        let hint = format!(
            "write the first and the last address, such as {half}-{}",
            hosts.last()
        );
        let range: Range = self.parse(Code::InvalidRange, PATH, text, &hint)?;
        if !subnet.contains(range.first()) || !subnet.contains(range.last()) {
            let what = format!("the range {range} is not inside of the subnet {subnet}");
            self.error(
                Code::AddressOutsideSubnet,
                PATH,
                what,
                format!("the subnet's hosts are {hosts}"),
            );
            return None;
        }
        if range.first() == subnet.network() || range.last() == subnet.broadcast() {
            let what = format!("the range {range} takes in the network or the broadcast address");
            self.error(
                Code::AddressReserved,
                PATH,
                what,
                format!("the subnet's hosts are {hosts}"),
            );
            return None;
        }
        Some(range)
    }

    fn firewall_from(&mut self, path: &str, rule: &wire::FirewallRule) -> Vec<site::LanSource> {
        const GROUPS: &[&str] = &["nodes", "bmcs", "hosts", "unknown"];
        let mut sources = Vec::new();
        for (idx, from) in rule.from.iter().flatten().enumerate() {
            sources.push(match (from.as_str(), from.parse::<Subnet>()) {
                ("nodes", _) => site::LanSource::Nodes,
                ("bmcs", _) => site::LanSource::Bmcs,
                ("hosts", _) => site::LanSource::Hosts,
                ("unknown", _) => site::LanSource::Unknown,
                (_, Ok(network)) => site::LanSource::Network(network),
                (_, Err(_)) => {
                    let path = self.places.item(path, idx);
                    let what = format!("{} is neither a group of machines nor a network", show(from));
                    self.error(Code::UnknownValue, &path, what, did_you_mean(from, GROUPS));
                    continue;
                }
            });
        }
        sources
    }
}

const fn allowed(service: wire::LanService) -> site::LanService {
    match service {
        wire::LanService::Dhcp => site::LanService::Dhcp,
        wire::LanService::Dns => site::LanService::Dns,
        wire::LanService::Ntp => site::LanService::Ntp,
        wire::LanService::Netboot => site::LanService::Netboot,
        wire::LanService::Ignition => site::LanService::Ignition,
        wire::LanService::Unlock => site::LanService::Unlock,
        wire::LanService::Ssh => site::LanService::Ssh,
        wire::LanService::Console => site::LanService::Console,
        wire::LanService::Api => site::LanService::Api,
        wire::LanService::Registry => site::LanService::Registry,
        wire::LanService::Ingress => site::LanService::Ingress,
    }
}

/// Whether hosts may have the addresses of a network: not loopback, multicast, reserved or of `this network`.
pub(super) fn is_for_hosts(subnet: Subnet) -> bool {
    let first = subnet.network().octets()[0];
    let last = subnet.broadcast().octets()[0];
    !(first..=last).any(|octet| matches!(octet, 0 | 127 | 224..))
}
