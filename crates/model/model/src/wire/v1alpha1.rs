//! The site file, `apiVersion: faros.dev/v1alpha1`.
//!
//! Every field is optional here, so that a file with faults still becomes a value and all its faults can be
//! told at once; what must be there stands in the JSON Schema's `required`. The doc comments, defaults and
//! examples are the reference page (`docs/site-file.md`), so they speak to the author of a site file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mapping of the site file: every field is an `Option`, no other key is known.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$fmeta])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    };
}

/// A choice of words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        $(#[$meta])*
        pub enum $name {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
        }
    };
}

mod cluster;
mod lan;
mod nodes;
mod storage;
mod uplink;

pub use cluster::*;
pub use lan::*;
pub use nodes::*;
pub use storage::*;
pub use uplink::*;

/// Regular expressions by which an editor can check what is written; the check proper knows more.
mod pattern {
    pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
    pub(super) const DOMAIN: &str =
        r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
    pub(super) const MAC: &str = "^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5})$";
    pub(super) const ADDRESS: &str = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$";
    pub(super) const NETWORK: &str = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$";
    pub(super) const SIZE: &str = "^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$";
}

wire! {
    /// A site: one bastion, its nodes and their network.
    #[schemars(extend("required" = ["apiVersion", "kind", "metadata", "spec"]))]
    SiteFile {
        /// Version of this format.
        #[schemars(extend("examples" = ["faros.dev/v1alpha1"]))]
        api_version: ApiVersion,
        /// What the file describes.
        #[schemars(extend("examples" = ["Site"]))]
        kind: Kind,
        /// What the site is called.
        metadata: Metadata,
        /// What the site is to be.
        spec: Spec,
    }
}

words! {
    /// Version of the site file's format.
    ApiVersion {
        /// The format that this page describes.
        V1Alpha1 = "faros.dev/v1alpha1",
    }
}

words! {
    /// Kind of the document.
    Kind {
        /// A site.
        Site = "Site",
    }
}

wire! {
    /// What the site is called.
    #[schemars(extend("required" = ["name"]))]
    Metadata {
        /// Name of the site and of its cluster, an RFC 1123 label. Hosts are named `<host>.<name>.<domain>`.
        #[schemars(extend("examples" = ["harbour-7"], "pattern" = pattern::LABEL))]
        name: String,
        /// Labels by which a fleet selects sites; keys and values as Kubernetes has them.
        #[schemars(extend("examples" = [{"region": "north"}]))]
        labels: BTreeMap<String, String>,
    }
}

wire! {
    /// What the site is to be.
    #[schemars(extend("required" = ["domain", "sshAuthorizedKeys", "uplink", "lan", "nodes"]))]
    Spec {
        /// Parent domain of the site. The bastion's DNS has authority for `<name>.<domain>`.
        #[schemars(extend("examples" = ["edge.example.com"], "pattern" = pattern::DOMAIN))]
        domain: String,
        /// SSH public keys that may log in on nodes, each a line as in `authorized_keys`.
        #[schemars(extend("examples" = [["ssh-ed25519 AAAA… ops@example.com"]]))]
        ssh_authorized_keys: Vec<String>,
        /// The bastion's side towards the rest of the world.
        uplink: Uplink,
        /// The network of the nodes.
        lan: Lan,
        /// Name service beyond the names that follow from the site itself.
        dns: Dns,
        /// Time service.
        time: Time,
        /// The Kubernetes cluster.
        cluster: Cluster,
        /// What all nodes have in common. A node's own value wins; labels, taints and kernel arguments are added to.
        node_defaults: NodeDefaults,
        /// The bare-metal machines of the cluster, at least one.
        nodes: Vec<Node>,
        /// Virtual machines on the bastion.
        machines: Vec<Machine>,
        /// Storage for the cluster.
        storage: Storage,
        /// Monitoring of the cluster.
        monitoring: Monitoring,
        /// Where secrets are kept.
        secrets: Secrets,
        /// Unlocking of the nodes' disks.
        unlock: Unlock,
        /// Install content: kernels, images, packages.
        content: Content,
        /// How the virtual IPs are served.
        balancer: Balancer,
        /// Services of the bastion, to switch one off. All run by default.
        services: Services,
        /// The central hub to enrol with. Enrolment is by a single-use code given to `farosctl`, never in this file.
        hub: Hub,
    }
}

wire! {
    /// A secret by its name; the secret itself never stands in this file.
    #[schemars(extend("required" = ["name"]))]
    SecretRef {
        /// Its name in the store of secrets, an RFC 1123 label.
        #[schemars(extend("examples" = ["bmc"], "pattern" = pattern::LABEL))]
        name: String,
    }
}
