//! What the server answers with, compiled from the site.

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
};

use faros_model::{
    ids::{DomainName, HostName, MacAddr},
    net::{Range, Subnet},
    ports::NETBOOT_HTTP,
    site::Site,
};

use crate::{
    message::{Message, opt},
    reply::Reply,
};

/// Length of a lease in seconds: a day. A node keeps its address through a night without a bastion, and
/// an address that nobody uses comes back within a day.
pub(crate) const LEASE_SECONDS: u32 = 24 * 60 * 60;

/// An address that is kept for one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The address.
    pub address: Ipv4Addr,
    /// The machine's name.
    pub name: HostName,
    /// Whether it is a node of the cluster, which may boot from the network.
    pub is_node: bool,
}

/// What the server answers with. Made anew for every generation, and swapped in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    pub(crate) bastion: Ipv4Addr,
    pub(crate) subnet: Subnet,
    pub(crate) pool: Range,
    pub(crate) reservations: HashMap<MacAddr, Reservation>,
    pub(crate) kept: HashSet<Ipv4Addr>,
    ignored: HashSet<MacAddr>,
    zone: DomainName,
    mtu: u16,
    netboot: bool,
}

impl Tables {
    /// The tables of a site.
    pub fn compile(site: &Site) -> Self {
        let mut reservations = HashMap::new();
        for node in site.nodes.values() {
            let own = Reservation {
                address: node.address,
                name: node.name.clone(),
                is_node: true,
            };
            reservations.extend(node.macs().map(|mac| (mac, own.clone())));
            if let Some(bmc) = &node.bmc
                && let (Some(mac), Ok(name)) = (bmc.mac, format!("{}-mgmt", node.name).parse())
            {
                reservations.insert(
                    mac,
                    Reservation {
                        address: bmc.address,
                        name,
                        is_node: false,
                    },
                );
            }
        }
        for host in site.lan.hosts.values() {
            if let Some(mac) = host.mac {
                let own = Reservation {
                    address: host.address,
                    name: host.name.clone(),
                    is_node: false,
                };
                reservations.insert(mac, own);
            }
        }
        let addresses = site.lan.addresses;
        let mut kept: HashSet<Ipv4Addr> = reservations.values().map(|own| own.address).collect();
        kept.extend([
            addresses.bastion,
            addresses.api,
            addresses.ingress,
            addresses.bootstrap,
        ]);
        kept.extend(site.lan.hosts.values().map(|host| host.address));
        Self {
            bastion: addresses.bastion,
            subnet: site.lan.subnet,
            pool: bounded(site.lan.dynamic_range),
            reservations,
            kept,
            ignored: site.lan.ignored_macs.iter().copied().collect(),
            zone: site.zone(),
            mtu: site.lan.mtu,
            netboot: site.services.netboot,
        }
    }

    /// The bastion's address on the LAN.
    pub const fn bastion(&self) -> Ipv4Addr {
        self.bastion
    }

    /// The machine that owns `mac`.
    pub fn reservation(&self, mac: MacAddr) -> Option<&Reservation> {
        self.reservations.get(&mac)
    }

    /// The machine that speaks: by its hardware address, or by a client identifier that is one by convention
    /// (RFC 2132 section 9.14), as other interfaces of the same machine send it.
    pub(crate) fn reservation_of(&self, message: &Message) -> Option<&Reservation> {
        let by_id = || match message.options.get(opt::CLIENT_ID)? {
            [1, mac @ ..] => self.reservation(MacAddr(mac.try_into().ok()?)),
            _ => None,
        };
        self.reservation(message.mac).or_else(by_id)
    }

    pub(crate) fn is_ignored(&self, mac: MacAddr) -> bool {
        self.ignored.contains(&mac)
    }

    /// Adds the options that describe the network, as far as the client asked for them; all that have weight if
    /// it did not ask. Heaviest first.
    pub(crate) fn describe_network(&self, message: &Message, reply: &mut Reply<'_>) {
        let asked = message.options.get(opt::PARAMETERS);
        let is_wanted = |code: u8| match asked {
            Some(asked) => asked.contains(&code),
            None => !matches!(code, opt::ROUTES | opt::SEARCH),
        };
        let bastion = self.bastion.octets();
        // Without these a client is lost, whether it asked or not.
        reply.option(opt::SUBNET_MASK, &self.subnet.netmask().octets());
        reply.option(opt::ROUTER, &bastion);
        reply.option(opt::DNS, &bastion);
        let mut add = |code, value: &[u8]| {
            if is_wanted(code) {
                reply.option(code, value);
            }
        };
        if let Some(own) = self.reservation_of(message) {
            add(opt::HOST_NAME, own.name.as_str().as_bytes());
        }
        add(opt::DOMAIN, self.zone.as_str().as_bytes());
        add(opt::BROADCAST, &self.subnet.broadcast().octets());
        // The usual MTU too: a machine that was given another before keeps it for as long as nothing is said.
        add(opt::MTU, &self.mtu.to_be_bytes());
        add(opt::NTP, &bastion);
        // A client that takes option 121 ignores option 3, so the default route stands in both (RFC 3442).
        let [a, b, c, d] = bastion;
        add(opt::ROUTES, &[0, a, b, c, d]);
        if is_wanted(opt::SEARCH) {
            reply.option(opt::SEARCH, &encoded_name(&self.zone));
        }
    }

    /// What a machine is to load, if it boots from the network and is one of ours.
    ///
    /// A machine asks up to three times on one boot: its firmware, then iPXE, then the system that was
    /// loaded; only the options tell them apart. Without a row in this table it gets no boot file.
    pub(crate) fn boot_file(&self, message: &Message) -> Option<BootFile> {
        if !self.netboot || !self.reservation(message.mac).is_some_and(|own| own.is_node) {
            return None;
        }
        let http = format!("http://{}:{NETBOOT_HTTP}", self.bastion);
        let vendor = message.text(opt::VENDOR_CLASS).unwrap_or_default();
        if message.is_ipxe() {
            let file = format!("{http}/boot/{}.ipxe", message.mac.hyphenated());
            return Some(BootFile { file, class: None });
        }
        if vendor.starts_with("HTTPClient") {
            let loader = match message.architecture()? {
                16 => "ipxe.efi",
                19 => "ipxe-arm64.efi",
                _ => return None,
            };
            return Some(BootFile {
                file: format!("{http}/loader/{loader}"),
                class: Some("HTTPClient"),
            });
        }
        if vendor.starts_with("PXEClient") {
            // RFC 4578 section 2.1; 9 is what x64 firmware really sends besides 7.
            let loader = match message.architecture().unwrap_or(0) {
                0 => "undionly.kpxe",
                7 | 9 => "snponly.efi",
                11 => "snponly-arm64.efi",
                _ => return None,
            };
            return Some(BootFile {
                file: loader.to_owned(),
                class: Some("PXEClient"),
            });
        }
        None
    }
}

/// What a machine is to load.
pub(crate) struct BootFile {
    /// File name for TFTP, or URL.
    pub(crate) file: String,
    /// The vendor class that the firmware wants to see in the answer.
    pub(crate) class: Option<&'static str>,
}

/// All that is remembered per address is bounded by this range, so it ends after 65,536 addresses.
fn bounded(range: Range) -> Range {
    let last = range
        .first()
        .to_bits()
        .saturating_add(0xffff)
        .min(range.last().to_bits());
    Range::new(range.first(), Ipv4Addr::from_bits(last)).unwrap_or(range)
}

/// A name as DNS encodes it (RFC 3397), without compression.
fn encoded_name(name: &DomainName) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.as_str().split('.') {
        #[expect(clippy::cast_possible_truncation, reason = "a label has at most 63 bytes")]
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
