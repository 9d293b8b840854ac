//! The bastion's side towards the rest of the world.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use faros_model::{ids::HostName, net::Subnet, site, wire::v1alpha1 as wire};

use super::{Check, identity::Names, text};
use crate::{
    codes::Code,
    place::{item, join},
    show::show,
};

impl Check<'_> {
    pub(super) fn uplink(&mut self, uplink: Option<&wire::Uplink>) -> Option<site::Uplink> {
        let uplink = uplink?;
        let interface = match &uplink.interface {
            None => None,
            Some(wire::InterfaceRef::Name(name)) => text::interface(self, "spec.uplink.interface", name)
                .then(|| site::InterfaceRef::Name(name.clone())),
            Some(wire::InterfaceRef::ByMac(by)) => {
                let mac = by
                    .mac
                    .as_deref()
                    .and_then(|mac| self.mac("spec.uplink.interface.mac", mac));
                mac.map(site::InterfaceRef::Mac)
            }
        };
        let addressing = match &uplink.addressing {
            None | Some(wire::UplinkAddressing::Word(wire::UplinkAddressingWord::Dhcp)) => {
                Some(site::UplinkAddressing::Dhcp)
            }
            Some(wire::UplinkAddressing::Word(wire::UplinkAddressingWord::Host)) => {
                Some(site::UplinkAddressing::Host)
            }
            Some(wire::UplinkAddressing::Static(fixed)) => self.static_address(fixed),
        };
        let trusted_networks =
            self.subnets("spec.uplink.trustedNetworks", uplink.trusted_networks.as_deref());
        self.published(uplink.publish.as_deref().unwrap_or_default());
        if let Some(proxy) = &uplink.proxy {
            self.proxy(proxy);
        }
        Some(site::Uplink {
            interface: interface?,
            addressing: addressing?,
            gateway_mode: match uplink.gateway_mode {
                Some(wire::GatewayMode::Nat) => site::GatewayMode::Nat,
                Some(wire::GatewayMode::Pat) | None => site::GatewayMode::Pat,
            },
            trusted_networks,
            // Targets are hosts of the site, which have no addresses yet.
            publish: Vec::new(),
        })
    }

    fn subnets(&mut self, path: &str, texts: Option<&[String]>) -> Vec<Subnet> {
        let mut subnets = Vec::new();
        for (idx, text) in texts.into_iter().flatten().enumerate() {
            let path = self.places.item(path, idx);
            let Some(subnet) = self.subnet(&path, text) else {
                continue;
            };
            if subnets.contains(&subnet) {
                self.error(
                    Code::DuplicateValue,
                    &path,
                    format!("{subnet} is here twice"),
                    "keep one of them",
                );
            } else {
                subnets.push(subnet);
            }
        }
        subnets
    }

    fn static_address(&mut self, fixed: &wire::StaticAddress) -> Option<site::UplinkAddressing> {
        let path = "spec.uplink.addressing.address";
        let gateway_path = "spec.uplink.addressing.gateway";
        let gateway = fixed
            .gateway
            .as_deref()
            .map(|text| self.address(gateway_path, text));
        let text = fixed.address.as_deref()?;
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let prefix: u8 = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix))?;
            let address: Ipv4Addr = address.parse().ok()?;
            Some((address, Subnet::of(address, prefix)))
        });
        let Some((address, subnet)) = parsed else {
            let what = format!("{} is no IPv4 address with a prefix length", show(text));
            self.error(Code::InvalidAddress, path, what, "write it as 203.0.113.2/30");
            return None;
        };
        let is_reserved =
            |address| subnet.prefix() <= 30 && (address == subnet.network() || address == subnet.broadcast());
        let hint = subnet
            .hosts()
            .map(|hosts| format!("the hosts of {subnet} are {hosts}"))
            .unwrap_or_default();
        if is_reserved(address) {
            let what = format!("{address} is the network or the broadcast address of {subnet}");
            self.error(Code::AddressReserved, path, what, hint.clone());
        }
        if let Some(Some(gateway)) = gateway {
            if !subnet.contains(gateway) {
                let what = format!("the gateway {gateway} is not in the uplink's network {subnet}");
                self.error(Code::AddressOutsideSubnet, gateway_path, what, hint);
            } else if gateway == address {
                let what = format!("the gateway {gateway} is the bastion itself");
                self.error(Code::DuplicateAddress, gateway_path, what, "name the next router");
            } else if is_reserved(gateway) {
                let what = format!("{gateway} is the network or the broadcast address of {subnet}");
                self.error(Code::AddressReserved, gateway_path, what, hint);
            }
        }
        let gateway = gateway.flatten();
        Some(site::UplinkAddressing::Static {
            address,
            subnet,
            gateway,
        })
    }

    fn published(&mut self, entries: &[wire::Publish]) {
        const PATH: &str = "spec.uplink.publish";
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        for (idx, entry) in entries.iter().enumerate() {
            let path = self.places.item(PATH, idx);
            let keys = match entry {
                wire::Publish::Word(service) => vec![word(*service)],
                wire::Publish::Entry(entry) => {
                    self.published_entry(&path, entry);
                    let name = entry
                        .name
                        .as_ref()
                        .map(|name| format!("a port named {}", show(name)));
                    let port = entry.port.as_ref().map(|port| format!("the port {}", show(port)));
                    entry
                        .service
                        .map(word)
                        .into_iter()
                        .chain(name)
                        .chain(port)
                        .collect()
                }
            };
            let line = self.places.mark(&path).line;
            if let Some((key, line)) = keys.iter().find_map(|key| Some((key, first.get(key)?))) {
                let what = format!("{key} is published already, on line {line}");
                self.error(Code::PublishedTwice, &path, what, "keep one of them");
            }
            for key in keys {
                first.entry(key).or_insert(line);
            }
        }
    }

    fn published_entry(&mut self, path: &str, entry: &wire::PublishEntry) {
        let own = entry.name.is_some() || entry.port.is_some() || entry.to.is_some();
        let complete = entry.name.is_some() && entry.port.is_some() && entry.to.is_some();
        if (entry.service.is_some() == own || (own && !complete)) && !self.is_told(path) {
            let what = "this is neither a service of the site nor a port with a name and a target";
            let hint = "write `{service: api}`, or `{name: mqtt, port: 8883/tcp, to: [\"node-1:8883\"]}`";
            self.error(Code::PublishUnclear, path, what, hint);
        }
        if let Some(name) = &entry.name {
            self.name(&join(path, "name"), name);
        }
        if let Some(port) = &entry.port {
            let good = port
                .split_once('/')
                .is_some_and(|(port, protocol)| is_port(port) && matches!(protocol, "tcp" | "udp"));
            if !good {
                let what = format!("{} is no port and protocol", show(port));
                self.error(
                    Code::InvalidPort,
                    &join(path, "port"),
                    what,
                    "such as 8883/tcp or 5000/udp",
                );
            }
        }
        if entry.port.as_deref() == Some("22623/tcp") {
            let what = "machine config has secrets of the cluster and asks for no password";
            let hint = "it is never reachable from the uplink";
            self.error(Code::PublishUnclear, &join(path, "port"), what, hint);
        }
        self.subnets(&join(path, "from"), entry.from.as_deref());
        for (idx, to) in entry.to.iter().flatten().enumerate() {
            if !to
                .rsplit_once(':')
                .is_some_and(|(host, port)| text::is_host(host) && is_port(port))
            {
                let path = self.places.item(&join(path, "to"), idx);
                let what = format!("{} is no host and port", show(to));
                self.error(Code::InvalidPort, &path, what, "such as node-1:8883");
            }
        }
    }

    /// Targets of published ports are hosts of the site.
    pub(super) fn published_hosts(&mut self, uplink: Option<&wire::Uplink>, names: &Names) {
        for (idx, entry) in uplink
            .and_then(|uplink| uplink.publish.as_ref())
            .into_iter()
            .flatten()
            .enumerate()
        {
            let wire::Publish::Entry(entry) = entry else {
                continue;
            };
            let list = join(&self.places.item("spec.uplink.publish", idx), "to");
            for (idx, to) in entry.to.iter().flatten().enumerate() {
                let host = to.rsplit_once(':').map_or("", |(host, _)| host);
                if let Some((what, hint)) = names.unknown(host).filter(|_| text::is_host(host)) {
                    let path = self.places.item(&list, idx);
                    self.warn(Code::UnknownHost, &path, what, hint);
                }
            }
        }
    }

    /// What is published, where it leads, and for whom. A target that has no address here is left out; of one
    /// that is unknown was told.
    pub(super) fn publish(
        &self,
        uplink: Option<&wire::Uplink>,
        trusted: &[Subnet],
        lan: &site::Lan,
        nodes: &BTreeMap<HostName, site::Node>,
    ) -> Vec<site::Published> {
        let address_of = |host: &str| {
            let own = host.parse::<HostName>().ok();
            let node = own
                .as_ref()
                .and_then(|name| nodes.get(name))
                .map(|node| node.address);
            let extra = own
                .as_ref()
                .and_then(|name| lan.hosts.get(name))
                .map(|host| host.address);
            node.or(extra).or_else(|| host.parse().ok())
        };
        let entries = uplink.and_then(|uplink| uplink.publish.as_ref());
        let mut published = Vec::new();
        for (idx, entry) in entries.into_iter().flatten().enumerate() {
            let (what, from) = match entry {
                wire::Publish::Word(service) => (service_target(*service), None),
                wire::Publish::Entry(entry) => {
                    let path = join(&self.places.item("spec.uplink.publish", idx), "from");
                    let from = entry.from.iter().flatten().filter_map(|text| text.parse().ok());
                    let from = (entry.from.is_some() || self.is_told(&path)).then(|| from.collect());
                    match (entry.service, port_target(entry, address_of)) {
                        (Some(service), _) => (service_target(service), from),
                        (None, Some(target)) => (target, from),
                        (None, None) => continue,
                    }
                }
            };
            let from = from.unwrap_or_else(|| trusted.to_vec());
            published.push(site::Published { what, from });
        }
        published
    }

    fn proxy(&mut self, proxy: &wire::Proxy) {
        let path = |key| join("spec.uplink.proxy", key);
        for (key, url) in [("http", &proxy.http), ("https", &proxy.https)] {
            if let Some(url) = url {
                self.url(
                    &path(key),
                    url,
                    &["http", "https"],
                    "http://proxy.example.com:3128",
                );
            }
        }
        for (idx, none) in proxy.none.iter().flatten().enumerate() {
            let good = none == "*"
                || text::is_host(
                    none.strip_prefix("*.")
                        .or_else(|| none.strip_prefix('.'))
                        .unwrap_or(none),
                )
                || none.parse::<Subnet>().is_ok();
            if !good {
                let what = format!("{} is no domain, address or network", show(none));
                self.error(
                    Code::UnknownValue,
                    &item(&path("none"), idx),
                    what,
                    "such as .example.com or 10.0.0.0/8",
                );
            }
        }
        if let Some(file) = &proxy.ca_file
            && (file.is_empty() || file.chars().any(char::is_control))
        {
            let what = format!("{} is no name of a file", show(file));
            self.error(Code::InvalidPath, &path("caFile"), what, "such as proxy-ca.pem");
        }
    }
}

const fn service_target(service: wire::PublishedService) -> site::PublishedTarget {
    match service {
        wire::PublishedService::Ssh => site::PublishedTarget::Ssh,
        wire::PublishedService::Console => site::PublishedTarget::Console,
        wire::PublishedService::Api => site::PublishedTarget::Api,
        wire::PublishedService::IngressHttp => site::PublishedTarget::IngressHttp,
        wire::PublishedService::IngressHttps => site::PublishedTarget::IngressHttps,
    }
}

fn port_target(
    entry: &wire::PublishEntry,
    address_of: impl Fn(&str) -> Option<Ipv4Addr>,
) -> Option<site::PublishedTarget> {
    let (port, protocol) = entry.port.as_deref()?.split_once('/')?;
    let targets = entry.to.iter().flatten().filter_map(|to| {
        let (host, port) = to.rsplit_once(':')?;
        Some(SocketAddrV4::new(address_of(host)?, port.parse().ok()?))
    });
    Some(site::PublishedTarget::Port {
        name: entry.name.as_deref()?.parse().ok()?,
        protocol: match protocol {
            "udp" => site::Transport::Udp,
            _ => site::Transport::Tcp,
        },
        port: port.parse().ok()?,
        to: targets.collect(),
    })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn word(service: wire::PublishedService) -> String {
    let word = match service {
        wire::PublishedService::Ssh => "ssh",
        wire::PublishedService::Console => "console",
        wire::PublishedService::Api => "api",
        wire::PublishedService::IngressHttp => "ingress-http",
        wire::PublishedService::IngressHttps => "ingress-https",
    };
    show(word)
}
