//! The groups of the LAN's machines, and what each may use of the bastion.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::{
    plan::Service,
    site::{LanService, LanSource, Site, Transport},
};

use crate::rules::{Addresses, Match};

/// What a group of machines may use of the bastion: what the site file says, or what its role needs.
pub fn lan_services(site: &Site) -> BTreeMap<LanSource, Vec<LanService>> {
    use LanService::{Api, Console, Dhcp, Dns, Ignition, Ingress, Netboot, Ntp, Registry, Ssh, Unlock};
    let mut all: BTreeMap<LanSource, Vec<LanService>> = BTreeMap::new();
    match &site.lan.firewall {
        Some(rules) => {
            for rule in rules {
                for from in &rule.from {
                    all.entry(*from).or_default().extend(&rule.allow);
                }
            }
        }
        None => {
            // What boots is judged by the boot services themselves, which record whom they refuse.
            let boots = [Dhcp, Dns, Ntp, Netboot, Ignition, Unlock];
            // A technician's laptop gets an address of the dynamic range.
            let technician = [Ssh, Console, Api, Ingress];
            all.insert(LanSource::Nodes, [&boots[..], &[Api, Registry, Ingress]].concat());
            all.insert(LanSource::Bmcs, vec![Dhcp, Dns, Ntp, Netboot]);
            all.insert(LanSource::Hosts, [&boots[..], &technician].concat());
            all.insert(LanSource::Unknown, [&boots[..], &technician].concat());
        }
    }
    for services in all.values_mut() {
        services.sort_unstable();
        services.dedup();
        services.retain(|service| runs(site, *service));
    }
    all
}

/// Whether the bastion has such a service at all.
const fn runs(site: &Site, service: LanService) -> bool {
    match service {
        LanService::Dhcp => site.runs(Service::Dhcp),
        LanService::Dns => site.runs(Service::Dns),
        LanService::Netboot => site.runs(Service::Netboot),
        LanService::Ignition => site.runs(Service::Ignition),
        LanService::Unlock => site.runs(Service::Unlock),
        LanService::Ntp => site.runs(Service::Ntp),
        LanService::Ingress => site.runs(Service::Balancer),
        LanService::Registry => site.runs(Service::Registry),
        LanService::Ssh | LanService::Console | LanService::Api => true,
    }
}

/// The ports of a service of the bastion, as the matrix of ports has them.
fn ports_of(service: LanService) -> Vec<(Transport, u16)> {
    match service {
        // It is not the bastion that answers.
        LanService::Ingress => vec![],
        own => {
            let ports = faros_ports::bastion_ports(own).into_iter();
            ports
                .flat_map(|(transport, range)| (range.0..=range.1).map(move |port| (transport, port)))
                .collect()
        }
    }
}

/// The ports of the bastion itself that are open to who may use these services. DHCP's are open to everyone, as who
/// asks for an address may have none; the API's are the balancer's, where there is one.
pub(crate) fn open_ports(site: &Site, services: &[LanService]) -> Vec<(Transport, u16)> {
    let is_balanced = site.runs(Service::Balancer);
    let own = services
        .iter()
        .filter(|service| **service != LanService::Dhcp)
        .filter(|service| **service != LanService::Api || !is_balanced);
    own.flat_map(|service| ports_of(*service)).collect()
}

/// The groups of the LAN's machines.
pub(super) struct Groups {
    pub(super) nodes: Vec<Ipv4Addr>,
    bmcs: Vec<Ipv4Addr>,
    hosts: Vec<Ipv4Addr>,
}

impl Groups {
    pub(super) fn of(site: &Site) -> Self {
        let nodes = site.nodes.values().map(|node| node.address);
        let bmcs = site.nodes.values().filter_map(|node| node.bmc.as_ref());
        Self {
            nodes: nodes.chain(site.bootstrap()).collect(),
            bmcs: bmcs.map(|bmc| bmc.address).collect(),
            hosts: site.lan.hosts.values().map(|host| host.address).collect(),
        }
    }

    /// What a packet from such a machine looks like; `None` if there is no such machine.
    pub(super) fn source(&self, source: LanSource) -> Option<Match> {
        let some = |addresses: &[Ipv4Addr]| {
            (!addresses.is_empty()).then(|| Match::Source(true, Addresses::each(addresses.iter().copied())))
        };
        match source {
            LanSource::Nodes => some(&self.nodes),
            LanSource::Bmcs => some(&self.bmcs),
            LanSource::Hosts => some(&self.hosts),
            LanSource::Unknown => {
                let known = [&self.nodes[..], &self.bmcs, &self.hosts].concat();
                Some(Match::Source(false, Addresses::each(known)))
            }
            LanSource::Network(subnet) => Some(Match::Source(true, Addresses::of([subnet]))),
        }
    }
}

/// The groups of the LAN's machines that are known, with their addresses.
pub(crate) fn groups(site: &Site) -> [(LanSource, Addresses); 3] {
    let Groups { nodes, bmcs, hosts } = Groups::of(site);
    [
        (LanSource::Nodes, nodes),
        (LanSource::Bmcs, bmcs),
        (LanSource::Hosts, hosts),
    ]
    .map(|(source, addresses)| (source, Addresses::each(addresses)))
}

/// The group's name, for people.
pub fn group_name(source: LanSource) -> String {
    match source {
        LanSource::Nodes => "nodes".to_owned(),
        LanSource::Bmcs => "BMCs".to_owned(),
        LanSource::Hosts => "hosts".to_owned(),
        LanSource::Unknown => "unknown machines".to_owned(),
        LanSource::Network(subnet) => subnet.to_string(),
    }
}
