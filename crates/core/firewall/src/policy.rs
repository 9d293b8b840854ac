//! From the site to its rules: who may talk to whom.
//!
//! There are four zones. The *uplink* may do what is published, and in gateway mode `nat` what trusted networks
//! need of nodes. The *LAN* is not trusted as a whole: each group of machines may use what its role needs. The
//! *BMCs* are a part of the LAN and have no business in the outside world. The *cluster* is the addresses of
//! pods and services, which are never on a wire of the bastion.

use std::{collections::BTreeMap, net::Ipv4Addr, net::SocketAddrV4};

use faros_model::{
    net::Subnet,
    plan::Service,
    ports::{
        CONSOLE, DHCP_CLIENT, DHCP_SERVER, DNS, INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, MACHINE_CONFIG,
        NETBOOT_HTTP, NTP, REGISTRY, SSH, TFTP, UNLOCK,
    },
    site::{GatewayMode, LanService, LanSource, Published, PublishedTarget, Role, Site, Transport},
};

use crate::rules::{Addresses, Chain, Hook, Match, PortRange, Rule, Ruleset, Side, Verdict};
use Transport::{Tcp, Udp};

/// What trusted networks may reach on nodes in gateway mode `nat`; the port matrix's rows with a peer outside of
/// the cluster.
pub(crate) const NODES_FROM_OUTSIDE: &[(Transport, PortRange)] = &[
    (Tcp, PortRange(SSH, SSH)),
    (Tcp, PortRange(INGRESS_HTTP, INGRESS_HTTP)),
    (Tcp, PortRange(INGRESS_HTTPS, INGRESS_HTTPS)),
    (Tcp, PortRange(KUBERNETES_API, KUBERNETES_API)),
    (Tcp, PortRange(30000, 32767)),
    (Udp, PortRange(30000, 32767)),
];

/// The bastion's interfaces, as they are called now. Invariant: names that nftables can quote, and that match
/// one interface each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    lan: String,
    uplink: String,
}

/// A name that cannot stand in a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the interface name `{0}` cannot stand in a firewall rule")]
pub struct BadInterface(pub String);

impl Interfaces {
    /// Takes the names of the LAN's interface and the uplink's.
    ///
    /// # Errors
    /// If one cannot be quoted, or would match others as well.
    pub fn new(lan: &str, uplink: &str) -> Result<Self, BadInterface> {
        let bad = |c: char| c == '"' || c == '*' || c == '\\' || c.is_whitespace() || c.is_control();
        for name in [lan, uplink] {
            if name.is_empty() || name.len() > 15 || name.contains(bad) {
                return Err(BadInterface(name.to_owned()));
            }
        }
        Ok(Self {
            lan: lan.to_owned(),
            uplink: uplink.to_owned(),
        })
    }
}

/// What a group of machines may use of the bastion: what the site file says, or what its role needs.
pub fn lan_services(site: &Site) -> BTreeMap<LanSource, Vec<LanService>> {
    use LanService::{Api, Console, Dhcp, Dns, Ignition, Netboot, Ntp, Registry, Ssh, Unlock};
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
            let technician = [Ssh, Console, Api];
            all.insert(LanSource::Nodes, [&boots[..], &[Api, Registry]].concat());
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
        LanService::Ssh | LanService::Console | LanService::Api | LanService::Registry => true,
    }
}

/// The ports of a service of the bastion.
pub(crate) const fn ports_of(service: LanService) -> &'static [(Transport, u16)] {
    match service {
        LanService::Dhcp => &[(Udp, DHCP_SERVER)],
        LanService::Dns => &[(Udp, DNS), (Tcp, DNS)],
        LanService::Ntp => &[(Udp, NTP)],
        LanService::Netboot => &[(Udp, TFTP), (Tcp, NETBOOT_HTTP)],
        LanService::Ignition => &[(Tcp, NETBOOT_HTTP)],
        LanService::Unlock => &[(Tcp, UNLOCK)],
        LanService::Ssh => &[(Tcp, SSH)],
        LanService::Console => &[(Tcp, CONSOLE)],
        LanService::Api => &[(Tcp, KUBERNETES_API)],
        LanService::Registry => &[(Tcp, REGISTRY)],
    }
}

/// The groups of the LAN's machines.
struct Groups {
    nodes: Vec<Ipv4Addr>,
    bmcs: Vec<Ipv4Addr>,
    hosts: Vec<Ipv4Addr>,
}

impl Groups {
    fn of(site: &Site) -> Self {
        let nodes = site.nodes.values().map(|node| node.address);
        let bmcs = site.nodes.values().filter_map(|node| node.bmc.as_ref());
        Self {
            nodes: nodes.chain([site.lan.addresses.bootstrap]).collect(),
            bmcs: bmcs.map(|bmc| bmc.address).collect(),
            hosts: site.lan.hosts.values().map(|host| host.address).collect(),
        }
    }

    /// What a packet from such a machine looks like; `None` if there is no such machine.
    fn source(&self, source: LanSource) -> Option<Match> {
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

impl Ruleset {
    /// The rules of a site on these interfaces.
    pub fn compile(site: &Site, interfaces: &Interfaces) -> Self {
        let groups = Groups::of(site);
        let lan = || Match::InBy(interfaces.lan.clone());
        let uplink = || Match::InBy(interfaces.uplink.clone());
        let to_lan = || Match::OutBy(interfaces.lan.clone());
        let to_uplink = || Match::OutBy(interfaces.uplink.clone());
        let go = |when, chain| Rule::new(vec![when], Verdict::Goto(chain), "");
        let chain = |name, hook, rules| Chain { name, hook, rules };
        let drop_rest = |why: &str| Rule::new(vec![], Verdict::Drop, why);
        let chains = vec![
            chain(
                "arriving",
                Some(Hook::Arriving),
                vec![go(lan(), "arriving_lan"), go(uplink(), "arriving_uplink")],
            ),
            chain("arriving_lan", None, arriving_lan(site)),
            chain("arriving_uplink", None, arriving_uplink(site)),
            chain(
                "answering",
                Some(Hook::Answering),
                vec![Rule::new(
                    vec![to_lan(), short_questions(&[DNS, DHCP_SERVER, NTP], Side::Source)],
                    Verdict::NotTracked,
                    "answers to short questions",
                )],
            ),
            chain(
                "input",
                Some(Hook::Input),
                vec![go(lan(), "input_lan"), go(uplink(), "input_uplink")],
            ),
            chain("input_lan", None, input_lan(site, &groups)),
            chain("input_uplink", None, input_uplink(site)),
            chain(
                "pings",
                None,
                vec![
                    Rule::new(vec![Match::NeededIcmp], Verdict::Accept, ""),
                    Rule::new(vec![Match::NeededIcmp6], Verdict::Accept, ""),
                    Rule::new(vec![Match::ModestPing], Verdict::Accept, ""),
                    drop_rest("ICMP that nobody needs"),
                ],
            ),
            chain(
                "forward",
                Some(Hook::Forward),
                vec![
                    Rule::new(
                        vec![uplink(), to_uplink()],
                        Verdict::Drop,
                        "the outside is not routed to the outside",
                    ),
                    Rule::new(
                        vec![to_uplink(), Match::Opening],
                        Verdict::ClampSegments,
                        "segments that fit the uplink",
                    ),
                    go(to_lan(), "forward_to_lan"),
                    go(lan(), "forward_from_lan"),
                ],
            ),
            chain("forward_to_lan", None, forward_to_lan(site, &groups, &uplink())),
            chain("forward_from_lan", None, forward_from_lan(&groups, &to_uplink())),
            chain("published", Some(Hook::Published), published(site, &uplink())),
            chain("leaving", Some(Hook::Leaving), vec![leaving(site, to_uplink())]),
        ];
        Self { chains }
    }
}

fn ports(transport: Transport, ports: &[u16]) -> Match {
    let mut ports: Vec<PortRange> = ports.iter().copied().map(PortRange::from).collect();
    ports.sort_unstable();
    Match::Ports(transport, Side::Destination, ports)
}

/// Questions of one packet, which need no entry in the table of connections: a flood of them cannot fill it.
fn short_questions(ports: &[u16], side: Side) -> Match {
    Match::Ports(Udp, side, ports.iter().copied().map(PortRange::from).collect())
}

/// Addresses that are never on a wire of the bastion.
fn cluster(site: &Site) -> Addresses {
    Addresses::of([site.cluster.pod_network, site.cluster.service_network])
}

fn arriving_lan(site: &Site) -> Vec<Rule> {
    let bastion = || Addresses::each([site.lan.addresses.bastion]);
    let heard = [
        site.lan.addresses.bastion,
        site.lan.subnet.broadcast(),
        Ipv4Addr::BROADCAST,
    ];
    let dhcp = || {
        let to = Match::Destination(true, Addresses::each(heard));
        vec![
            to,
            short_questions(&[DHCP_SERVER, DHCP_CLIENT], Side::Destination),
        ]
    };
    vec![
        Rule::new(dhcp(), Verdict::NotTracked, ""),
        Rule::new(
            dhcp(),
            Verdict::Return,
            "who has no address yet, or a wrong one, and other servers",
        ),
        Rule::new(
            vec![Match::Source(true, bastion())],
            Verdict::Drop,
            "spoofed: an address of the bastion itself",
        ),
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
    ]
}

fn arriving_uplink(site: &Site) -> Vec<Rule> {
    let nowhere = [
        Subnet::of(Ipv4Addr::LOCALHOST, 8),
        Subnet::of(Ipv4Addr::new(224, 0, 0, 0), 4),
    ];
    let inside = [
        site.lan.subnet,
        site.cluster.pod_network,
        site.cluster.service_network,
    ];
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

fn input_lan(site: &Site, groups: &Groups) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(vec![], Verdict::ByConnection, ""),
        Rule::new(vec![Match::AnyIcmp], Verdict::Goto("pings"), ""),
    ];
    let services = lan_services(site);
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
            let open = services
                .iter()
                .filter(|service| **service != LanService::Dhcp)
                .flat_map(|service| ports_of(*service));
            let mut open: Vec<u16> = open
                .filter(|(own, _)| *own == transport)
                .map(|(_, port)| *port)
                .collect();
            open.sort_unstable();
            open.dedup();
            if !open.is_empty() {
                let why = name(*source);
                rules.push(Rule::new(
                    vec![from.clone(), ports(transport, &open)],
                    Verdict::Accept,
                    why,
                ));
            }
        }
    }
    if let Some(nodes) = groups.source(LanSource::Nodes) {
        rules.push(Rule::new(
            vec![nodes, ports(Tcp, &[MACHINE_CONFIG])],
            Verdict::Accept,
            "machine config, for nodes alone",
        ));
    }
    rules.push(Rule::new(vec![], Verdict::Drop, "not for the LAN"));
    rules
}

/// The group's name, for people.
pub(crate) fn name(source: LanSource) -> String {
    match source {
        LanSource::Nodes => "nodes".to_owned(),
        LanSource::Bmcs => "BMCs".to_owned(),
        LanSource::Hosts => "hosts".to_owned(),
        LanSource::Unknown => "unknown machines".to_owned(),
        LanSource::Network(subnet) => subnet.to_string(),
    }
}

fn input_uplink(site: &Site) -> Vec<Rule> {
    let client = Match::Ports(Udp, Side::Destination, vec![DHCP_CLIENT.into()]);
    let server = Match::Ports(Udp, Side::Source, vec![DHCP_SERVER.into()]);
    let mut rules = vec![
        Rule::new(vec![], Verdict::ByConnection, ""),
        Rule::new(vec![Match::AnyIcmp], Verdict::Goto("pings"), ""),
        Rule::new(vec![server, client], Verdict::Accept, "the uplink's own address"),
    ];
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

fn forward_to_lan(site: &Site, groups: &Groups, uplink: &Match) -> Vec<Rule> {
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
    let trusted = Addresses::of(site.uplink.trusted_networks.iter().copied());
    if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
        let from = || [uplink.clone(), Match::Source(true, trusted.clone())];
        let mut rule = |more: Vec<Match>, then, why: &str| {
            rules.push(Rule::new([from().to_vec(), more].concat(), then, why));
        };
        rule(vec![Match::AnyIcmp], Verdict::Goto("pings"), "");
        let nodes = Match::Destination(true, Addresses::each(groups.nodes.iter().copied()));
        for transport in [Tcp, Udp] {
            let own = NODES_FROM_OUTSIDE.iter().filter(|(own, _)| *own == transport);
            let open = own.map(|(_, ports)| *ports).collect();
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

fn forward_from_lan(groups: &Groups, to_uplink: &Match) -> Vec<Rule> {
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

fn published(site: &Site, uplink: &Match) -> Vec<Rule> {
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
fn leaving(site: &Site, to_uplink: Match) -> Rule {
    let lan = Match::Source(true, Addresses::of([site.lan.subnet]));
    let trusted = Addresses::of(site.uplink.trusted_networks.iter().copied());
    let mut when = vec![to_uplink, lan];
    if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
        when.push(Match::Destination(false, trusted));
    }
    Rule::new(when, Verdict::Masquerade, "")
}
