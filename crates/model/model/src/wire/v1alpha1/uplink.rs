//! The bastion's side towards the rest of the world.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern;

wire! {
    /// The bastion's side towards the rest of the world.
    #[schemars(extend("required" = ["interface"]))]
    Uplink {
        /// Which interface it is: its name, or its MAC where names move.
        #[schemars(extend("examples" = ["enp1s0"]))]
        interface: InterfaceRef,
        /// How it gets its address.
        #[schemars(extend("default" = "dhcp"))]
        addressing: UplinkAddressing,
        /// How nodes and the outside reach each other.
        #[schemars(extend("default" = "pat"))]
        gateway_mode: GatewayMode,
        /// Networks that may come in: to the nodes in `nat` mode, and to what is published without a list of its own.
        #[schemars(extend("default" = []), inner(regex(pattern = pattern::NETWORK)))]
        trusted_networks: Vec<String>,
        /// What is reachable from outside.
        #[schemars(extend("default" = []))]
        publish: Vec<Publish>,
        /// Proxy towards the outside. Default: none.
        proxy: Proxy,
    }
}

/// An interface: its name, or its MAC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InterfaceRef {
    /// Its name, as `ip link` shows it.
    Name(String),
    /// Its MAC.
    ByMac(InterfaceByMac),
}

wire! {
    /// An interface that is found by its MAC.
    #[schemars(extend("required" = ["mac"]))]
    InterfaceByMac {
        /// Its MAC.
        #[schemars(extend("examples" = ["00:00:5e:00:53:f0"], "pattern" = pattern::MAC))]
        mac: String,
    }
}

/// How the uplink gets its address: a word, or an address of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UplinkAddressing {
    /// `dhcp` or `host`.
    Word(UplinkAddressingWord),
    /// An address of its own.
    Static(StaticAddress),
}

words! {
    /// How the uplink gets its address, in a word.
    UplinkAddressingWord {
        /// By DHCP.
        Dhcp = "dhcp",
        /// The host's own network manager sees to it.
        Host = "host",
    }
}

wire! {
    /// A fixed address.
    #[schemars(extend("required" = ["address"]))]
    StaticAddress {
        /// The address with its prefix length.
        #[schemars(extend("examples" = ["203.0.113.2/30"], "pattern" = pattern::NETWORK))]
        address: String,
        /// The next hop, another address of the same network. Default: none, so that the uplink leads only to its own network.
        #[schemars(extend("examples" = ["203.0.113.1"], "pattern" = pattern::ADDRESS))]
        gateway: String,
    }
}

words! {
    /// How nodes and the outside reach each other.
    GatewayMode {
        /// Only what is published is reachable from outside; nodes go out by masquerade.
        Pat = "pat",
        /// The enterprise routes to the LAN through the bastion.
        Nat = "nat",
    }
}

/// Something that is reachable from outside: a service of the site, or a port of your own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Publish {
    /// A service of the site, for the trusted networks.
    Word(PublishedService),
    /// A service or a port, in detail.
    Entry(PublishEntry),
}

words! {
    /// A service of the site that can be published.
    PublishedService {
        /// SSH to the bastion.
        Ssh = "ssh",
        /// The web console.
        Console = "console",
        /// The Kubernetes API.
        Api = "api",
        /// HTTP ingress.
        IngressHttp = "ingress-http",
        /// HTTPS ingress.
        IngressHttps = "ingress-https",
    }
}

wire! {
    /// A published service (`service`), or a port of your own (`name`, `port` and `to`).
    PublishEntry {
        /// A service of the site.
        service: PublishedService,
        /// Name of a port of your own.
        #[schemars(extend("examples" = ["mqtt"], "pattern" = pattern::LABEL))]
        name: String,
        /// Its number and protocol, `tcp` or `udp`.
        #[schemars(extend("examples" = ["8883/tcp"], "pattern" = "^[0-9]{1,5}/(tcp|udp)$"))]
        port: String,
        /// Where it leads, balanced over all: `host:port` with a host of the site or an address.
        #[schemars(extend("examples" = [["node-1:8883", "node-2:8883"]]))]
        to: Vec<String>,
        /// Networks that may come in. Default: `trustedNetworks`.
        #[schemars(extend("examples" = [["198.51.100.0/24"]]), inner(regex(pattern = pattern::NETWORK)))]
        from: Vec<String>,
    }
}

wire! {
    /// Proxy towards the outside.
    Proxy {
        /// URL of the proxy for HTTP.
        #[schemars(extend("examples" = ["http://proxy.example.com:3128"]))]
        http: String,
        /// URL of the proxy for HTTPS.
        #[schemars(extend("examples" = ["http://proxy.example.com:3128"]))]
        https: String,
        /// Domains (with a dot before them: all below), addresses and networks that are reached without it.
        #[schemars(extend("examples" = [[".example.com"]]))]
        none: Vec<String>,
        /// File beside the site file with the certificates of the proxy's authority, in PEM.
        #[schemars(extend("examples" = ["proxy-ca.pem"]))]
        ca_file: String,
    }
}
