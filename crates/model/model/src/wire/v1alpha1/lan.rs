//! The network of the nodes, and the names and the time on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern;

wire! {
    /// The network of the nodes.
    #[schemars(extend("required" = ["interfaces"]))]
    Lan {
        /// The bastion's interfaces on it, at least one; several are bridged.
        #[schemars(extend("examples" = [["enp2s0"]]))]
        interfaces: Vec<String>,
        /// The network, from /8 to /29. The LAN has IPv4 addresses only.
        #[schemars(extend("default" = "192.168.8.0/24", "pattern" = pattern::NETWORK))]
        subnet: String,
        /// Largest packet, in bytes.
        #[schemars(extend("default" = 1500, "minimum" = 576, "maximum" = 9216))]
        mtu: u32,
        /// First and last address for machines that are not in this file. All other addresses of the subnet are for fixed ones. Default: the upper half of the subnet.
        #[schemars(extend("examples" = ["192.168.8.128-192.168.8.253"]))]
        dynamic_range: String,
        /// MACs that get no answer from DHCP.
        #[schemars(extend("default" = []), inner(regex(pattern = pattern::MAC)))]
        ignored_macs: Vec<String>,
        /// Addresses of the site itself; each may be set.
        addresses: LanAddresses,
        /// Neighbors that are no nodes.
        #[schemars(extend("default" = []))]
        hosts: Vec<Host>,
        /// Who on the LAN may use what of the bastion; if it is given, nobody else may use anything. Default: by role.
        firewall: Vec<FirewallRule>,
    }
}

wire! {
    /// Addresses of the site itself.
    LanAddresses {
        /// The bastion: gateway, name server, boot server. Default: the first address of the subnet.
        #[schemars(extend("examples" = ["192.168.8.1"], "pattern" = pattern::ADDRESS))]
        bastion: String,
        /// Virtual IP of the Kubernetes API; may be the bastion's own address. Default: the second address.
        #[schemars(extend("examples" = ["192.168.8.2"], "pattern" = pattern::ADDRESS))]
        api: String,
        /// Virtual IP of the ingress; may be the bastion's own address. Default: that of the API.
        #[schemars(extend("examples" = ["192.168.8.2"], "pattern" = pattern::ADDRESS))]
        ingress: String,
        /// The bootstrap machine, which is there only while a cluster is made. Default: the third address, or one that is free.
        #[schemars(extend("examples" = ["192.168.8.3"], "pattern" = pattern::ADDRESS))]
        bootstrap: String,
    }
}

wire! {
    /// A neighbor on the LAN that is no node.
    #[schemars(extend("required" = ["name"]))]
    Host {
        /// Its name, an RFC 1123 label.
        #[schemars(extend("examples" = ["printer"], "pattern" = pattern::LABEL))]
        name: String,
        /// Its MAC; with it, DHCP gives the host its address.
        #[schemars(extend("examples" = ["00:00:5e:00:53:10"], "pattern" = pattern::MAC))]
        mac: String,
        /// Its address. Default: follows from its name.
        #[schemars(extend("examples" = ["192.168.8.60"], "pattern" = pattern::ADDRESS))]
        address: String,
    }
}

wire! {
    /// Who on the LAN may use what of the bastion.
    #[schemars(extend("required" = ["from", "allow"]))]
    FirewallRule {
        /// Groups of machines (`nodes`, `bmcs`, `hosts`, `unknown`), or networks.
        #[schemars(extend("examples" = [["nodes", "bmcs"]]))]
        from: Vec<String>,
        /// Services of the bastion.
        #[schemars(extend("examples" = [["dns", "ntp"]]))]
        allow: Vec<LanService>,
    }
}

words! {
    /// A service of the bastion on the LAN.
    LanService {
        /// Addresses.
        Dhcp = "dhcp",
        /// Names.
        Dns = "dns",
        /// Time.
        Ntp = "ntp",
        /// Loaders, kernels and images.
        Netboot = "netboot",
        /// Ignition configs.
        Ignition = "ignition",
        /// Disk unlocking.
        Unlock = "unlock",
        /// SSH to the bastion.
        Ssh = "ssh",
        /// The web console.
        Console = "console",
        /// The Kubernetes API.
        Api = "api",
        /// Container images.
        Registry = "registry",
        /// The cluster's own services behind the virtual IP: ingress, and published ports.
        Ingress = "ingress",
    }
}

wire! {
    /// Name service beyond the names that follow from the site itself.
    Dns {
        /// Resolvers that answer for the rest of the world. Default: none, so that only the site's own names resolve.
        #[schemars(extend("examples" = [["9.9.9.9", "1.1.1.1"]]), inner(regex(pattern = pattern::ADDRESS)))]
        forwarders: Vec<String>,
        /// Further records of the site's zone.
        #[schemars(extend("default" = []))]
        records: Vec<Record>,
    }
}

wire! {
    /// A further record of the site's zone: exactly one of `a`, `cname` and `txt`.
    #[schemars(extend("required" = ["name"]))]
    Record {
        /// Name in the zone, an RFC 1123 label.
        #[schemars(extend("examples" = ["registry"], "pattern" = pattern::LABEL))]
        name: String,
        /// An address.
        #[schemars(extend("pattern" = pattern::ADDRESS))]
        a: String,
        /// An alias: a name of the site, or a full name with dots.
        #[schemars(extend("examples" = ["bastion"]))]
        cname: String,
        /// Text of at most 255 bytes.
        txt: String,
    }
}

wire! {
    /// Time service.
    Time {
        /// Upstream time servers. Default: those that the bastion's own system uses.
        sources: Vec<TimeSource>,
        /// Stratum to claim when no source answers.
        #[schemars(extend("default" = 10, "minimum" = 1, "maximum" = 15))]
        orphan_stratum: u8,
    }
}

wire! {
    /// An upstream time server.
    #[schemars(extend("required" = ["server"]))]
    TimeSource {
        /// Its name or address.
        #[schemars(extend("examples" = ["time.example.com"]))]
        server: String,
    }
}
