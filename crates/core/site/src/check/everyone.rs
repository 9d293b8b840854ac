//! An address for everyone on the LAN: the file's, or one that follows from the name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{
    ids::HostName,
    net::{Range, Subnet},
    site,
};

use super::{Check, Wish, lan::LanDraft, nodes::NodeDraft};
use crate::{
    addresses::{self, Claim, Given, Kind},
    codes::Code,
    place::join,
};

const RANGE: &str = "spec.lan.dynamicRange";

/// An address that is not derived.
struct Fixed {
    path: String,
    who: String,
    address: Ipv4Addr,
    /// The file does not give it: it is the usual one.
    usual: bool,
}

impl Check<'_> {
    /// Gives everyone on the LAN an address.
    pub(super) fn addresses(
        &mut self,
        lan: LanDraft,
        nodes: Vec<NodeDraft>,
    ) -> Option<(site::Lan, BTreeMap<HostName, site::Node>)> {
        let own = OwnAddresses::of(&lan)?;
        let mut fixed = own.fixed(&lan);
        let mut claims = BTreeSet::new();
        let mut claimants: Vec<(Claim, String)> = Vec::new();
        let mut complete = true;
        let mut ask = |kind, name: Option<&HostName>, path: String, address: Wish| {
            let who = match (kind, name) {
                (Kind::Bmc, Some(name)) => format!("{name}-mgmt"),
                (_, Some(name)) => name.to_string(),
                (_, None) => "a machine".to_owned(),
            };
            match (address, name) {
                (Wish::At(address), _) => {
                    let usual = false;
                    fixed.push(Fixed {
                        path,
                        who,
                        address,
                        usual,
                    });
                }
                (Wish::Any, Some(name)) => {
                    let claim = Claim {
                        kind,
                        name: name.to_string(),
                    };
                    claims.insert(claim.clone());
                    claimants.push((claim, path));
                }
                (Wish::Any, None) | (Wish::Unreadable, _) => complete = false,
            }
        };
        for node in &nodes {
            ask(
                Kind::Node,
                node.name.as_ref(),
                join(&node.path, "address"),
                node.address,
            );
            if let Some(bmc) = &node.bmc {
                ask(
                    Kind::Bmc,
                    node.name.as_ref(),
                    join(&node.path, "bmc.address"),
                    bmc.address,
                );
            }
        }
        for host in &lan.hosts {
            ask(
                Kind::Host,
                host.name.as_ref(),
                join(&host.path, "address"),
                host.address,
            );
        }
        let bootstrap = OwnAddresses::bootstrap(&lan, &fixed);
        fixed.extend(bootstrap.map(|(address, usual)| Fixed {
            path: "spec.lan.addresses.bootstrap".to_owned(),
            who: "the bootstrap machine".to_owned(),
            address,
            usual,
        }));
        self.fixed(&lan, &fixed);

        let subnet = lan.subnet?;
        let dynamic_range = lan.dynamic_range?;
        let places = addresses::Places::new(subnet, dynamic_range);
        let taken: BTreeSet<Ipv4Addr> = fixed.iter().map(|fixed| fixed.address).collect();
        let given = addresses::give(&places, &taken, claims);
        let mut left: Vec<String> = claimants
            .iter()
            .map(|(claim, _)| claim)
            .filter(|claim| !given.contains_key(claim))
            .map(who)
            .collect();
        if lan.bootstrap == Wish::Any && bootstrap.is_none() {
            left.push("the bootstrap machine".to_owned());
        }
        self.left_over(subnet, dynamic_range, &places, &left);
        for (claim, path) in &claimants {
            if let Some(given) = given.get(claim).filter(|given| given.sent_on) {
                self.sent_on(claim, path, *given);
            }
        }
        let of = |kind, name: &HostName, wish| match wish {
            Wish::At(address) => Some(address),
            Wish::Any => given
                .get(&Claim {
                    kind,
                    name: name.to_string(),
                })
                .map(|given| given.address),
            Wish::Unreadable => None,
        };

        let mut hosts = BTreeMap::new();
        for host in lan.hosts {
            let name = host.name?;
            let address = of(Kind::Host, &name, host.address)?;
            let mac = host.mac;
            hosts.insert(name.clone(), site::ExtraHost { name, mac, address });
        }
        let mut checked = BTreeMap::new();
        for draft in nodes {
            let mut node = draft.node?;
            node.address = of(Kind::Node, &node.name, draft.address)?;
            node.bmc = match draft.bmc {
                None => None,
                Some(bmc) => Some(site::Bmc {
                    address: of(Kind::Bmc, &node.name, bmc.address)?,
                    scheme: bmc.scheme,
                    mac: bmc.mac,
                    credentials_ref: bmc.credentials_ref,
                }),
            };
            checked.insert(node.name.clone(), node);
        }
        let lan = site::Lan {
            interfaces: lan.interfaces,
            subnet,
            mtu: lan.mtu,
            dynamic_range,
            ignored_macs: lan.ignored_macs.into_iter().map(|(_, mac)| mac).collect(),
            addresses: site::LanAddresses {
                bastion: own.bastion?,
                api: own.api?,
                ingress: own.ingress?,
                bootstrap: bootstrap?.0,
            },
            hosts,
            firewall: lan.firewall,
        };
        Some((lan, checked)).filter(|_| complete)
    }

    /// Every fixed address is a host's, in the subnet, outside of the dynamic range, and nobody else's.
    fn fixed(&mut self, lan: &LanDraft, fixed: &[Fixed]) {
        let Some(subnet) = lan.subnet else { return };
        let hosts = subnet
            .hosts()
            .map(|hosts| format!("the subnet's hosts are {hosts}"))
            .unwrap_or_default();
        let mut owners: BTreeMap<Ipv4Addr, &Fixed> = BTreeMap::new();
        let mut covered = Vec::new();
        for new in fixed {
            let Fixed {
                path,
                who,
                address,
                usual,
            } = new;
            if !subnet.contains(*address) {
                let what = format!("{address} for {who} is not in the subnet {subnet}");
                self.error(Code::AddressOutsideSubnet, path, what, hosts.clone());
            } else if *address == subnet.network() || *address == subnet.broadcast() {
                let kind = if *address == subnet.network() {
                    "network"
                } else {
                    "broadcast"
                };
                let what = format!("{address} for {who} is the {kind} address of {subnet}");
                self.error(Code::AddressReserved, path, what, hosts.clone());
            } else if let Some(other) = owners.get(address) {
                let what = format!("{address} for {who} is the address of {} already", other.who);
                let hint = match (other.usual, self.places.mark(&other.path).line) {
                    (true, _) => format!("choose another, or move {} by `{}`", other.who, other.path),
                    (false, line) => format!("give each its own; the first is on line {line}"),
                };
                self.error(Code::DuplicateAddress, path, what, hint);
            } else if let Some(range) = lan.dynamic_range.filter(|range| range.contains(*address)) {
                if *usual && self.places.has(RANGE) {
                    covered.push(format!("{address} of {who}"));
                } else {
                    self.in_dynamic_range(path, who, *address, range);
                }
            } else {
                owners.insert(*address, new);
            }
        }
        if let Some(range) = lan.dynamic_range.filter(|_| !covered.is_empty()) {
            let what = format!("the range {range} takes in {}", covered.join(" and "));
            let hint = "shrink it, or set other `spec.lan.addresses`";
            self.error(Code::AddressInDynamicRange, RANGE, what, hint);
        }
    }

    fn in_dynamic_range(&mut self, path: &str, who: &str, address: Ipv4Addr, range: Range) {
        let what = format!("{address} for {who} is in the dynamic range {range}");
        let hint = if self.places.has(RANGE) {
            "DHCP could lease it to someone else: move it, or shrink `dynamicRange`"
        } else {
            "DHCP could lease it to someone else: move it, or set `spec.lan.dynamicRange`, which is the upper half of the subnet by default"
        };
        self.error(Code::AddressInDynamicRange, path, what, hint);
    }

    /// Tells who has no address.
    fn left_over(&mut self, subnet: Subnet, range: Range, places: &addresses::Places, left: &[String]) {
        if left.is_empty() {
            return;
        }
        let shown: Vec<&str> = left.iter().map(String::as_str).take(5).collect();
        let more = if left.len() > shown.len() {
            format!(" and {} more", left.len() - shown.len())
        } else {
            String::new()
        };
        let room = places.len();
        let what = format!(
            "{subnet} has {room} addresses outside of the dynamic range {range}, and this site needs {}: none is left for {}{more}",
            room + left.len() as u64,
            shown.join(", "),
        );
        let hint = "take a larger subnet or a smaller `dynamicRange`; the bastion, the API, the bootstrap machine and each node, BMC and host need one address";
        let stated = ["spec.lan.subnet", RANGE]
            .into_iter()
            .find(|path| self.places.has(path));
        self.error(Code::SubnetTooSmall, stated.unwrap_or("spec.lan"), what, hint);
    }

    fn sent_on(&mut self, claim: &Claim, path: &str, given: Given) {
        let address = given.address;
        let what = format!(
            "{} gets {address}, because another host has the address that follows from its name; it may move when hosts are added",
            who(claim)
        );
        let hint = match claim.kind {
            Kind::Node | Kind::Host => format!("add `address: {address}` to keep it"),
            Kind::Bmc => format!("add `address: \"redfish+https://{address}\"` below `bmc` to keep it"),
        };
        self.warn(Code::AddressByCollision, path, what, hint);
    }
}

fn who(claim: &Claim) -> String {
    match claim.kind {
        Kind::Node | Kind::Host => claim.name.clone(),
        Kind::Bmc => format!("{}-mgmt", claim.name),
    }
}

/// The addresses of the site itself, as far as they could be read.
struct OwnAddresses {
    bastion: Option<Ipv4Addr>,
    api: Option<Ipv4Addr>,
    ingress: Option<Ipv4Addr>,
}

impl OwnAddresses {
    /// What the file says, or else the first addresses of the subnet that it does not give to another of them.
    fn of(lan: &LanDraft) -> Option<Self> {
        let network = lan.subnet?.network().to_bits();
        let mut stated: BTreeSet<Ipv4Addr> = [lan.bastion, lan.api, lan.ingress, lan.bootstrap]
            .into_iter()
            .filter_map(|wish| {
                if let Wish::At(address) = wish {
                    Some(address)
                } else {
                    None
                }
            })
            .collect();
        let mut or_first_from = |wish, nth: u32| match wish {
            Wish::At(address) => Some(address),
            Wish::Unreadable => None,
            Wish::Any => {
                let places = (nth..nth + 5)
                    .chain(1..nth)
                    .map(|nth| Ipv4Addr::from_bits(network + nth));
                places.into_iter().find(|place| stated.insert(*place))
            }
        };
        let bastion = or_first_from(lan.bastion, 1);
        let api = or_first_from(lan.api, 2);
        let ingress = if lan.ingress == Wish::Any {
            api
        } else {
            or_first_from(lan.ingress, 2)
        };
        Some(Self {
            bastion,
            api,
            ingress,
        })
    }

    fn fixed(&self, lan: &LanDraft) -> Vec<Fixed> {
        let of = |key: &str, who: &str, address: Option<Ipv4Addr>, wish| {
            let usual = wish == Wish::Any;
            address.map(|address| Fixed {
                path: format!("spec.lan.addresses.{key}"),
                who: who.to_owned(),
                address,
                usual,
            })
        };
        // A virtual IP may be that of the other, or the bastion's own.
        let api = self.api.filter(|address| Some(*address) != self.bastion);
        let ingress = self
            .ingress
            .filter(|address| ![self.api, self.bastion].contains(&Some(*address)));
        [
            of("bastion", "the bastion", self.bastion, lan.bastion),
            of("api", "the API", api, lan.api),
            of("ingress", "the ingress", ingress, lan.ingress),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The bootstrap machine's address, and whether it is the usual one. It is only there for a while, so
    /// that it gives way to whatever the file says.
    fn bootstrap(lan: &LanDraft, fixed: &[Fixed]) -> Option<(Ipv4Addr, bool)> {
        match lan.bootstrap {
            Wish::At(address) => return Some((address, false)),
            Wish::Unreadable => return None,
            Wish::Any => (),
        }
        let subnet = lan.subnet?;
        let taken: BTreeSet<Ipv4Addr> = fixed.iter().map(|fixed| fixed.address).collect();
        let third = Ipv4Addr::from_bits(subnet.network().to_bits() + 3);
        let places = addresses::Places::new(subnet, lan.dynamic_range?);
        if places.contains(third) && !taken.contains(&third) {
            return Some((third, true));
        }
        places.last_free(&taken).map(|place| (place, true))
    }
}
