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
        let to = Match::Destination(true, Addresses::each(servers));
        vec![
            to,
            short_questions(&[DHCP_SERVER, DHCP_CLIENT], Side::Destination),
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
    let judged = [
        Rule::new(
            vec![Match::Source(false, Addresses::of([site.lan.subnet]))],
            Verdict::Drop,
            "spoofed: not an address of the LAN",
        ),
        Rule::new(
            vec![Match::Destination(true, cluster(site))],
            Verdict::Drop,
            "to pods or services, which are not out there",
        ),
        Rule::new(
            vec![
                Match::Destination(true, bastion()),
                short_questions(&[DNS, NTP], Side::Destination),
            ],
            Verdict::NotTracked,
            "short questions",
        ),
    ];
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
    let (outside_in, nowhere) = (Addresses::of(inside), Addresses::of(nowhere));
    vec![
        Rule::new(
            vec![Match::Source(true, outside_in)],
            Verdict::Drop,
            "spoofed: an address of the inside",
        ),
        Rule::new(
            vec![Match::Source(true, nowhere)],
            Verdict::Drop,
            "spoofed: an address that nobody sends from",
        ),
        Rule::new(
            vec![Match::Destination(true, cluster(site))],
            Verdict::Drop,
            "to pods or services",
        ),
        Rule::new(
            vec![ports(Tcp, &[MACHINE_CONFIG])],
            Verdict::Drop,
            "machine config has secrets: never for the uplink",
        ),
    ]
}
