//! What passes through, and where published ports lead.

use std::net::SocketAddrV4;

use faros_model::{
    plan::Service,
    ports::{INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, MACHINE_CONFIG},
    site::{
        GatewayMode, LanSource, Published, PublishedTarget, Role, Site,
        Transport::{self, Tcp, Udp},
    },
};

use super::{groups::Groups, ports};
use crate::rules::{Addresses, Match, PortRange, Rule, Side, Verdict};

pub(super) fn forward_to_lan(site: &Site, groups: &Groups, lan: &Match, uplink: &Match) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(vec![], Verdict::ByConnection, ""),
        Rule::new(
            vec![uplink.clone(), ports(Tcp, &[MACHINE_CONFIG])],
            Verdict::Drop,
            "machine config has secrets: never for the uplink",
        ),
        Rule::new(
            vec![uplink.clone(), Match::WasPublished],
            Verdict::Accept,
            "published",
        ),
    ];
    if site.runs(Service::Balancer) {
        rules.push(Rule::new(
            vec![lan.clone(), Match::WasPublished],
            Verdict::Accept,
            "balanced",
        ));
    }
    if site.lan.interfaces.len() > 1 {
        // With `br_netfilter`, which Docker loads, what a bridge carries comes by here.
        let why = "between parts of the LAN";
        rules.push(Rule::new(vec![lan.clone()], Verdict::Accept, why));
    }
    let trusted = Addresses::of(site.uplink.trusted_networks.iter().copied());
    if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
        let from = || [uplink.clone(), Match::Source(true, trusted.clone())];
        let mut rule = |more: Vec<Match>, then, why: &str| {
            rules.push(Rule::new([from().to_vec(), more].concat(), then, why));
        };
        rule(vec![Match::AnyIcmp], Verdict::Goto("pings"), "");
        let nodes = Match::Destination(true, Addresses::each(groups.nodes.iter().copied()));
        let from_outside = faros_ports::from_outside(site);
        for transport in [Tcp, Udp] {
            let own = from_outside.iter().filter(|(own, _)| *own == transport);
            let open: Vec<PortRange> = own.map(|(_, ports)| *ports).collect();
            if open.is_empty() {
                continue;
            }
            let open = Match::Ports(transport, Side::Destination, open);
            rule(
                vec![nodes.clone(), open],
                Verdict::Accept,
                "trusted networks to nodes",
            );
        }
    }
    rules.push(Rule::new(vec![], Verdict::Drop, "not for the LAN's machines"));
    rules
}

pub(super) fn forward_from_lan(groups: &Groups, to_uplink: &Match) -> Vec<Rule> {
    let mut rules = vec![Rule::new(vec![], Verdict::ByConnection, "")];
    rules.extend(groups.source(LanSource::Bmcs).map(|bmcs| {
        let why = "BMCs have no business in the outside world";
        Rule::new(vec![bmcs], Verdict::Drop, why)
    }));
    rules.push(Rule::new(vec![to_uplink.clone()], Verdict::Accept, "the way out"));
    rules.push(Rule::new(vec![], Verdict::Drop, "the LAN has one way out"));
    rules
}

/// Where a published service leads: `None` if it is the bastion itself.
pub(crate) fn leads_to(site: &Site, published: &Published) -> Option<(Transport, u16, Vec<SocketAddrV4>)> {
    let of_role = |role: Role, port: u16| {
        let nodes = site.nodes.values().filter(|node| node.roles.contains(&role));
        nodes
            .map(|node| SocketAddrV4::new(node.address, port))
            .collect::<Vec<_>>()
    };
    let ingress = |port| {
        let workers = of_role(Role::Worker, port);
        let to = if workers.is_empty() {
            of_role(Role::ControlPlane, port)
        } else {
            workers
        };
        (Tcp, port, to)
    };
    match &published.what {
        PublishedTarget::Ssh | PublishedTarget::Console => None,
        PublishedTarget::Api => Some((Tcp, KUBERNETES_API, of_role(Role::ControlPlane, KUBERNETES_API))),
        PublishedTarget::IngressHttp => Some(ingress(INGRESS_HTTP)),
        PublishedTarget::IngressHttps => Some(ingress(INGRESS_HTTPS)),
        PublishedTarget::Port {
            protocol, port, to, ..
        } => Some((*protocol, *port, to.clone())),
    }
}

/// Where the uplink's first packets are led, where no balancer does it: to nodes in turn, however they are.
pub(super) fn published(site: &Site, uplink: &Match) -> Vec<Rule> {
    let open = site.uplink.publish.iter().filter(|one| !one.from.is_empty());
    open.filter_map(|published| {
        let (transport, port, to) = leads_to(site, published).filter(|(_, _, to)| !to.is_empty())?;
        let when = vec![
            uplink.clone(),
            Match::ToBastion,
            Match::Source(true, Addresses::of(published.from.iter().copied())),
            ports(transport, &[port]),
        ];
        Some(Rule::new(when, Verdict::LeadTo(to), ""))
    })
    .collect()
}

/// Nodes go out with the bastion's address; to trusted networks that route back, with their own.
pub(super) fn leaving(site: &Site, to_uplink: Match) -> Rule {
    let lan = Match::Source(true, Addresses::of([site.lan.subnet]));
    let trusted = Addresses::of(site.uplink.trusted_networks.iter().copied());
    let mut when = vec![to_uplink, lan];
    if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
        when.push(Match::Destination(false, trusted));
    }
    Rule::new(when, Verdict::Masquerade, "")
}
