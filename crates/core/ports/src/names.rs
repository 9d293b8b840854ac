//! The names that a site has by pattern: data, as the ports are.

use std::net::Ipv4Addr;

use faros_model::{ids::HostName, plan::Service, site::Site};
use serde::Serialize;

use crate::{Matrix, Need, Source};

/// A pattern of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamePattern {
    /// The name, below the site's zone; `<node>` and the like stand for names of the site file.
    pub pattern: &'static str,
    /// Whose matrix it is of.
    pub matrix: Matrix,
    /// What it is for.
    pub what: &'static str,
    /// Whose address it has.
    pub of: NameOf,
    /// Whether the address leads back to the name.
    pub has_pointer: bool,
    /// How much it is needed.
    pub need: Need,
    /// Who says so.
    pub source: Source,
}

/// Whose address a name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameOf {
    /// The bastion's.
    Bastion,
    /// The bastion's, where it serves images, unless the site file has the name for something else.
    Registry,
    /// The API's virtual IP.
    Api,
    /// The ingress' virtual IP.
    Ingress,
    /// The bootstrap machine's.
    Bootstrap,
    /// Each node its own.
    EachNode,
    /// Each node's controller its own.
    EachBmc,
    /// Each other host its own.
    EachHost,
}

const fn today(
    pattern: &'static str,
    what: &'static str,
    of: NameOf,
    need: Need,
    source: Source,
) -> NamePattern {
    let has_pointer = !matches!(pattern.as_bytes(), b"ns" | b"*.apps" | b"registry");
    NamePattern {
        pattern,
        matrix: Matrix::Today,
        what,
        of,
        has_pointer,
        need,
        source,
    }
}

const fn tectonic(pattern: &'static str, what: &'static str, of: NameOf) -> NamePattern {
    let (matrix, has_pointer) = (Matrix::Tectonic, false);
    NamePattern {
        pattern,
        matrix,
        what,
        of,
        has_pointer,
        need: Need::Must,
        source: Source::Tectonic,
    }
}

const PATTERNS: &[NamePattern] = &[
    today(
        "bastion",
        "the bastion",
        NameOf::Bastion,
        Need::Must,
        Source::Faros,
    ),
    today(
        "ns",
        "the zone's name server",
        NameOf::Bastion,
        Need::Must,
        Source::Faros,
    ),
    today(
        "registry",
        "container images, and what nodes join the cluster with",
        NameOf::Registry,
        Need::Must,
        Source::Faros,
    ),
    today(
        "api",
        "the Kubernetes API, for clients",
        NameOf::Api,
        Need::Must,
        Source::OpenshiftMachines,
    ),
    today(
        "api-int",
        "the Kubernetes API, for nodes",
        NameOf::Api,
        Need::Must,
        Source::OpenshiftMachines,
    ),
    today(
        "*.apps",
        "ingress",
        NameOf::Ingress,
        Need::Must,
        Source::OpenshiftMachines,
    ),
    today(
        "bootstrap",
        "the bootstrap machine",
        NameOf::Bootstrap,
        Need::Must,
        Source::OpenshiftMachines,
    ),
    today(
        "<node>",
        "each node",
        NameOf::EachNode,
        Need::Must,
        Source::OpenshiftMachines,
    ),
    today(
        "<node>-mgmt",
        "each node's controller",
        NameOf::EachBmc,
        Need::Should,
        Source::Faros,
    ),
    today(
        "<host>",
        "each other host",
        NameOf::EachHost,
        Need::Should,
        Source::Faros,
    ),
    tectonic(
        "<cluster>-k8s",
        "the Kubernetes API, beside the cluster's zone",
        NameOf::Api,
    ),
    tectonic(
        "<cluster>",
        "console, dex and ingress, beside the cluster's zone",
        NameOf::Ingress,
    ),
];

/// All patterns of all matrices.
pub const fn patterns() -> &'static [NamePattern] {
    PATTERNS
}

/// A name of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Relative to the site's zone.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether the address leads back to the name.
    pub has_pointer: bool,
}

/// The names of a site that follow from its patterns; further records of the site file come on top.
pub fn names(site: &Site) -> Vec<Name> {
    let own = site.lan.addresses;
    let of = |pattern: &NamePattern| -> Vec<(String, Ipv4Addr)> {
        let one = |address| vec![(pattern.pattern.to_owned(), address)];
        let filled = |open: &str, name: &str| pattern.pattern.replace(open, name);
        match pattern.of {
            NameOf::Bastion => one(own.bastion),
            NameOf::Registry => {
                let is_taken = |label: &HostName| label.as_str() == pattern.pattern;
                let record = site
                    .dns
                    .records
                    .iter()
                    .any(|own| own.name.to_string() == pattern.pattern);
                let taken = record || site.nodes.keys().chain(site.lan.hosts.keys()).any(is_taken);
                if taken || !site.runs(Service::Registry) {
                    vec![]
                } else {
                    one(own.bastion)
                }
            }
            NameOf::Api => one(own.api),
            NameOf::Ingress => one(own.ingress),
            NameOf::Bootstrap => one(own.bootstrap),
            NameOf::EachNode => {
                let nodes = site.nodes.values();
                nodes
                    .map(|node| (filled("<node>", node.name.as_str()), node.address))
                    .collect()
            }
            NameOf::EachBmc => {
                let bmcs = site
                    .nodes
                    .values()
                    .filter_map(|node| Some((node, node.bmc.as_ref()?)));
                bmcs.map(|(node, bmc)| (filled("<node>", node.name.as_str()), bmc.address))
                    .collect()
            }
            NameOf::EachHost => {
                let hosts = site.lan.hosts.values();
                hosts
                    .map(|host| (filled("<host>", host.name.as_str()), host.address))
                    .collect()
            }
        }
    };
    let today = PATTERNS.iter().filter(|pattern| pattern.matrix == Matrix::Today);
    today
        .flat_map(|pattern| {
            let has_pointer = pattern.has_pointer;
            of(pattern).into_iter().map(move |(name, address)| Name {
                name,
                address,
                has_pointer,
            })
        })
        .collect()
}
