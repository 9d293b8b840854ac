//! The rules of a site in words, by subject: what a plan shows and compares.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::{
    net::Subnet,
    ports::MACHINE_CONFIG,
    site::{GatewayMode, InterfaceRef, PublishedTarget, Site, UplinkAddressing},
};

use crate::policy::{group_name, groups, lan_services, leads_to};

/// What the bastion lets pass, in words.
pub fn facts(site: &Site) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut tell = |subject: &str, text: String| drop(facts.insert(subject.to_owned(), text));
    let (uplink, lan) = (&site.uplink, &site.lan);
    tell(
        "LAN is on",
        match lan.interfaces.as_slice() {
            [only] => only.clone(),
            several => format!("a bridge of {}", several.join(", ")),
        },
    );
    let interface = match &uplink.interface {
        InterfaceRef::Name(name) => name.clone(),
        InterfaceRef::Mac(mac) => format!("the interface with MAC {mac}"),
    };
    let addressing = match &uplink.addressing {
        UplinkAddressing::Dhcp => "address by DHCP of the host's network manager".to_owned(),
        UplinkAddressing::Host => "address left to the host".to_owned(),
        UplinkAddressing::Static {
            address,
            subnet,
            gateway,
        } => fixed_address(*address, *subnet, *gateway),
    };
    tell("uplink is on", format!("{interface}, {addressing}"));
    let trusted = network_list(&uplink.trusted_networks);
    tell(
        "way out",
        match uplink.gateway_mode {
            GatewayMode::Nat if !uplink.trusted_networks.is_empty() => {
                format!("as the bastion; to {trusted} as themselves; not for BMCs")
            }
            GatewayMode::Nat | GatewayMode::Pat => "as the bastion; not for BMCs".to_owned(),
        },
    );
    if uplink.gateway_mode == GatewayMode::Nat {
        let ports: Vec<String> = faros_ports::from_outside(site)
            .iter()
            .map(|(transport, ports)| format!("{ports}/{}", transport.as_str()))
            .collect();
        tell("way in to nodes", format!("{} from {trusted}", ports.join(", ")));
    }
    let is_open = |ssh: bool| {
        let open = uplink.publish.iter().filter(|one| !one.from.is_empty());
        open.filter(|one| !ssh || one.what == PublishedTarget::Ssh)
            .count()
            > 0
    };
    let way_in = match (is_open(false), is_open(true)) {
        (false, _) => "nothing is published, not even ssh to the bastion",
        (true, false) => "what is published; ssh to the bastion is not",
        (true, true) => "what is published",
    };
    tell("way in", way_in.to_owned());
    for published in &uplink.publish {
        let from = network_list(&published.from);
        let own = match &published.what {
            PublishedTarget::Ssh => "ssh",
            PublishedTarget::Console => "console",
            PublishedTarget::Api => "api",
            PublishedTarget::IngressHttp => "ingress-http",
            PublishedTarget::IngressHttps => "ingress-https",
            PublishedTarget::Port { name, .. } => name.as_str(),
        };
        let text = match leads_to(site, published) {
            None => format!("the bastion, from {from}"),
            Some((transport, port, to)) => {
                let to: Vec<String> = to.iter().map(ToString::to_string).collect();
                let to = if to.is_empty() {
                    "nobody".to_owned()
                } else {
                    to.join(", ")
                };
                format!("{port}/{} to {to}, from {from}", transport.as_str())
            }
        };
        tell(&format!("published {own}"), text);
    }
    tell(
        "LAN has",
        format!("{}, the bastion is {}", lan.subnet, lan.addresses.bastion),
    );
    tell(
        "cluster has",
        format!("{}, {}", site.cluster.pod_network, site.cluster.service_network),
    );
    tell(
        "never from the uplink",
        format!("machine config ({MACHINE_CONFIG}/tcp), spoofed sources, what is not published"),
    );
    for (source, addresses) in groups(site) {
        if !addresses.is_empty() {
            tell(&format!("{} are", group_name(source)), addresses.to_string());
        }
    }
    for (source, services) in lan_services(site) {
        let words: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
        let words = if words.is_empty() {
            "nothing".to_owned()
        } else {
            words.join(", ")
        };
        tell(&format!("{} may use", group_name(source)), words);
    }
    facts
}

/// The address of a static uplink, and its gateway.
pub fn fixed_address(address: Ipv4Addr, subnet: Subnet, gateway: Option<Ipv4Addr>) -> String {
    let via = gateway
        .map(|gateway| format!(" via {gateway}"))
        .unwrap_or_default();
    format!("{address}/{}{via}", subnet.prefix())
}

/// Whose networks may do something, as a sentence has it.
pub fn network_list(networks: &[Subnet]) -> String {
    if networks.is_empty() {
        return "nobody".to_owned();
    }
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(", ")
}
