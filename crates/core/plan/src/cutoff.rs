//! Whether a change could cut off whoever makes it.
//!
//! Nobody here knows by which way the operator came: over the uplink, from the LAN, through a route that only the
//! gateway mode gives. So each way that a site gave and its successor may not give is one that the operator may be
//! on. What only opens ways, cuts nobody off.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_firewall::{fixed_address, group_name, inside, lan_services, network_list};
use faros_model::{
    net::Subnet,
    plan::{Change, ChangeKind, Impact, Service},
    site::{GatewayMode, InterfaceRef, LanService, LanSource, PublishedTarget, Site, UplinkAddressing},
};

/// The ways that may be lost from `before`, which runs, to `wanted`; none if the operator stays connected.
pub fn cuts_off(before: Option<&Site>, wanted: &Site) -> Vec<Change> {
    let mut cuts = Cuts::default();
    if let Some(before) = before {
        cuts.lan(before, wanted);
    }
    let routed = before.filter(|before| before.runs(Service::Router));
    match (routed, wanted.runs(Service::Router)) {
        (None, true) => cuts.begins(wanted),
        (Some(before), true) => {
            cuts.uplink(before, wanted);
            cuts.lists(before, wanted);
        }
        // Without the router's rules everything is let in, but not by what the router itself gave.
        (Some(before), false) => cuts.ends(before),
        (None, false) => (),
    }
    cuts.0
}

#[derive(Default)]
struct Cuts(Vec<Change>);

impl Cuts {
    fn add(&mut self, subject: &str, from: String, to: String, reason: &str) {
        self.0.push(Change {
            kind: ChangeKind::Change,
            subject: subject.to_owned(),
            from,
            to,
            impact: Impact::None,
            reason: reason.to_owned(),
        });
    }

    /// As [`Self::add`], if they differ.
    fn differ(&mut self, subject: &str, from: String, to: String, reason: &str) {
        if from != to {
            self.add(subject, from, to, reason);
        }
    }

    /// As [`Self::add`], if someone who was let in no longer is.
    fn narrower(&mut self, subject: &str, from: &[Subnet], to: &[Subnet], reason: &str) {
        if !covers(to, from) {
            self.add(subject, network_list(from), network_list(to), reason);
        }
    }

    /// The router starts: until now the host let in whom it wanted.
    fn begins(&mut self, wanted: &Site) {
        let from = "whoever the host lets in".to_owned();
        let to = network_list(&published(wanted, &PublishedTarget::Ssh));
        let why = "from now on the uplink gets in only by what is published";
        self.add("ssh from the uplink", from, to, why);
    }

    /// The router ends, and with it what only it gave: an address, ways to nodes.
    fn ends(&mut self, before: &Site) {
        let off = || "the router is off".to_owned();
        if matches!(before.uplink.addressing, UplinkAddressing::Static { .. }) {
            let why = "the address and the way out that the site file gives the uplink go";
            self.add("uplink has", addressing(before), off(), why);
        }
        if before.uplink.gateway_mode == GatewayMode::Nat {
            let why = "nobody is routed to nodes any more";
            self.add("gateway mode is", "nat".to_owned(), off(), why);
        }
        for (subject, from) in ports(before) {
            let why = "nobody is led to it any more";
            self.add(&subject, network_list(&from), off(), why);
        }
    }

    fn lan(&mut self, before: &Site, wanted: &Site) {
        let on = |site: &Site| site.lan.interfaces.join(", ");
        let why = "whoever came in by the old interface may be cut off";
        self.differ("LAN is on", on(before), on(wanted), why);
        let is = |site: &Site| {
            let (address, subnet) = (site.lan.addresses.bastion, site.lan.subnet);
            format!("{address}/{}", subnet.prefix())
        };
        let why = "sessions to the old address end";
        self.differ("bastion on the LAN is", is(before), is(wanted), why);
    }

    fn uplink(&mut self, before: &Site, wanted: &Site) {
        let on = |site: &Site| match &site.uplink.interface {
            InterfaceRef::Name(name) => name.clone(),
            InterfaceRef::Mac(mac) => mac.to_string(),
        };
        let why = "the rules of the uplink move to another interface";
        self.differ("uplink is on", on(before), on(wanted), why);
        let why = "sessions to the old address end, and the way back may be another";
        self.differ("uplink has", addressing(before), addressing(wanted), why);
        let mode = |site: &Site| match site.uplink.gateway_mode {
            GatewayMode::Pat => "pat".to_owned(),
            GatewayMode::Nat => "nat".to_owned(),
        };
        let why = "who is routed to nodes, and as whom nodes are seen, is another";
        self.differ("gateway mode is", mode(before), mode(wanted), why);
        let (from, to) = (&before.uplink.trusted_networks, &wanted.uplink.trusted_networks);
        self.narrower("trusted are", from, to, "new connections of others are dropped");
        // What an operator works through.
        for (what, name) in [
            (PublishedTarget::Ssh, "ssh from the uplink"),
            (PublishedTarget::Console, "console from the uplink"),
            (PublishedTarget::Api, "API from the uplink"),
        ] {
            let why = "new connections of whoever is shut out are dropped";
            self.narrower(name, &published(before, &what), &published(wanted, &what), why);
        }
        let now = ports(wanted);
        for (subject, from) in ports(before) {
            let why = "new connections of whoever is shut out are dropped";
            let to = now.get(&subject).map_or(&[][..], Vec::as_slice);
            self.narrower(&subject, &from, to, why);
        }
        let networks = |site| inside(site).map(|(network, _)| network);
        let (from, to) = (networks(before), networks(wanted));
        if !covers(&from, &to) {
            let why = "from the uplink, senders with such an address are taken for forged";
            self.add("inside are", network_list(&from), network_list(&to), why);
        }
    }

    /// Who of the LAN may log in.
    fn lists(&mut self, before: &Site, wanted: &Site) {
        let (from, to) = (lan_services(before), lan_services(wanted));
        for service in [LanService::Ssh, LanService::Console] {
            let has = |list: &Lists, source: &LanSource| {
                let own = list.get(source);
                own.is_some_and(|allowed| allowed.contains(&service))
            };
            let lost = from
                .keys()
                .filter(|source| has(&from, source) && !has(&to, source));
            let groups = lost.map(|source| group_name(*source));
            // A machine may be in another group than it was, though the groups may do what they did.
            let known: BTreeSet<Ipv4Addr> =
                machines(before).into_iter().map(|(address, _)| address).collect();
            let may = |site: &Site, list: &Lists, address| {
                let mut own = sources(site, list, address).into_iter();
                own.any(|source| has(list, &source))
            };
            let moved = known.into_iter().filter(|address| {
                let was_in = sources(before, &from, *address);
                let is_told = was_in
                    .iter()
                    .any(|source| has(&from, source) && !has(&to, source));
                !is_told && may(before, &from, *address) && !may(wanted, &to, *address)
            });
            let lost: Vec<String> = groups.chain(moved.map(|address| address.to_string())).collect();
            if !lost.is_empty() {
                let subject = format!("{} from the LAN", service.as_str());
                let why = "new connections of these are dropped";
                self.add(&subject, lost.join(", "), "not these".to_owned(), why);
            }
        }
    }
}

/// Who of the LAN may use what.
type Lists = BTreeMap<LanSource, Vec<LanService>>;

/// The machines of a site, and the group that each is in.
fn machines(site: &Site) -> Vec<(Ipv4Addr, LanSource)> {
    let nodes = site.nodes.values().map(|node| (node.address, LanSource::Nodes));
    let bmcs = site.nodes.values().filter_map(|node| node.bmc.as_ref());
    let bmcs = bmcs.map(|bmc| (bmc.address, LanSource::Bmcs));
    let hosts = site
        .lan
        .hosts
        .values()
        .map(|host| (host.address, LanSource::Hosts));
    nodes.chain(bmcs).chain(hosts).collect()
}

/// All that a machine with this address is for a list.
fn sources(site: &Site, list: &Lists, address: Ipv4Addr) -> Vec<LanSource> {
    let groups = machines(site).into_iter().filter(|(own, _)| *own == address);
    let mut found: Vec<LanSource> = groups.map(|(_, source)| source).collect();
    if found.is_empty() {
        found.push(LanSource::Unknown);
    }
    let of_network = |source: &&LanSource| matches!(source, LanSource::Network(net) if net.contains(address));
    found.extend(list.keys().filter(of_network));
    found
}

/// The operator's own ports on the uplink, each with where it leads, and who may come in.
fn ports(site: &Site) -> BTreeMap<String, Vec<Subnet>> {
    let own = site.uplink.publish.iter().filter_map(|one| match &one.what {
        PublishedTarget::Port {
            protocol, port, to, ..
        } => {
            let to: Vec<String> = to.iter().map(ToString::to_string).collect();
            let subject = format!("port {port}/{} to {}", protocol.as_str(), to.join(", "));
            Some((subject, one.from.clone()))
        }
        _ => None,
    });
    own.collect()
}

/// Whether all addresses of `these` are in `nets`.
fn covers(nets: &[Subnet], these: &[Subnet]) -> bool {
    let within = |own: &Subnet, net: &Subnet| net.prefix() <= own.prefix() && net.contains(own.network());
    these.iter().all(|own| nets.iter().any(|net| within(own, net)))
}

fn published(site: &Site, what: &PublishedTarget) -> Vec<Subnet> {
    let own = site.uplink.publish.iter().filter(|one| one.what == *what);
    own.flat_map(|one| one.from.iter().copied()).collect()
}

fn addressing(site: &Site) -> String {
    match &site.uplink.addressing {
        UplinkAddressing::Dhcp => "an address by DHCP".to_owned(),
        UplinkAddressing::Host => "what the host gives it".to_owned(),
        UplinkAddressing::Static {
            address,
            subnet,
            gateway,
        } => fixed_address(*address, *subnet, *gateway),
    }
}

#[cfg(test)]
mod tests;
