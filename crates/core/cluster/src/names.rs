//! The names under which the parts of a cluster find each other.

use std::net::Ipv4Addr;

use faros_model::{
    net::Subnet,
    ports::{KUBERNETES_API, REGISTRY},
    site::Site,
};

/// Port of the Kubernetes API, on the virtual IP and on each control-plane node.
pub const API_PORT: u16 = KUBERNETES_API;

/// Names of a site's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `api.<name>.<domain>`, behind which the balancer is.
    pub api: String,
    /// `api-int.<name>.<domain>`, the same from within.
    pub api_internal: String,
    /// `registry.<name>.<domain>:5000`: images, and what a node needs to join.
    pub registry: String,
    /// The address of the cluster's own DNS.
    pub dns: Ipv4Addr,
}

impl Names {
    /// Those of a site.
    pub fn of(site: &Site) -> Self {
        let zone = site.zone();
        Self {
            api: format!("api.{zone}"),
            api_internal: format!("api-int.{zone}"),
            registry: format!("registry.{zone}:{REGISTRY}"),
            dns: dns(site.cluster.service_network),
        }
    }

    /// `api.<name>.<domain>:6443`.
    pub fn endpoint(&self) -> String {
        format!("{}:{API_PORT}", self.api)
    }
}

/// The tenth address of the services, as kubeadm has it.
fn dns(services: Subnet) -> Ipv4Addr {
    Ipv4Addr::from_bits(services.network().to_bits() + 10)
}
