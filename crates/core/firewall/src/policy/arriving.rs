//! What arrives, before connections are looked up: senders that lie, and questions that need no connection.

use std::net::Ipv4Addr;

use faros_balancer::virtual_addresses;
use faros_model::{
    ids::MacAddr,
    net::Subnet,
    plan::Service,
    ports::{DHCP_CLIENT, DHCP_SERVER, DNS, MACHINE_CONFIG, NTP},
    site::{Site, Transport::Tcp},
};

use super::{cluster, ports, short_questions};
use crate::rules::{Addresses, Match, Rule, Side, Verdict};

pub(super) fn arriving_lan(site: &Site, bridge: &[MacAddr]) -> Vec<Rule> {
    let bastion = || Addresses::each([site.lan.addresses.bastion]);
    let mut own: Vec<Ipv4Addr> = vec![site.lan.addresses.bastion];
    if site.runs(Service::Balancer) {
        own.extend(virtual_addresses(site));
    }
    let own = Addresses::each(own);
    let servers = [
        site.lan.addresses.bastion,
        site.lan.subnet.broadcast(),
        Ipv4Addr::BROADCAST,
    ];
    let dhcp = || {
        // Ports first: most packets are not for them.
        vec![
            short_questions(&[DHCP_SERVER, DHCP_CLIENT], Side::Destination),
            Match::Destination(true, Addresses::each(servers)),
        ]
    };
    // With `br_netfilter` what a bridge carries between its parts comes by here; where a plug-in routes pods over the
    // LAN, it has their addresses.
    let past = (!bridge.is_empty()).then(|| {
        Rule::new(
            vec![Match::CarriedPast(bridge.to_vec())],
            Verdict::Return,
            "between parts of the LAN",
        )
    });
    let heard = vec![
        Rule::new(dhcp(), Verdict::NotTracked, ""),
        Rule::new(
            dhcp(),
            Verdict::Return,
            "who has no address yet, or a wrong one, and other servers",
        ),
        Rule::new(
            vec![Match::Source(true, own)],
            Verdict::Drop,
            "spoofed: an address of the bastion itself",
        ),
    ];
    let of_the_lan = Rule::new(
        vec![Match::Source(false, Addresses::of([site.lan.subnet]))],
        Verdict::Drop,
        "spoofed: not an address of the LAN",
    );
    let to = |network| Match::Destination(true, Addresses::of([network]));
    let why = "to pods or services, which are not out there";
    let astray = drop_each(cluster(site), to, why);
    let questions = Rule::new(
        vec![
            short_questions(&[DNS, NTP], Side::Destination),
            Match::Destination(true, bastion()),
        ],
        Verdict::NotTracked,
        "short questions",
    );
    let judged = [of_the_lan].into_iter().chain(astray).chain([questions]);
    heard.into_iter().chain(past).chain(judged).collect()
}

/// Networks whose addresses do not come from outside, and whose they are.
pub fn inside(site: &Site) -> [(Subnet, &'static str); 3] {
    [
        (site.lan.subnet, "the LAN"),
        (site.cluster.pod_network, "pods"),
        (site.cluster.service_network, "services"),
    ]
}

pub(super) fn arriving_uplink(site: &Site) -> Vec<Rule> {
    let nowhere = [
        Subnet::of(Ipv4Addr::LOCALHOST, 8),
        Subnet::of(Ipv4Addr::new(224, 0, 0, 0), 4),
    ];
    let inside = inside(site).map(|(network, _)| network);
    let from = |network| Match::Source(true, Addresses::of([network]));
    let to = |network| Match::Destination(true, Addresses::of([network]));
    let config = Rule::new(
        vec![ports(Tcp, &[MACHINE_CONFIG])],
        Verdict::Drop,
        "machine config has secrets: never for the uplink",
    );
    drop_each(inside, from, "spoofed: an address of the inside")
        .chain(drop_each(
            nowhere,
            from,
            "spoofed: an address that nobody sends from",
        ))
        .chain(drop_each(cluster(site), to, "to pods or services"))
        .chain([config])
        .collect()
}

/// Drops what has to do with these networks, by a rule for each: every packet comes by here, and a few comparisons
/// are quicker than to look into a set of networks.
fn drop_each(
    networks: impl IntoIterator<Item = Subnet>,
    has: impl Fn(Subnet) -> Match,
    why: &str,
) -> impl Iterator<Item = Rule> {
    let networks = networks.into_iter();
    networks.map(move |network| Rule::new(vec![has(network)], Verdict::Drop, why))
}
