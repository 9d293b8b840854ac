//! The LAN: its subnet, its ranges, and an address for everyone on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{
    ids::{HostName, MacAddr},
    net::{Range, Subnet},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, nodes::NodeDraft, text};
use crate::addresses::{self, Claim, Kind};

/// The LAN as the file says it, before everyone has an address.
pub(super) struct LanDraft {
    pub(super) subnet: Subnet,
    interfaces: Vec<String>,
    mtu: u16,
    dynamic_range: Range,
    ignored_macs: Vec<MacAddr>,
    bastion: Ipv4Addr,
    api: Ipv4Addr,
    ingress: Ipv4Addr,
    bootstrap: Ipv4Addr,
    hosts: Vec<HostDraft>,
}

struct HostDraft {
    path: String,
    name: HostName,
    mac: Option<MacAddr>,
    address: Option<Ipv4Addr>,
}

/// An address that the file itself gives, or a default for the site's own.
struct Fixed {
    path: String,
    who: String,
    address: Ipv4Addr,
}

impl Check<'_> {
    pub(super) fn lan(&mut self, lan: Option<&wire::Lan>) -> Option<LanDraft> {
        let lan = lan?;
        let interfaces = lan.interfaces.clone().unwrap_or_default();
        if interfaces.is_empty() && !self.is_told("spec.lan.interfaces") {
            self.error(
                "missing-value",
                "spec.lan.interfaces",
                "the LAN has no interface",
                "name at least one",
            );
        }
        for (idx, name) in interfaces.iter().enumerate() {
            let path = self.places.item("spec.lan.interfaces", idx);
            if text::interface(self, &path, name) && interfaces[..idx].contains(name) {
                self.error(
                    "duplicate-name",
                    &path,
                    format!("{name} is here twice"),
                    "keep one of them",
                );
            }
        }
        let mtu = match lan.mtu {
            None => 1500,
            Some(mtu @ 576..=9216) => u16::try_from(mtu).unwrap_or(1500),
            Some(mtu) => {
                let what = format!("an MTU of {mtu} is not between 576 and 9216");
                self.error(
                    "number-out-of-range",
                    "spec.lan.mtu",
                    what,
                    "1500 is usual, 9000 for jumbo frames",
                );
                1500
            }
        };
        let subnet = self.subnet(
            "spec.lan.subnet",
            lan.subnet.as_deref().unwrap_or("192.168.8.0/24"),
        )?;
        if !(8..=29).contains(&subnet.prefix()) {
            let what = format!("{subnet} is no subnet for a site");
            self.error(
                "subnet-too-small",
                "spec.lan.subnet",
                what,
                "use a prefix of /8 to /29; /24 is usual",
            );
            return None;
        }
        if subnet.network().is_loopback()
            || subnet.network().is_multicast()
            || subnet.network().octets()[0] == 0
        {
            let what = format!("{subnet} is not made of addresses for hosts");
            self.error(
                "invalid-subnet",
                "spec.lan.subnet",
                what,
                "use private addresses, such as 192.168.8.0/24",
            );
            return None;
        }
        let all = subnet.hosts()?;
        let dynamic_range = self.dynamic_range(lan, subnet, all)?;
        let mut ignored_macs = Vec::new();
        for (idx, text) in lan.ignored_macs.iter().flatten().enumerate() {
            let path = self.places.item("spec.lan.ignoredMacs", idx);
            ignored_macs.extend(self.mac(&path, text));
        }
        let mut hosts = Vec::new();
        for (idx, host) in lan.hosts.iter().flatten().enumerate() {
            let path = self.places.item("spec.lan.hosts", idx);
            let name = host
                .name
                .as_deref()
                .and_then(|name| self.name(&format!("{path}.name"), name));
            let mac = host
                .mac
                .as_deref()
                .and_then(|mac| self.mac(&format!("{path}.mac"), mac));
            let address = host
                .address
                .as_deref()
                .and_then(|text| self.address(&format!("{path}.address"), text));
            hosts.extend(name.map(|name| HostDraft {
                path,
                name,
                mac,
                address,
            }));
        }
        for (idx, rule) in lan.firewall.iter().flatten().enumerate() {
            let path = self.places.item("spec.lan.firewall", idx);
            self.firewall(&path, rule);
        }

        let given = lan.addresses.clone().unwrap_or_default();
        let nth = |n: u32| Ipv4Addr::from_bits(subnet.network().to_bits() + n);
        let mut own = |key: &str, text: Option<&str>, default: Ipv4Addr| match text {
            None => Some(default),
            Some(text) => self.address(&format!("spec.lan.addresses.{key}"), text),
        };
        let bastion = own("bastion", given.bastion.as_deref(), nth(1))?;
        let api = own("api", given.api.as_deref(), nth(2))?;
        let ingress = own("ingress", given.ingress.as_deref(), api)?;
        let bootstrap = own("bootstrap", given.bootstrap.as_deref(), nth(3))?;
        Some(LanDraft {
            subnet,
            interfaces,
            mtu,
            dynamic_range,
            ignored_macs,
            bastion,
            api,
            ingress,
            bootstrap,
            hosts,
        })
    }

    fn dynamic_range(&mut self, lan: &wire::Lan, subnet: Subnet, all: Range) -> Option<Range> {
        const PATH: &str = "spec.lan.dynamicRange";
        let Some(text) = lan.dynamic_range.as_deref() else {
            let half = Ipv4Addr::from_bits(subnet.network().to_bits() + (1 << (31 - subnet.prefix())));
            return Range::new(half, all.last());
        };
        let hint = "first and last address, such as 192.168.8.128-192.168.8.253";
        let range: Range = self.parse("invalid-range", PATH, text, hint)?;
        if !subnet.contains(range.first()) || !subnet.contains(range.last()) {
            let what = format!("the range {range} is not inside of the subnet {subnet}");
            let hint = format!("the subnet's hosts are {all}");
            self.error("address-outside-subnet", PATH, what, hint);
            return None;
        }
        if range.first() == subnet.network() || range.last() == subnet.broadcast() {
            let what = format!("the range {range} takes in the network or the broadcast address");
            self.error(
                "address-reserved",
                PATH,
                what,
                format!("the subnet's hosts are {all}"),
            );
            return None;
        }
        Some(range)
    }

    fn firewall(&mut self, path: &str, rule: &wire::FirewallRule) {
        const GROUPS: &[&str] = &["nodes", "bmcs", "hosts", "unknown"];
        const SERVICES: &[&str] = &[
            "dhcp", "dns", "ntp", "netboot", "ignition", "unlock", "ssh", "console", "api", "registry",
        ];
        for (idx, from) in rule.from.iter().flatten().enumerate() {
            let path = self.places.item(&format!("{path}.from"), idx);
            if !GROUPS.contains(&from.as_str()) && from.parse::<Subnet>().is_err() {
                let what = format!("`{from}` is neither a group of machines nor a network");
                self.error(
                    "unknown-value",
                    &path,
                    what,
                    format!("groups: {}", GROUPS.join(", ")),
                );
            }
        }
        for (idx, allow) in rule.allow.iter().flatten().enumerate() {
            let path = self.places.item(&format!("{path}.allow"), idx);
            if !SERVICES.contains(&allow.as_str()) {
                let what = format!("`{allow}` is no service of the bastion");
                let hint = match crate::shape::closest(allow, SERVICES.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("services: {}", SERVICES.join(", ")),
                };
                self.error("unknown-value", &path, what, hint);
            }
        }
    }

    /// Gives everyone on the LAN an address.
    pub(super) fn addresses(
        &mut self,
        spec: &wire::Spec,
        lan: LanDraft,
        nodes: Vec<NodeDraft>,
    ) -> Option<(site::Lan, BTreeMap<HostName, site::Node>)> {
        self.names_and_macs(&lan, &nodes);
        let stated = spec
            .lan
            .as_ref()
            .and_then(|lan| lan.addresses.clone())
            .unwrap_or_default();
        let mut fixed = vec![Fixed {
            path: "spec.lan.addresses.bastion".into(),
            who: "the bastion".into(),
            address: lan.bastion,
        }];
        let mut virtual_ip = |key: &str, who: &str, address| {
            fixed.push(Fixed {
                path: format!("spec.lan.addresses.{key}"),
                who: who.to_owned(),
                address,
            });
        };
        virtual_ip("api", "the API's virtual IP", lan.api);
        if lan.ingress != lan.api {
            virtual_ip("ingress", "the ingress' virtual IP", lan.ingress);
        }
        virtual_ip("bootstrap", "the bootstrap machine", lan.bootstrap);
        let mut draft_bootstrap = lan.bootstrap;

        let mut claims = BTreeSet::new();
        let mut ask = |kind, name: &HostName, path: String, address: Option<Ipv4Addr>| match address {
            Some(address) => fixed.push(Fixed {
                path,
                who: name.to_string(),
                address,
            }),
            None => {
                claims.insert(Claim {
                    kind,
                    name: name.to_string(),
                });
            }
        };
        for node in &nodes {
            ask(
                Kind::Node,
                &node.node.name,
                format!("{}.address", node.path),
                node.address,
            );
        }
        for host in &lan.hosts {
            ask(
                Kind::Host,
                &host.name,
                format!("{}.address", host.path),
                host.address,
            );
        }
        for node in &nodes {
            if let Some(bmc) = &node.node.bmc {
                fixed.push(Fixed {
                    path: format!("{}.bmc.address", node.path),
                    who: format!("{}-mgmt", node.node.name),
                    address: bmc.address,
                });
            } else if node.bmc_without_address {
                claims.insert(Claim {
                    kind: Kind::Bmc,
                    name: node.node.name.to_string(),
                });
            }
        }
        // A default gives way to what the file says: the bootstrap machine is only there for a while.
        if stated.bootstrap.is_none() {
            let others: BTreeSet<_> = fixed
                .iter()
                .filter(|f| f.who != "the bootstrap machine")
                .map(|f| f.address)
                .collect();
            if others.contains(&draft_bootstrap) || lan.dynamic_range.contains(draft_bootstrap) {
                let places = addresses::places(lan.subnet, lan.dynamic_range);
                let free = places.into_iter().find(|place| !others.contains(place));
                draft_bootstrap = free.unwrap_or(draft_bootstrap);
                if let Some(own) = fixed.iter_mut().find(|f| f.who == "the bootstrap machine") {
                    own.address = draft_bootstrap;
                }
            }
        }
        self.fixed(&lan, &fixed);

        let taken: BTreeSet<Ipv4Addr> = fixed.iter().map(|fixed| fixed.address).collect();
        let places = addresses::places(lan.subnet, lan.dynamic_range);
        let free = places.iter().filter(|place| !taken.contains(place)).count();
        if claims.len() > free {
            let needed = claims.len() + taken.len();
            let room = free + taken.len();
            let what = format!(
                "{} has {room} addresses outside of the dynamic range {}, and this site needs {needed} \
                 (bastion, virtual IP, bootstrap, nodes, BMCs, hosts)",
                lan.subnet, lan.dynamic_range
            );
            let hint = "take a larger subnet, or a smaller `dynamicRange`";
            self.error("subnet-too-small", "spec.lan.subnet", what, hint);
            return None;
        }
        let given = addresses::give(lan.subnet, &places, &taken, claims);
        let of = |kind, name: &HostName| {
            given
                .get(&Claim {
                    kind,
                    name: name.to_string(),
                })
                .copied()
        };

        let mut hosts = BTreeMap::new();
        for host in lan.hosts {
            let address = host
                .address
                .or_else(|| of(Kind::Host, &host.name).map(|given| given.address))?;
            hosts.insert(
                host.name.clone(),
                site::ExtraHost {
                    name: host.name,
                    mac: host.mac,
                    address,
                },
            );
        }
        let mut checked = BTreeMap::new();
        for draft in nodes {
            let mut node = draft.node;
            node.address = match (draft.address, of(Kind::Node, &node.name)) {
                (Some(address), _) => address,
                (None, Some(given)) => {
                    if given.sent_on {
                        let what = format!(
                            "{} has {}, because another host has the place that its name asks for",
                            node.name, given.address
                        );
                        let hint = format!(
                            "write `address: {}`, so that no later host can move it",
                            given.address
                        );
                        self.warn("address-by-collision", &draft.path, what, hint);
                    }
                    given.address
                }
                (None, None) => return None,
            };
            if draft.bmc_without_address {
                let address = of(Kind::Bmc, &node.name)?.address;
                node.bmc = draft.bmc.map(|bmc| site::Bmc { address, ..bmc });
            }
            checked.insert(node.name.clone(), node);
        }
        let lan = site::Lan {
            interfaces: lan.interfaces,
            subnet: lan.subnet,
            mtu: lan.mtu,
            dynamic_range: lan.dynamic_range,
            ignored_macs: lan.ignored_macs,
            addresses: site::LanAddresses {
                bastion: lan.bastion,
                api: lan.api,
                ingress: lan.ingress,
                bootstrap: draft_bootstrap,
            },
            hosts,
        };
        Some((lan, checked))
    }

    /// Every fixed address is a host's, in the subnet, outside of the dynamic range, and nobody else's.
    fn fixed(&mut self, lan: &LanDraft, fixed: &[Fixed]) {
        let mut owners: BTreeMap<Ipv4Addr, &str> = BTreeMap::new();
        for Fixed { path, who, address } in fixed {
            let (code, what, hint) = if !lan.subnet.contains(*address) {
                let hint = lan
                    .subnet
                    .hosts()
                    .map(|hosts| format!("the subnet's hosts are {hosts}"));
                let what = format!("{address} for {who} is not in the subnet {}", lan.subnet);
                ("address-outside-subnet", what, hint.unwrap_or_default())
            } else if *address == lan.subnet.network() || *address == lan.subnet.broadcast() {
                let kind = if *address == lan.subnet.network() {
                    "network"
                } else {
                    "broadcast"
                };
                let what = format!("{address} for {who} is the {kind} address of {}", lan.subnet);
                (
                    "address-reserved",
                    what,
                    "give it an address of a host".to_owned(),
                )
            } else if let Some(other) = owners.get(address) {
                let what = format!("{address} for {who} is the address of {other} already");
                ("duplicate-address", what, "give each its own".to_owned())
            } else if lan.dynamic_range.contains(*address) {
                let what = format!(
                    "{address} for {who} is in the dynamic range {}",
                    lan.dynamic_range
                );
                let hint =
                    "DHCP could lease it to someone else: move it, or shrink `dynamicRange`".to_owned();
                ("address-in-dynamic-range", what, hint)
            } else {
                owners.insert(*address, who);
                continue;
            };
            self.error(code, path, what, hint);
        }
    }

    /// Names and MACs are each one machine's.
    fn names_and_macs(&mut self, lan: &LanDraft, nodes: &[NodeDraft]) {
        let mut names: BTreeMap<String, String> = super::uplink::RESERVED
            .iter()
            .map(|name| ((*name).to_owned(), "the site itself".to_owned()))
            .collect();
        let mut macs: BTreeMap<MacAddr, String> = BTreeMap::new();
        let own_names = nodes.iter().map(|draft| {
            (
                format!("{}.name", draft.path),
                draft.node.name.to_string(),
                "a node",
            )
        });
        let hosts = lan
            .hosts
            .iter()
            .map(|host| (format!("{}.name", host.path), host.name.to_string(), "a host"));
        let mut bmc_names: Vec<(String, String, &str)> = Vec::new();
        for draft in nodes
            .iter()
            .filter(|draft| draft.node.bmc.is_some() || draft.bmc_without_address)
        {
            bmc_names.push((
                format!("{}.name", draft.path),
                format!("{}-mgmt", draft.node.name),
                "a BMC",
            ));
        }
        for (path, name, kind) in own_names.chain(bmc_names).chain(hosts).collect::<Vec<_>>() {
            if let Some(owner) = names.get(&name) {
                let what = format!("`{name}` is the name of {owner} already");
                self.error(
                    "duplicate-name",
                    &path,
                    what,
                    "each machine has a name of its own",
                );
            } else {
                names.insert(name, kind.to_owned());
            }
        }
        let mut claims: Vec<(String, MacAddr, String)> = Vec::new();
        for draft in nodes {
            let name = draft.node.name.to_string();
            claims.push((
                format!("{}.bootMac", draft.path),
                draft.node.boot_mac,
                name.clone(),
            ));
            for (idx, mac) in draft
                .node
                .network
                .bond
                .iter()
                .flat_map(|bond| &bond.macs)
                .enumerate()
            {
                if *mac != draft.node.boot_mac {
                    claims.push((
                        format!("{}.network.bond.macs[{idx}]", draft.path),
                        *mac,
                        name.clone(),
                    ));
                }
            }
            let bmc = draft
                .node
                .bmc
                .as_ref()
                .or(draft.bmc.as_ref())
                .and_then(|bmc| bmc.mac);
            claims.extend(bmc.map(|mac| (format!("{}.bmc.mac", draft.path), mac, format!("{name}-mgmt"))));
        }
        claims.extend(lan.hosts.iter().filter_map(|h| {
            h.mac
                .map(|mac| (format!("{}.mac", h.path), mac, h.name.to_string()))
        }));
        for (path, mac, owner) in claims {
            if let Some(other) = macs.get(&mac) {
                let what = format!("{mac} is the MAC of {other} already");
                self.error(
                    "duplicate-mac",
                    &path,
                    what,
                    "each interface has a MAC of its own: read it off the machine",
                );
            } else {
                macs.insert(mac, owner);
            }
        }
        for (idx, mac) in lan.ignored_macs.iter().enumerate() {
            if let Some(owner) = macs.get(mac) {
                let path = self.places.item("spec.lan.ignoredMacs", idx);
                let what = format!("{mac} is to be ignored, but it is the MAC of {owner}");
                self.error(
                    "ignored-mac-in-use",
                    &path,
                    what,
                    "take it out of one of the two places",
                );
            }
        }
    }
}
