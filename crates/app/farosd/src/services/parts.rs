//! The parts that have sockets, where they listen, and who has a port that they cannot have.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use faros_model::{
    lease::Lease,
    plan::Service,
    ports::{DHCP_SERVER, DNS, NETBOOT_HTTP, NTP, REGISTRY, TFTP, UNLOCK},
};
use faros_net::{dhcp::LeaseLog, service::BindError};
use tokio_util::sync::CancellationToken;

use crate::daemon::Intent;

/// The parts that have sockets. Boot scripts, content and Ignition configs share the HTTP part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Dns,
    Http,
    Tftp,
    Dhcp,
    Unlock,
    Ntp,
    Registry,
}

impl Part {
    pub(super) const ALL: [Self; 7] = [
        Self::Dns,
        Self::Http,
        Self::Tftp,
        Self::Dhcp,
        Self::Unlock,
        Self::Ntp,
        Self::Registry,
    ];

    /// The services that need it.
    pub(super) const fn services(self) -> &'static [Service] {
        match self {
            Self::Dns => &[Service::Dns],
            Self::Http => &[Service::Netboot, Service::Ignition],
            Self::Tftp => &[Service::Netboot],
            Self::Dhcp => &[Service::Dhcp],
            Self::Unlock => &[Service::Unlock],
            Self::Ntp => &[Service::Ntp],
            Self::Registry => &[Service::Registry],
        }
    }
}

/// A part that is bound, waiting to be run.
pub(super) type Start =
    Box<dyn FnOnce(CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The intent that a part serves, if any of its services runs.
pub(super) fn serves(served: &BTreeMap<Service, Arc<Intent>>, part: Part) -> Option<Arc<Intent>> {
    let own = part
        .services()
        .iter()
        .filter_map(|service| Some((service, served.get(service)?)));
    own.filter(|(service, intent)| intent.site.runs(**service))
        .map(|(_, intent)| Arc::clone(intent))
        .next()
}

pub(super) fn listens_on(part: Part, address: Ipv4Addr) -> Vec<String> {
    match part {
        Part::Dns => vec![format!("udp {address}:{DNS}"), format!("tcp {address}:{DNS}")],
        Part::Http => vec![format!("tcp {address}:{NETBOOT_HTTP}")],
        Part::Tftp => vec![format!("udp {address}:{TFTP}")],
        Part::Ntp => vec![format!("udp {address}:{NTP}")],
        Part::Unlock => vec![format!("tcp {address}:{UNLOCK}")],
        Part::Registry => vec![format!("tcp {address}:{REGISTRY}")],
        Part::Dhcp => vec![format!("udp 0.0.0.0:{DHCP_SERVER}, on the LAN's interface only")],
    }
}

/// Why a port cannot be had, and by whom it is held.
pub(super) fn taken(error: &BindError) -> String {
    let what = format!("{error}: {}", error.source);
    if error.source.kind() != std::io::ErrorKind::AddrInUse {
        return what;
    }
    format!(
        "{what}: {}",
        held(error.protocol, *error.address.ip(), error.address.port())
    )
}

/// Why DHCP does not serve an interface that is there.
pub(super) fn dhcp_taken(why: &str) -> String {
    match faros_kernel::ports::holder("udp", Ipv4Addr::UNSPECIFIED, DHCP_SERVER) {
        Some(_) => format!("{why}: {}", held("udp", Ipv4Addr::UNSPECIFIED, DHCP_SERVER)),
        None => why.to_owned(),
    }
}

fn held(protocol: &str, address: Ipv4Addr, port: u16) -> String {
    match faros_kernel::ports::holder(protocol, address, port) {
        Some(holder) => format!(
            "{} (process {}) has it; stop that service, then this one starts by itself",
            holder.command, holder.pid
        ),
        None => "another program has it".to_owned(),
    }
}

/// Leases go to the store.
pub(super) struct StoredLeases(pub(super) faros_store::Store);

impl LeaseLog for StoredLeases {
    fn append(&self, leases: Vec<Lease>, done: Box<dyn FnOnce(bool) + Send>) {
        self.0.append_leases(leases, done);
    }
}
