//! The port numbers on which a bastion listens, and ranges of ports.

use std::fmt;

/// DHCP server (RFC 2131 section 4.1), UDP.
pub const DHCP_SERVER: u16 = 67;
/// DHCP client (RFC 2131 section 4.1), UDP.
pub const DHCP_CLIENT: u16 = 68;
/// DNS (RFC 1035 section 4.2), UDP and TCP.
pub const DNS: u16 = 53;
/// TFTP (RFC 1350), UDP.
pub const TFTP: u16 = 69;
/// NTP (RFC 5905), UDP.
pub const NTP: u16 = 123;
/// Network boot over HTTP: boot scripts, loaders, content, Ignition configs and node reports, TCP.
pub const NETBOOT_HTTP: u16 = 8080;
/// Unlocking of disks by Tang's protocol, TCP; the port that the Faros clusters of old gave to Tang.
pub const UNLOCK: u16 = 8082;
/// SSH (RFC 4251), TCP.
pub const SSH: u16 = 22;
/// The web console, TCP; the port that Cockpit has.
pub const CONSOLE: u16 = 9090;
/// Container images, TCP.
pub const REGISTRY: u16 = 5000;
/// The Kubernetes API, TCP.
pub const KUBERNETES_API: u16 = 6443;
/// `OpenShift`'s machine config server, TCP: secrets of the cluster, without a password.
pub const MACHINE_CONFIG: u16 = 22623;
/// HTTP ingress, TCP.
pub const INGRESS_HTTP: u16 = 80;
/// HTTPS ingress, TCP.
pub const INGRESS_HTTPS: u16 = 443;

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange(pub u16, pub u16);

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self(port, port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(first, last) if first == last => write!(f, "{first}"),
            Self(first, last) => write!(f, "{first}-{last}"),
        }
    }
}
