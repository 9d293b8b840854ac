//! What of the matrix a site has: rows whose conditions are so, with addresses in the place of roles.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{
    net::{Addresses, Subnet},
    ports::{INGRESS_HTTP, INGRESS_HTTPS, KUBERNETES_API, PortRange},
    site::{GatewayMode, LanService, Node, PublishedTarget, Role, Site, Transport},
};

use crate::{Direction, Facts, Matrix, Need, Party, Ports, Protocol, Row, rows};

/// A port, or a protocol without ports, of some machine, and who may come to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The row that says so.
    pub row: &'static Row,
    /// The ports; `None` for all of the row's protocol.
    pub ports: Option<PortRange>,
    /// Who, by what they are; without those of which there are none.
    pub from: BTreeMap<Party, Addresses>,
}

impl Opening {
    /// All who may come.
    pub fn everyone(&self) -> Addresses {
        Addresses::of(self.from.values().flat_map(Addresses::subnets))
    }
}

/// A machine, or all machines of a kind, by which of the matrix's parties it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it is; a node may have several roles.
    pub is: Vec<Party>,
    /// Its addresses, or theirs.
    pub addresses: Addresses,
}

impl Machine {
    /// The bastion.
    pub fn bastion(site: &Site) -> Self {
        Self {
            is: vec![Party::Bastion],
            addresses: addresses(site, Party::Bastion),
        }
    }

    /// A node.
    pub fn node(node: &Node) -> Self {
        Self {
            is: node.roles.iter().copied().map(Party::from).collect(),
            addresses: Addresses::each([node.address]),
        }
    }

    /// All machines that are one of these.
    pub fn any(site: &Site, is: &[Party]) -> Self {
        let all = is.iter().flat_map(|party| addresses(site, *party).subnets());
        Self {
            is: is.to_vec(),
            addresses: Addresses::of(all),
        }
    }
}

impl From<Role> for Party {
    fn from(role: Role) -> Self {
        match role {
            Role::ControlPlane => Self::ControlPlane,
            Role::Worker => Self::Worker,
            Role::MetaWorker => Self::MetaWorker,
            Role::Frontend => Self::Frontend,
            Role::Arbiter => Self::Arbiter,
        }
    }
}

/// What may come in to a machine of a site, row by row: what is never open, too.
pub fn openings(site: &Site, facts: &Facts, machine: &Machine) -> Vec<Opening> {
    let wanted = |row: &&Row| {
        row.matrix == Matrix::Today
            && row.direction == Direction::In
            && row.on.iter().any(|own| machine.is.contains(own))
            && row.peers != [Party::Itself]
            && row.holds(facts)
    };
    // Once for all rows: a site may have a thousand nodes, each with a filter.
    let parties: BTreeMap<Party, Addresses> = Party::ALL
        .into_iter()
        .map(|party| (party, addresses(site, party)))
        .collect();
    rows()
        .filter(wanted)
        .flat_map(|row| of_row(site, machine, row, &parties))
        .collect()
}

/// Whether packet filters let it pass: what MUST and SHOULD be, and not what only MAY.
pub(crate) fn is_opened(opening: &Opening) -> bool {
    matches!(opening.row.need, Need::Must | Need::Should)
}

/// What packet filters let pass, each protocol and range once, for those that know no sets.
pub(crate) fn open(
    site: &Site,
    facts: &Facts,
    machine: &Machine,
) -> Vec<(Protocol, Option<PortRange>, Addresses)> {
    let mut all: BTreeMap<(Protocol, Option<PortRange>), Vec<Subnet>> = BTreeMap::new();
    for opening in openings(site, facts, machine)
        .iter()
        .filter(|opening| is_opened(opening))
    {
        let key = (opening.row.protocol, opening.ports);
        all.entry(key).or_default().extend(opening.everyone().subnets());
    }
    let whole = all
        .into_iter()
        .map(|((protocol, ports), from)| (protocol, ports, Addresses::of(from)));
    whole.filter(|(.., from)| !from.is_empty()).collect()
}

/// The ports of nodes that the matrix opens to trusted networks, where those are routed to nodes.
pub fn from_outside(site: &Site) -> Vec<(Transport, PortRange)> {
    let facts = Facts::of(site);
    let nodes = Machine::any(site, Party::NODES);
    let mut found: BTreeMap<Transport, Vec<PortRange>> = BTreeMap::new();
    for opening in openings(site, &facts, &nodes)
        .iter()
        .filter(|opening| is_opened(opening))
    {
        let is_asked = opening.row.peers.contains(&Party::Outside) && opening.row.ports != Ports::Published;
        if let (true, Some(transport), Some(ports)) =
            (is_asked, opening.row.protocol.transport(), opening.ports)
        {
            found.entry(transport).or_default().push(ports);
        }
    }
    let whole = found
        .into_iter()
        .map(|(transport, ports)| (transport, joined(ports)));
    whole
        .flat_map(|(transport, ports)| ports.into_iter().map(move |range| (transport, range)))
        .collect()
}

/// The union of ranges, in order.
pub(crate) fn joined(mut ports: Vec<PortRange>) -> Vec<PortRange> {
    ports.sort_unstable();
    let mut joined: Vec<PortRange> = Vec::new();
    for PortRange(first, last) in ports {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push(PortRange(first, last)),
        }
    }
    joined
}

fn of_row(
    site: &Site,
    machine: &Machine,
    row: &'static Row,
    parties: &BTreeMap<Party, Addresses>,
) -> Vec<Opening> {
    let one = |ports: Option<PortRange>, outside: Addresses| {
        let from = row.peers.iter().map(|party| match party {
            Party::Outside => (*party, outside.clone()),
            _ => (*party, parties.get(party).cloned().unwrap_or_default()),
        });
        Opening {
            row,
            ports,
            from: from.filter(|(_, who)| !who.is_empty()).collect(),
        }
    };
    match row.ports {
        Ports::All => vec![one(None, outside(site, machine, row, None))],
        Ports::These(ports) => ports
            .iter()
            .map(|range| one(Some(*range), outside(site, machine, row, Some(*range))))
            .collect(),
        Ports::Published => site
            .uplink
            .publish
            .iter()
            .filter(|published| !published.from.is_empty())
            .filter_map(|published| {
                let PublishedTarget::Port {
                    protocol, port, to, ..
                } = &published.what
                else {
                    return None;
                };
                let from = Addresses::of(published.from.iter().copied());
                let ports: Vec<u16> = if machine.is.contains(&Party::Bastion) {
                    vec![*port]
                } else {
                    let own = to
                        .iter()
                        .filter(|to| machine.addresses.covers(&Addresses::each([*to.ip()])));
                    let own: BTreeSet<u16> = own.map(std::net::SocketAddrV4::port).collect();
                    own.into_iter().collect()
                };
                (row.protocol.transport() == Some(*protocol)).then(|| {
                    ports
                        .into_iter()
                        .map(|port| one(Some(port.into()), from.clone()))
                        .collect::<Vec<_>>()
                })
            })
            .flatten()
            .collect(),
    }
}

/// The addresses of those on the LAN; of the outside, all that is not on the LAN.
pub(crate) fn addresses(site: &Site, party: Party) -> Addresses {
    let lan = &site.lan;
    let with_role = |role: Role| {
        let nodes = site.nodes.values().filter(move |node| node.roles.contains(&role));
        nodes.map(|node| node.address)
    };
    match party {
        Party::Bastion => Addresses::each([lan.addresses.bastion, lan.addresses.api, lan.addresses.ingress]),
        Party::ControlPlane => Addresses::each(with_role(Role::ControlPlane).chain(site.bootstrap())),
        Party::Worker => Addresses::each(with_role(Role::Worker)),
        Party::MetaWorker => Addresses::each(with_role(Role::MetaWorker)),
        Party::Frontend => Addresses::each(with_role(Role::Frontend)),
        Party::Arbiter => Addresses::each(with_role(Role::Arbiter)),
        Party::Bmc => {
            let bmcs = site.nodes.values().filter_map(|node| node.bmc.as_ref());
            Addresses::each(bmcs.map(|bmc| bmc.address))
        }
        Party::Host => Addresses::each(lan.hosts.values().map(|host| host.address)),
        Party::Unknown => {
            let known = [Party::Bastion, Party::Bmc, Party::Host];
            let known = known
                .iter()
                .chain(Party::NODES)
                .flat_map(|party| addresses(site, *party).subnets());
            Addresses::of([lan.subnet]).minus(&Addresses::of(known))
        }
        Party::Outside => everywhere().minus(&Addresses::of([lan.subnet])),
        Party::Itself => Addresses::each([Ipv4Addr::LOCALHOST]),
    }
}

fn everywhere() -> Addresses {
    Addresses::of([Subnet::of(Ipv4Addr::UNSPECIFIED, 0)])
}

/// Whom the site file lets in from the outside.
fn outside(site: &Site, machine: &Machine, row: &Row, ports: Option<PortRange>) -> Addresses {
    if row.need == Need::Forbidden {
        return addresses(site, Party::Outside);
    }
    let is_bastion = machine.is.contains(&Party::Bastion);
    let is_for = |what: &PublishedTarget| match what {
        PublishedTarget::Ssh => is_bastion && row.service == Some(LanService::Ssh),
        PublishedTarget::Console => is_bastion && row.service == Some(LanService::Console),
        PublishedTarget::Api => is_port(row, ports, KUBERNETES_API),
        PublishedTarget::IngressHttp => is_port(row, ports, INGRESS_HTTP),
        PublishedTarget::IngressHttps => is_port(row, ports, INGRESS_HTTPS),
        PublishedTarget::Port { .. } => false,
    };
    let published = site
        .uplink
        .publish
        .iter()
        .filter(|published| is_for(&published.what));
    let published = published.flat_map(|published| published.from.iter().copied());
    if is_bastion {
        // Nobody publishes answers to pings, or those of the uplink's DHCP server.
        if row.service.is_none() && row.bind != crate::Bind::Vip {
            return addresses(site, Party::Outside);
        }
        return Addresses::of(published);
    }
    let routed = site.uplink.gateway_mode == GatewayMode::Nat;
    let trusted = site.uplink.trusted_networks.iter().copied().filter(|_| routed);
    Addresses::of(published.chain(trusted))
}

fn is_port(row: &Row, ports: Option<PortRange>, port: u16) -> bool {
    row.protocol.transport() == Some(Transport::Tcp) && ports == Some(PortRange::from(port))
}
