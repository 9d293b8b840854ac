//! What is for the bastion itself.

use faros_model::{
    plan::Service,
    ports::{CONSOLE, DHCP_CLIENT, DHCP_SERVER, MACHINE_CONFIG, SSH},
    site::{
        LanService, LanSource, PublishedTarget, Site,
        Transport::{Tcp, Udp},
    },
};

use super::{
    balanced::{not_led, to_virtual_addresses, uplink_doors},
    groups::{Groups, group_name, lan_services, open_ports},
    ports,
};
use crate::rules::{Addresses, Match, Rule, Side, Verdict};

pub(super) fn input_lan(site: &Site, groups: &Groups) -> Vec<Rule> {
    let to_vips = to_virtual_addresses(site).map(|to| Rule::new(vec![to], Verdict::Jump("not_led"), ""));
    let mut rules: Vec<Rule> = to_vips.into_iter().collect();
    rules.extend([
        Rule::new(vec![], Verdict::ByConnection, ""),
        Rule::new(vec![Match::AnyIcmp], Verdict::Goto("pings"), ""),
    ]);
    let services = lan_services(site);
    let is_balanced = site.runs(Service::Balancer);
    // Who asks for an address may have none, so that addresses cannot tell them apart; and what other servers offer
    // to clients is to be noticed.
    if services
        .values()
        .any(|services| services.contains(&LanService::Dhcp))
    {
        rules.push(Rule::new(
            vec![ports(Udp, &[DHCP_SERVER, DHCP_CLIENT])],
            Verdict::Accept,
            "dhcp",
        ));
    }
    for (source, services) in &services {
        let Some(from) = groups.source(*source) else {
            continue;
        };
        for transport in [Udp, Tcp] {
            let mut open: Vec<u16> = open_ports(site, services)
                .into_iter()
                .filter(|(own, _)| *own == transport)
                .map(|(_, port)| port)
                .collect();
            open.sort_unstable();
            open.dedup();
            if !open.is_empty() {
                let why = group_name(*source);
                rules.push(Rule::new(
                    vec![from.clone(), ports(transport, &open)],
                    Verdict::Accept,
                    why,
                ));
            }
        }
    }
    let has_machine_config = !is_balanced && site.cluster.distribution.has_machine_config();
    if let Some(nodes) = groups.source(LanSource::Nodes).filter(|_| has_machine_config) {
        rules.push(Rule::new(
            vec![nodes, ports(Tcp, &[MACHINE_CONFIG])],
            Verdict::Accept,
            "machine config, for nodes alone",
        ));
    }
    rules.push(Rule::new(vec![], Verdict::Drop, "not for the LAN"));
    rules
}

pub(super) fn input_uplink(site: &Site) -> Vec<Rule> {
    let client = Match::Ports(Udp, Side::Destination, vec![DHCP_CLIENT.into()]);
    let server = Match::Ports(Udp, Side::Source, vec![DHCP_SERVER.into()]);
    let mut rules = not_led(&uplink_doors(site));
    rules.extend([
        Rule::new(vec![], Verdict::ByConnection, ""),
        Rule::new(vec![Match::AnyIcmp], Verdict::Goto("pings"), ""),
        Rule::new(vec![server, client], Verdict::Accept, "the uplink's own address"),
    ]);
    for published in site.uplink.publish.iter().filter(|one| !one.from.is_empty()) {
        let (port, why) = match &published.what {
            PublishedTarget::Ssh => (SSH, "ssh"),
            PublishedTarget::Console => (CONSOLE, "console"),
            PublishedTarget::Api
            | PublishedTarget::IngressHttp
            | PublishedTarget::IngressHttps
            | PublishedTarget::Port { .. } => continue,
        };
        let from = Match::Source(true, Addresses::of(published.from.iter().copied()));
        rules.push(Rule::new(
            vec![from, ports(Tcp, &[port])],
            Verdict::Accept,
            format!("published: {why}"),
        ));
    }
    rules.push(Rule::new(vec![], Verdict::Drop, "not published"));
    rules
}
