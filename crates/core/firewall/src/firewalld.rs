//! What firewalld is told where it runs: zones and policies of our own, to the effect of our own table.
//!
//! A packet passes only if every base chain of a hook lets it, so that firewalld has to know all that is to pass,
//! and our table stays as it is: what it drops stays dropped whatever becomes of firewalld's zones, and what
//! firewalld cannot say (whose address may come by which interface, in turn to several servers) is said there.
//!
//! Each group of the LAN's machines is a zone by its addresses; who is in none is in the LAN's zone by its interface.
//! Nothing but names that begin with [`PREFIX`] is ever ours.

use std::collections::{BTreeMap, BTreeSet};

use faros_model::{
    net::Subnet,
    plan::Service,
    ports::{CONSOLE, DHCP_CLIENT, DHCP_SERVER, MACHINE_CONFIG, SSH},
    site::{GatewayMode, LanService, LanSource, PublishedTarget, Site, Transport},
};

use crate::policy::{Interfaces, group_name, groups, lan_services, open_ports};

/// How the names of our zones and policies begin.
pub const PREFIX: &str = "faros-";

const LAN: &str = "faros-lan";
const UPLINK: &str = "faros-uplink";
const NODES: &str = "faros-nodes";

/// Zones and policies by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewalld {
    /// Who is who, and what each may use of the bastion.
    pub zones: BTreeMap<String, Settings>,
    /// What passes from zone to zone.
    pub policies: BTreeMap<String, Settings>,
}

/// The settings of a zone or a policy, by firewalld's own names for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(pub BTreeMap<String, Value>);

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word, such as a target.
    Text(String),
    /// On or off.
    Flag(bool),
    /// A set; where its items have parts, such as a port and its protocol, they are joined by `/`.
    Set(BTreeSet<String>),
}

impl Value {
    fn set(items: impl IntoIterator<Item = String>) -> Self {
        Self::Set(items.into_iter().collect())
    }

    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Settings that only say what something is for.
const WORDS_FOR_PEOPLE: &[&str] = &["version", "short", "description"];

impl Firewalld {
    /// What firewalld is to be told of a site on these interfaces.
    pub fn compile(site: &Site, interfaces: &Interfaces) -> Self {
        let mut zones = lan_zones(site, interfaces);
        let on_lan: Vec<String> = zones.keys().cloned().collect();
        zones.insert(UPLINK.to_owned(), uplink_zone(site, interfaces));
        let mut policies = BTreeMap::new();
        let bmcs = zone_of(LanSource::Bmcs);
        let goes_out = on_lan.iter().filter(|zone| **zone != bmcs).cloned().collect();
        let out = policy(
            "The way out.",
            "ACCEPT",
            goes_out,
            vec![UPLINK.to_owned()],
            vec![],
        );
        policies.insert("faros-out".to_owned(), out);
        let trusted = &site.uplink.trusted_networks;
        if site.uplink.gateway_mode == GatewayMode::Nat && !trusted.is_empty() {
            let pings = trusted
                .iter()
                .map(|from| rule(Some(*from), r#"protocol value="icmp""#));
            let open = faros_ports::from_outside(site);
            let ports = trusted.iter().flat_map(|from| {
                let open = open.iter();
                open.map(|(transport, ports)| rule(Some(*from), &port(&ports.to_string(), *transport)))
            });
            let from = || vec![UPLINK.to_owned()];
            let pings = policy(
                "Trusted networks ask who is there.",
                "CONTINUE",
                from(),
                on_lan,
                pings.collect(),
            );
            policies.insert("faros-in-pings".to_owned(), pings);
            let nodes = vec![NODES.to_owned()];
            let ports = policy(
                "Trusted networks reach nodes.",
                "CONTINUE",
                from(),
                nodes,
                ports.collect(),
            );
            policies.insert("faros-in-nodes".to_owned(), ports);
        }
        Self { zones, policies }
    }
}

/// A zone for each group of the LAN's machines that has any, and the LAN's own for all others.
fn lan_zones(site: &Site, interfaces: &Interfaces) -> BTreeMap<String, Settings> {
    let services = lan_services(site);
    // As in our table: who asks for an address may have none.
    let is_dhcp = |services: &Vec<LanService>| services.contains(&LanService::Dhcp);
    let dhcp: &[(Transport, u16)] = if services.values().any(is_dhcp) {
        &[(Transport::Udp, DHCP_SERVER), (Transport::Udp, DHCP_CLIENT)]
    } else {
        &[]
    };
    let open_to = |source: LanSource| -> Vec<(Transport, u16)> {
        let own = services.get(&source).map(Vec::as_slice);
        open_ports(site, own.unwrap_or_default())
    };
    // A network of the site file may have machines of any group.
    let networks: Vec<String> = services
        .keys()
        .filter_map(|source| match source {
            LanSource::Network(subnet) => Some((*source, *subnet)),
            LanSource::Nodes | LanSource::Bmcs | LanSource::Hosts | LanSource::Unknown => None,
        })
        .flat_map(|(source, subnet)| {
            let open = open_to(source).into_iter();
            open.map(move |(transport, own)| rule(Some(subnet), &port(&own.to_string(), transport)))
        })
        .collect();
    let zone = |source: LanSource| {
        let has_machine_config = source == LanSource::Nodes
            && site.cluster.distribution.has_machine_config()
            && !site.runs(Service::Balancer);
        let machine_config = has_machine_config.then_some((Transport::Tcp, MACHINE_CONFIG));
        let open = open_to(source)
            .into_iter()
            .chain(dhcp.iter().copied())
            .chain(machine_config);
        let open = open.map(|(transport, port)| format!("{port}/{}", transport.as_str()));
        let what = format!("The {} of the LAN.", group_name(source));
        let mut zone = zone(&what, open.collect(), networks.clone());
        zone.0.insert("interfaces".to_owned(), Value::set([]));
        zone.0.insert("sources".to_owned(), Value::set([]));
        zone
    };
    let mut zones = BTreeMap::new();
    for (source, members) in groups(site)
        .into_iter()
        .filter(|(_, members)| !members.is_empty())
    {
        let mut zone = zone(source);
        let members = members.subnets().into_iter().map(address);
        zone.0.insert("sources".to_owned(), Value::set(members));
        zones.insert(zone_of(source), zone);
    }
    let mut others = zone(LanSource::Unknown);
    others
        .0
        .insert("interfaces".to_owned(), Value::set([interfaces.lan.clone()]));
    zones.insert(LAN.to_owned(), others);
    zones
}

fn uplink_zone(site: &Site, interfaces: &Interfaces) -> Settings {
    let published = site.uplink.publish.iter().flat_map(|published| {
        let own = match &published.what {
            PublishedTarget::Ssh => Some(SSH),
            PublishedTarget::Console => Some(CONSOLE),
            // Their connections are led on by our own table, and firewalld lets pass what was led on.
            PublishedTarget::Api
            | PublishedTarget::IngressHttp
            | PublishedTarget::IngressHttps
            | PublishedTarget::Port { .. } => None,
        };
        let rules = own.map(|own| {
            let from = published.from.iter();
            from.map(move |from| rule(Some(*from), &port(&own.to_string(), Transport::Tcp)))
        });
        rules.into_iter().flatten()
    });
    let client = format!("{DHCP_CLIENT}/{}", Transport::Udp.as_str());
    let mut zone = zone("The way to the world.", vec![client], published.collect());
    zone.0
        .insert("interfaces".to_owned(), Value::set([interfaces.uplink.clone()]));
    zone.0.insert("sources".to_owned(), Value::set([]));
    zone
}

fn zone_of(source: LanSource) -> String {
    match source {
        LanSource::Nodes => NODES.to_owned(),
        LanSource::Bmcs => "faros-bmcs".to_owned(),
        LanSource::Hosts => "faros-hosts".to_owned(),
        LanSource::Unknown | LanSource::Network(_) => LAN.to_owned(),
    }
}

/// A zone in which nothing else is open; every setting is said, so that none of somebody else's stays.
fn zone(what: &str, open: Vec<String>, rules: Vec<String>) -> Settings {
    let mut all = own(what, "DROP", open);
    all.insert(
        "protocols".to_owned(),
        Value::set(["icmp", "ipv6-icmp"].map(str::to_owned)),
    );
    all.insert("rules_str".to_owned(), Value::set(rules));
    all.insert("forward".to_owned(), Value::Flag(false));
    all.insert("icmp_block_inversion".to_owned(), Value::Flag(false));
    Settings(all)
}

fn policy(what: &str, target: &str, from: Vec<String>, to: Vec<String>, rules: Vec<String>) -> Settings {
    let mut all = own(what, target, vec![]);
    all.insert("protocols".to_owned(), Value::set([]));
    all.insert("rich_rules".to_owned(), Value::set(rules));
    all.insert("ingress_zones".to_owned(), Value::set(from));
    all.insert("egress_zones".to_owned(), Value::set(to));
    Settings(all)
}

/// What zones and policies have in common.
fn own(what: &str, target: &str, open: Vec<String>) -> BTreeMap<String, Value> {
    let text = format!("{what} farosd sets this, and puts back what is changed.");
    let mut all = BTreeMap::from([
        ("description".to_owned(), Value::Text(text)),
        ("target".to_owned(), Value::text(target)),
        ("masquerade".to_owned(), Value::Flag(false)),
        ("ports".to_owned(), Value::set(open)),
    ]);
    for nothing in ["services", "icmp_blocks", "forward_ports", "source_ports"] {
        all.insert(nothing.to_owned(), Value::set([]));
    }
    all
}

fn port(port: &str, transport: Transport) -> String {
    format!(r#"port port="{port}" protocol="{}""#, transport.as_str())
}

/// A rich rule, in the words in which firewalld says it back.
fn rule(from: Option<Subnet>, what: &str) -> String {
    let from = from
        .map(|from| format!(r#"source address="{}" "#, address(from)))
        .unwrap_or_default();
    format!(r#"rule family="ipv4" {from}{what} accept"#)
}

fn address(subnet: Subnet) -> String {
    match subnet.prefix() {
        32 => subnet.network().to_string(),
        _ => subnet.to_string(),
    }
}

impl Settings {
    /// The target, which firewalld changes by a reload alone.
    pub fn target(&self) -> Option<&str> {
        match self.0.get("target") {
            Some(Value::Text(target)) => Some(target),
            _ => None,
        }
    }

    /// The items of a set; none where it is not there.
    pub fn items(&self, setting: &str) -> impl Iterator<Item = &str> {
        let set = match self.0.get(setting) {
            Some(Value::Set(set)) => Some(set),
            _ => None,
        };
        set.into_iter().flatten().map(String::as_str)
    }

    /// Leaves an item out of a set.
    pub fn leave_out(&mut self, setting: &str, item: &str) {
        if let Some(Value::Set(set)) = self.0.get_mut(setting) {
            set.remove(item);
        }
    }

    /// How `found` is not this, in words. What firewalld does not say is off, or empty.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(found.0.keys()).collect();
        let mut out = Vec::new();
        let nothing = BTreeSet::new();
        for name in names
            .into_iter()
            .filter(|name| !WORDS_FOR_PEOPLE.contains(&name.as_str()))
        {
            match (self.0.get(name), found.0.get(name)) {
                (Some(Value::Text(ours)), Some(Value::Text(theirs))) if ours != theirs => {
                    out.push(format!("{name} was {theirs} and not {ours}"));
                }
                (Some(Value::Text(ours)), None) => out.push(format!("{name} was not {ours}")),
                (Some(Value::Flag(false)) | None, Some(Value::Flag(true))) => {
                    out.push(format!("{name} was on"));
                }
                (Some(Value::Flag(true)), Some(Value::Flag(false)) | None) => {
                    out.push(format!("{name} was off"));
                }
                (ours, theirs) => {
                    let items = |value: Option<&'_ Value>| match value {
                        Some(Value::Set(set)) => set.clone(),
                        _ => nothing.clone(),
                    };
                    let (ours, theirs) = (items(ours), items(theirs));
                    let missing = ours.difference(&theirs);
                    out.extend(missing.map(|item| format!("`{item}` was missing from {name}")));
                    let foreign = theirs.difference(&ours);
                    out.extend(foreign.map(|item| format!("`{item}` was in {name} and is not ours")));
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
