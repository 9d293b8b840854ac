//! The uplink, the cluster's networks, DNS, virtual machines and unlocking.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{
    ids::{DomainName, HostName, MacAddr},
    net::{ParseSubnet, Subnet},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, text};

impl Check<'_> {
    pub(super) fn subnet(&mut self, path: &str, text: &str) -> Option<Subnet> {
        match text.parse::<Subnet>() {
            Ok(subnet) => Some(subnet),
            Err(ParseSubnet::HostBits(subnet)) => {
                let what = format!("`{text}` is an address in a network, not a network");
                self.error("invalid-subnet", path, what, format!("the network is {subnet}"));
                None
            }
            Err(why) => {
                self.error(
                    "invalid-subnet",
                    path,
                    format!("`{text}` {why}"),
                    "such as 192.168.8.0/24",
                );
                None
            }
        }
    }

    pub(super) fn uplink(&mut self, uplink: Option<&wire::Uplink>) -> Option<site::Uplink> {
        let uplink = uplink?;
        let interface = match &uplink.interface {
            None => None,
            Some(wire::InterfaceRef::Name(name)) => text::interface(self, "spec.uplink.interface", name)
                .then(|| site::InterfaceRef::Name(name.clone())),
            Some(wire::InterfaceRef::ByMac(by)) => {
                let mac = by.mac.as_deref();
                mac.and_then(|mac| self.mac("spec.uplink.interface.mac", mac))
                    .map(site::InterfaceRef::Mac)
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
        let trusted = uplink.trusted_networks.clone().unwrap_or_default();
        let trusted = trusted.iter().enumerate().filter_map(|(idx, text)| {
            let path = self.places.item("spec.uplink.trustedNetworks", idx);
            self.subnet(&path, text)
        });
        let trusted_networks = trusted.collect();
        for (idx, entry) in uplink.publish.iter().flatten().enumerate() {
            let path = self.places.item("spec.uplink.publish", idx);
            if let wire::Publish::Entry(entry) = entry {
                self.publish(&path, entry);
            }
        }
        self.publish_twice(uplink.publish.as_deref().unwrap_or_default());
        let gateway_mode = match uplink.gateway_mode {
            Some(wire::GatewayMode::Nat) => site::GatewayMode::Nat,
            Some(wire::GatewayMode::Pat) | None => site::GatewayMode::Pat,
        };
        Some(site::Uplink {
            interface: interface?,
            addressing: addressing?,
            gateway_mode,
            trusted_networks,
        })
    }

    fn static_address(&mut self, fixed: &wire::StaticAddress) -> Option<site::UplinkAddressing> {
        let path = "spec.uplink.addressing.address";
        let text = fixed.address.as_deref()?;
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(address, prefix)| {
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            let address: Ipv4Addr = address.parse().ok()?;
            Some((address, Subnet::of(address, prefix)))
        });
        let Some((address, subnet)) = parsed else {
            let what = format!("`{text}` is no address with a prefix length");
            self.error("invalid-address", path, what, "such as 203.0.113.2/30");
            return None;
        };
        let gateway = match fixed.gateway.as_deref() {
            None => None,
            Some(text) => Some(self.address("spec.uplink.addressing.gateway", text)?),
        };
        if let Some(gateway) = gateway
            && (!subnet.contains(gateway) || gateway == address)
        {
            let what = format!("the gateway {gateway} is not another address of {subnet}");
            let hint = "the next hop is in the same network as the uplink's own address";
            self.error(
                "address-outside-subnet",
                "spec.uplink.addressing.gateway",
                what,
                hint,
            );
        }
        Some(site::UplinkAddressing::Static {
            address,
            subnet,
            gateway,
        })
    }

    fn publish(&mut self, path: &str, entry: &wire::PublishEntry) {
        match (entry.service, &entry.name, &entry.port) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => (),
            _ if self.is_told(path) => (),
            _ => {
                let what = "this is neither a service nor a port of your own";
                let hint = "write `{service: api}`, or `{name: mqtt, port: 8883/tcp, to: [\"node-1:8883\"]}`";
                self.error("publish-unclear", path, what, hint);
            }
        }
        if let Some(name) = &entry.name {
            self.name(&format!("{path}.name"), name);
        }
        if let Some(port) = &entry.port {
            let good = port.split_once('/').is_some_and(|(port, protocol)| {
                port.parse::<u16>().is_ok_and(|port| port > 0) && matches!(protocol, "tcp" | "udp")
            });
            if !good {
                let what = format!("`{port}` is no port and protocol");
                self.error(
                    "invalid-port",
                    &format!("{path}.port"),
                    what,
                    "such as 8883/tcp or 5000/udp",
                );
            }
        }
        for (idx, from) in entry.from.iter().flatten().enumerate() {
            let path = self.places.item(&format!("{path}.from"), idx);
            self.subnet(&path, from);
        }
        for (idx, to) in entry.to.iter().flatten().enumerate() {
            let path = self.places.item(&format!("{path}.to"), idx);
            if !to
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
            {
                self.error(
                    "invalid-port",
                    &path,
                    format!("`{to}` is no host and port"),
                    "such as node-1:8883",
                );
            }
        }
    }

    fn publish_twice(&mut self, entries: &[wire::Publish]) {
        let mut seen = BTreeSet::new();
        for (idx, entry) in entries.iter().enumerate() {
            let key = match entry {
                wire::Publish::Word(service) => format!("{service:?}"),
                wire::Publish::Entry(entry) => match (&entry.service, &entry.port) {
                    (Some(service), _) => format!("{service:?}"),
                    (None, Some(port)) => port.clone(),
                    (None, None) => continue,
                },
            };
            if !seen.insert(key) {
                let path = self.places.item("spec.uplink.publish", idx);
                self.error(
                    "published-twice",
                    &path,
                    "this is published already, further up",
                    "keep one of them",
                );
            }
        }
    }

    pub(super) fn cluster(&mut self, cluster: Option<&wire::Cluster>) -> Option<site::Cluster> {
        let cluster = cluster.cloned().unwrap_or_default();
        let pods = cluster.pod_network.as_deref().unwrap_or("10.128.0.0/14");
        let services = cluster.service_network.as_deref().unwrap_or("172.30.0.0/16");
        let pod_network = self.subnet("spec.cluster.podNetwork", pods);
        let service_network = self.subnet("spec.cluster.serviceNetwork", services);
        let distribution = match cluster.distribution {
            Some(wire::Distribution::Openshift) => site::Distribution::Openshift,
            Some(wire::Distribution::None) => site::Distribution::None,
            Some(wire::Distribution::Kubeadm) | None => site::Distribution::Kubeadm,
        };
        if let Some(version) = &cluster.version {
            let number = version.strip_prefix('v').unwrap_or(version);
            let parts: Vec<_> = number.split('.').collect();
            if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| part.parse::<u16>().is_ok()) {
                let what = format!("`{version}` is no version");
                self.error("invalid-version", "spec.cluster.version", what, "such as v1.34.2");
            }
        }
        if let Some(name) = cluster
            .pull_secret_ref
            .as_ref()
            .and_then(|secret| secret.name.as_deref())
        {
            self.name("spec.cluster.pullSecretRef.name", name);
        }
        let network_plugin = match cluster.network_plugin {
            Some(wire::NetworkPlugin::Cilium) => "cilium",
            Some(wire::NetworkPlugin::Calico) => "calico",
            Some(wire::NetworkPlugin::Flannel) => "flannel",
            Some(wire::NetworkPlugin::Bridge) | None => "bridge",
        };
        Some(site::Cluster {
            distribution,
            version: cluster.version,
            pod_network: pod_network?,
            service_network: service_network?,
            network_plugin: network_plugin.to_owned(),
        })
    }

    /// No two networks of the site may share an address.
    pub(super) fn networks(
        &mut self,
        lan: Option<Subnet>,
        uplink: Option<&site::Uplink>,
        cluster: Option<&site::Cluster>,
    ) {
        let uplink = uplink.and_then(|uplink| match uplink.addressing {
            site::UplinkAddressing::Static { subnet, .. } => Some(subnet),
            site::UplinkAddressing::Dhcp | site::UplinkAddressing::Host => None,
        });
        let networks = [
            ("the LAN", "spec.lan.subnet", lan),
            ("the uplink", "spec.uplink.addressing.address", uplink),
            (
                "the pods",
                "spec.cluster.podNetwork",
                cluster.map(|cluster| cluster.pod_network),
            ),
            (
                "the services",
                "spec.cluster.serviceNetwork",
                cluster.map(|cluster| cluster.service_network),
            ),
        ];
        for (idx, (name, path, network)) in networks.iter().enumerate() {
            for (other_name, _, other) in &networks[..idx] {
                if let (Some(network), Some(other)) = (network, other)
                    && network.overlaps(*other)
                {
                    let what = format!(
                        "the network of {}, {network}, overlaps that of {}, {other}",
                        &name[4..],
                        &other_name[4..]
                    );
                    self.error(
                        "networks-overlap",
                        path,
                        what,
                        "give each its own part of the private addresses",
                    );
                }
            }
        }
    }

    pub(super) fn dns(
        &mut self,
        dns: Option<&wire::Dns>,
        lan: Option<&site::Lan>,
        nodes: Option<&BTreeMap<HostName, site::Node>>,
        name: Option<&HostName>,
        domain: Option<&DomainName>,
    ) -> site::Dns {
        let dns = dns.cloned().unwrap_or_default();
        let mut forwarders = Vec::new();
        for (idx, text) in dns.forwarders.iter().flatten().enumerate() {
            let path = self.places.item("spec.dns.forwarders", idx);
            let Some(address) = self.address(&path, text) else {
                continue;
            };
            if lan.is_some_and(|lan| lan.addresses.bastion == address) || address.is_loopback() {
                let what = format!("{address} is the bastion itself: names would be asked in a circle");
                self.error(
                    "forwarder-is-bastion",
                    &path,
                    what,
                    "name a resolver beyond the uplink",
                );
            } else if forwarders.contains(&address) {
                self.error(
                    "duplicate-address",
                    &path,
                    format!("{address} is here twice"),
                    "keep one of them",
                );
            } else {
                forwarders.push(address);
            }
        }
        let mut taken: BTreeSet<String> = RESERVED.iter().map(|name| (*name).to_owned()).collect();
        taken.extend(
            nodes
                .into_iter()
                .flatten()
                .flat_map(|(name, _)| [name.to_string(), format!("{name}-mgmt")]),
        );
        taken.extend(
            lan.into_iter()
                .flat_map(|lan| lan.hosts.keys().map(HostName::to_string)),
        );
        let mut records = Vec::new();
        for (idx, record) in dns.records.iter().flatten().enumerate() {
            let path = self.places.item("spec.dns.records", idx);
            let record_name = record.name.as_deref();
            let record_name = record_name.and_then(|text| self.name(&format!("{path}.name"), text));
            if let Some(own) = &record_name
                && taken.contains(own.as_str())
            {
                let what = format!("`{own}` is a name of the site already");
                self.error(
                    "duplicate-name",
                    &format!("{path}.name"),
                    what,
                    "choose another name for the record",
                );
            }
            let data = match (&record.a, &record.cname, &record.txt) {
                (Some(a), None, None) => self.address(&format!("{path}.a"), a).map(site::DnsData::A),
                (None, Some(cname), None) => {
                    let inside = |label: HostName| Some(domain?.child(name?).child(&label));
                    let target = if cname.contains('.') {
                        self.parse(
                            "invalid-domain",
                            &format!("{path}.cname"),
                            cname.trim_end_matches('.'),
                            "",
                        )
                    } else {
                        self.name(&format!("{path}.cname"), cname).and_then(inside)
                    };
                    target.map(site::DnsData::Cname)
                }
                (None, None, Some(txt)) if txt.len() <= 255 => Some(site::DnsData::Txt(txt.clone())),
                (None, None, Some(_)) => {
                    let what = "the text has more than 255 bytes";
                    self.error(
                        "text-too-long",
                        &format!("{path}.txt"),
                        what,
                        "split it over two records",
                    );
                    None
                }
                _ if self.is_told(&path) => None,
                _ => {
                    let what = "a record has exactly one of `a`, `cname` and `txt`";
                    self.error(
                        "record-unclear",
                        &path,
                        what,
                        "such as {name: registry, cname: bastion}",
                    );
                    None
                }
            };
            if let (Some(name), Some(data)) = (record_name, data) {
                records.push(site::DnsRecord { name, data });
            }
        }
        site::Dns { forwarders, records }
    }

    pub(super) fn mac(&mut self, path: &str, text: &str) -> Option<MacAddr> {
        let mac: MacAddr = self.parse(
            "invalid-mac",
            path,
            text,
            "six two-digit hexadecimal numbers joined by colons",
        )?;
        if mac.is_zero() {
            self.error(
                "invalid-mac",
                path,
                "this MAC is all zero",
                "read it off the machine, or its label",
            );
            return None;
        }
        if !mac.is_unicast() {
            let hint = "a machine's own MAC has an even first octet";
            self.error(
                "invalid-mac",
                path,
                format!("{mac} is a group address, not that of one machine"),
                hint,
            );
            return None;
        }
        Some(mac)
    }

    pub(super) fn machines(&mut self, spec: &wire::Spec) {
        let nodes = spec.nodes.iter().flatten().filter_map(|node| node.name.clone());
        let mut names: BTreeSet<String> = nodes.collect();
        for (idx, machine) in spec.machines.iter().flatten().enumerate() {
            let path = self.places.item("spec.machines", idx);
            if let Some(name) = &machine.name {
                self.name(&format!("{path}.name"), name);
                if !names.insert(name.clone()) {
                    let what = format!("`{name}` is the name of another machine already");
                    self.error(
                        "duplicate-name",
                        &format!("{path}.name"),
                        what,
                        "each machine has a name of its own",
                    );
                }
            }
            if machine.cores == Some(0) {
                self.error(
                    "number-out-of-range",
                    &format!("{path}.cores"),
                    "a machine needs a core",
                    "",
                );
            }
            if let Some(memory) = &machine.memory {
                text::size(self, &format!("{path}.memory"), memory);
            }
            for (idx, device) in machine.pci_devices.iter().flatten().enumerate() {
                let path = self.places.item(&format!("{path}.pciDevices"), idx);
                let parts: Vec<&str> = device.split([':', '.']).collect();
                let lengths = [4, 2, 2, 1];
                let good = parts.len() == 4
                    && parts.iter().zip(lengths).all(|(part, length)| {
                        part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit())
                    });
                if !good {
                    let what = format!("`{device}` is no PCI address");
                    self.error(
                        "invalid-pci-address",
                        &path,
                        what,
                        "as `lspci -D` shows it, such as 0000:3b:00.0",
                    );
                }
            }
        }
    }

    pub(super) fn unlock(&mut self, spec: &wire::Spec) {
        if let Some(url) = spec.secrets.as_ref().and_then(|secrets| match &secrets.backend {
            Some(wire::SecretsBackend::Vault(vault)) => vault.vault.as_ref()?.address.as_deref(),
            _ => None,
        }) && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            let what = format!("`{url}` is no URL");
            self.error(
                "invalid-url",
                "spec.secrets.backend.vault.address",
                what,
                "such as https://vault.example.com:8200",
            );
        }
    }
}

/// Names that the site makes itself.
pub(super) const RESERVED: &[&str] = &[
    "bastion",
    "api",
    "api-int",
    "apps",
    "ns",
    "bootstrap",
    "localhost",
];
