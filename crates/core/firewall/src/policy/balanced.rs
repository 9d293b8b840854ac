//! The virtual IPs: who may come in by which door, and who is told that nobody is behind it.
//!
//! A door leads first packets to a slot's backend. What is not led comes to the bastion itself: because no slot
//! has a backend, or because it belongs to a connection whose entry was deleted when its backend died. Both are
//! told at once, by a reset, so that nobody waits for what will not come.

use std::net::Ipv4Addr;

use faros_balancer::{Affinity, Service, services, virtual_addresses};
use faros_model::{
    plan,
    ports::{INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API},
    site::{
        GatewayMode, LanService, LanSource, PublishedTarget, Site,
        Transport::{self, Tcp, Udp},
    },
};

use super::{
    groups::{Groups, lan_services},
    ports,
};
use crate::rules::{Addresses, Balanced, Direction, Match, PortRange, Rule, Side, Verdict};

/// A way in to a service.
pub(super) struct Door {
    when: Vec<Match>,
    service: String,
    transport: Transport,
    affinity: Affinity,
}

impl Door {
    fn of(service: &Service, when: Vec<Match>) -> Self {
        Self {
            // Ports first: most packets are not for them.
            when: [vec![ports(service.transport, &[service.port])], when].concat(),
            service: service.name.clone(),
            transport: service.transport,
            affinity: service.affinity,
        }
    }

    fn opening(&self) -> Vec<Match> {
        let mut when = self.when.clone();
        if self.transport == Tcp {
            // What is in the middle of a connection that nobody knows is not led anywhere.
            when.push(Match::Opening);
        }
        when
    }
}

/// The services that are balanced at a site.
pub(super) fn balanced(site: &Site) -> Vec<Balanced> {
    let of = |service: Service| Balanced {
        service: service.name,
        transport: service.transport,
        backends: service.backends.iter().map(|own| own.address).collect(),
    };
    running(site).into_iter().map(of).collect()
}

fn running(site: &Site) -> Vec<Service> {
    if site.runs(plan::Service::Balancer) {
        services(site)
    } else {
        vec![]
    }
}

/// The ways in from the LAN.
pub(super) fn lan_doors(site: &Site, groups: &Groups) -> Vec<Door> {
    let mut doors = Vec::new();
    for service in running(site) {
        let Some(vip) = service.vip else { continue };
        let needs = match service.name.as_str() {
            "api" => Some(LanService::Api),
            "machine-config" => None,
            _ => Some(LanService::Ingress),
        };
        let from: Vec<LanSource> = match needs {
            // It has secrets of the cluster, without a password.
            None => vec![LanSource::Nodes],
            Some(needs) => {
                let allowed = lan_services(site).into_iter();
                let allowed = allowed.filter(|(_, services)| services.contains(&needs));
                allowed.map(|(source, _)| source).collect()
            }
        };
        for source in from.into_iter().filter_map(|source| groups.source(source)) {
            let to = Match::Destination(true, Addresses::each([vip]));
            doors.push(Door::of(&service, vec![source, to]));
        }
    }
    doors
}

/// The ways in from the uplink: what is published, and in gateway mode `nat` what trusted networks need.
pub(super) fn uplink_doors(site: &Site) -> Vec<Door> {
    let all = running(site);
    let mut doors = Vec::new();
    for published in site.uplink.publish.iter().filter(|one| !one.from.is_empty()) {
        let service = match &published.what {
            PublishedTarget::Ssh | PublishedTarget::Console => None,
            PublishedTarget::Api => find(&all, Tcp, KUBERNETES_API),
            PublishedTarget::IngressHttp => find(&all, Tcp, INGRESS_HTTP),
            PublishedTarget::IngressHttps => find(&all, Tcp, INGRESS_HTTPS),
            PublishedTarget::Port { name, .. } => all
                .iter()
                .rev()
                .find(|own| own.name == name.as_str() || own.name == format!("port-{name}")),
        };
        let from = Match::Source(true, Addresses::of(published.from.iter().copied()));
        doors.extend(service.map(|service| Door::of(service, vec![Match::ToBastion, from])));
    }
    let trusted = Addresses::of(site.uplink.trusted_networks.iter().copied());
    if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
        for service in [KUBERNETES_API, INGRESS_HTTP, INGRESS_HTTPS] {
            let Some(service) = find(&all, Tcp, service) else {
                continue;
            };
            let Some(vip) = service.vip else { continue };
            let from = Match::Source(true, trusted.clone());
            let to = Match::Destination(true, Addresses::each([vip]));
            doors.push(Door::of(service, vec![from, to]));
        }
    }
    doors
}

fn find(services: &[Service], transport: Transport, port: u16) -> Option<&Service> {
    services
        .iter()
        .find(|own| (own.transport, own.port) == (transport, port))
}

/// Leads first packets by these doors.
pub(super) fn leading(by: &Match, doors: &[Door]) -> Vec<Rule> {
    let rule = |door: &Door| {
        let then = Verdict::Spread(door.service.clone(), door.affinity);
        Rule::new([vec![by.clone()], door.opening()].concat(), then, "")
    };
    doors.iter().map(rule).collect()
}

/// Leads what the bastion itself asks the virtual IPs for.
pub(super) fn asking(site: &Site) -> Vec<Rule> {
    let with_vip = running(site).into_iter().filter_map(|own| Some((own.vip?, own)));
    with_vip
        .map(|(vip, service)| {
            let door = Door::of(&service, vec![Match::Destination(true, Addresses::each([vip]))]);
            Rule::new(door.opening(), Verdict::Spread(door.service, door.affinity), "")
        })
        .collect()
}

/// Tells whoever came by these doors and was not led on.
pub(super) fn not_led(doors: &[Door]) -> Vec<Rule> {
    let rule = |door: &Door| {
        let then = match door.transport {
            Tcp => Verdict::Reset,
            Udp => Verdict::Refuse,
        };
        Rule::new(
            door.when.clone(),
            then,
            format!("nobody is there: {}", door.service),
        )
    };
    doors.iter().map(rule).collect()
}

/// Counts what goes to backends and comes from them.
pub(super) fn counted() -> Vec<Rule> {
    [Direction::There, Direction::Back]
        .map(|way| Rule::new(vec![Match::Way(way)], Verdict::CountFor(way), ""))
        .into()
}

/// What the bastion sends in the name of its services is no connection of its own; and nobody on the LAN is to
/// be told that there is a shorter way than by the virtual IP.
pub(super) fn in_their_name(site: &Site, to_lan: &Match, to_uplink: &Match) -> Vec<Rule> {
    let all = running(site);
    if all.is_empty() {
        return vec![];
    }
    let of = |ports: Vec<u16>| {
        let mut ports: Vec<PortRange> = ports.into_iter().map(PortRange::from).collect();
        ports.sort_unstable();
        ports.dedup();
        Match::Ports(Tcp, Side::Source, ports)
    };
    let own = |zone: &Match, from: Vec<Match>, ports: Vec<u16>| {
        let when = [vec![zone.clone()], from, vec![of(ports)]].concat();
        Rule::new(when, Verdict::NotTracked, "asking who is still there")
    };
    let vips: Vec<Ipv4Addr> = all.iter().filter_map(|own| own.vip).collect();
    let on_lan = all.iter().filter(|own| own.vip.is_some() && own.transport == Tcp);
    let outside: Vec<u16> = all
        .iter()
        .filter(|own| own.transport == Tcp && own.name != "machine-config")
        .map(|own| own.port)
        .collect();
    let mut rules = vec![
        Rule::new(
            vec![to_lan.clone(), Match::Redirect],
            Verdict::Drop,
            "the way by the virtual IP is the right one",
        ),
        own(
            to_lan,
            vec![Match::Source(true, Addresses::each(vips))],
            on_lan.map(|own| own.port).collect(),
        ),
    ];
    if !uplink_doors(site).is_empty() {
        rules.push(own(to_uplink, vec![], outside));
    }
    rules
}

/// Machines of the LAN that come by a virtual IP come as the bastion to the backend: the way back is by it, too,
/// even for who was led to itself.
pub(super) fn hairpin(site: &Site, to_lan: &Match) -> Option<Rule> {
    let lan = Match::Source(true, Addresses::of([site.lan.subnet]));
    let then = Verdict::LeaveAs(site.lan.addresses.bastion);
    let when = vec![to_lan.clone(), lan, Match::WasPublished];
    site.runs(plan::Service::Balancer)
        .then(|| Rule::new(when, then, "the way back is by the bastion"))
}

/// The addresses that stand before all services on the LAN.
pub(super) fn to_virtual_addresses(site: &Site) -> Option<Match> {
    let own = site.lan.addresses.bastion;
    let vips = virtual_addresses(site).into_iter();
    // One that is the bastion's own is a virtual one, too.
    let own = [site.lan.addresses.api, site.lan.addresses.ingress]
        .contains(&own)
        .then_some(own);
    site.runs(plan::Service::Balancer)
        .then(|| Match::Destination(true, Addresses::each(vips.chain(own))))
}
