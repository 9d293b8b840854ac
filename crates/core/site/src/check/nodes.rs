//! The nodes: what each one is, with the defaults of all filled in, and how many make a control plane.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::{
    ids::{ContentName, HostName, MacAddr},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, Wish, network::BmcDraft, text};
use crate::{
    codes::Code,
    place::{join, key as key_path},
    show::show,
};

/// What could be read of a node.
pub(super) struct NodeDraft {
    pub(super) path: String,
    pub(super) name: Option<HostName>,
    pub(super) boot_mac: Option<MacAddr>,
    /// Members of its bond, each with its path.
    pub(super) bond_macs: Vec<(String, MacAddr)>,
    pub(super) address: Wish,
    pub(super) bmc: Option<BmcDraft>,
    pub(super) roles: Option<Vec<site::Role>>,
    /// The whole, if all of it could be read; its address and BMC are still to come.
    pub(super) node: Option<site::Node>,
}

/// What `nodeDefaults` says, checked once.
struct Defaults {
    roles: Option<Vec<site::Role>>,
    addressing: site::NodeAddressing,
    architecture: site::Architecture,
    image: Option<ContentName>,
    install_disk: Option<site::DiskRef>,
    data_disks: Vec<site::DataDisk>,
    credentials_ref: Option<String>,
    encryption: site::Encryption,
    labels: BTreeMap<String, String>,
    taints: Vec<String>,
    kernel_arguments: Vec<String>,
}

const PATH: &str = "spec.nodes";
const DEFAULTS: &str = "spec.nodeDefaults";

impl Check<'_> {
    /// All nodes, as far as they could be read.
    pub(super) fn nodes(&mut self, spec: &wire::Spec) -> Vec<NodeDraft> {
        let wire = spec.node_defaults.clone().unwrap_or_default();
        let defaults = self.node_defaults(&wire);
        let nodes = spec.nodes.clone().unwrap_or_default();
        if nodes.is_empty() && self.places.has(PATH) && !self.is_told(PATH) {
            self.error(
                Code::MissingValue,
                PATH,
                "the site has no node",
                "list at least one",
            );
        }
        let mut drafts = Vec::new();
        for (idx, node) in nodes.iter().enumerate() {
            let path = self.places.item(PATH, idx);
            drafts.push(self.node(&path, node, &defaults));
        }
        if wire.install_disk.is_none() && !self.is_told(&join(DEFAULTS, "installDisk")) {
            self.without_disk(&nodes);
        }
        self.control_plane(&drafts);
        drafts
    }

    fn node_defaults(&mut self, wire: &wire::NodeDefaults) -> Defaults {
        let at = |key| join(DEFAULTS, key);
        let bmc = wire.bmc.clone().unwrap_or_default();
        let image = wire.image.as_deref().unwrap_or("debian-13");
        Defaults {
            roles: self.roles(&at("roles"), wire.roles.as_deref()),
            addressing: addressing(wire.network.as_ref().and_then(|network| network.addressing)),
            architecture: architecture(wire.architecture),
            image: self.image(&at("image"), image),
            install_disk: wire
                .install_disk
                .as_ref()
                .and_then(|disk| self.disk(&at("installDisk"), disk)),
            data_disks: self.data_disks(&at("dataDisks"), wire.data_disks.as_deref()),
            credentials_ref: self.secret_ref(&at("bmc.credentialsRef"), bmc.credentials_ref.as_ref()),
            encryption: self.encryption(&at("encryption"), wire.encryption.as_ref()),
            labels: self.node_labels(&at("labels"), wire.labels.as_ref()),
            taints: self.texts(&at("taints"), wire.taints.as_deref(), text::taint),
            kernel_arguments: self.texts(
                &at("kernelArguments"),
                wire.kernel_arguments.as_deref(),
                text::kernel_argument,
            ),
        }
    }

    fn node(&mut self, path: &str, wire: &wire::Node, defaults: &Defaults) -> NodeDraft {
        let at = |key| join(path, key);
        let name = wire.name.as_deref().and_then(|name| self.name(&at("name"), name));
        let boot_mac = wire
            .boot_mac
            .as_deref()
            .and_then(|mac| self.mac(&at("bootMac"), mac));
        let address = self.wish(&at("address"), wire.address.as_deref());
        let roles = match wire.roles.as_deref() {
            None if self.is_told(&at("roles")) => None,
            None => defaults.roles.clone(),
            own => self.roles(&at("roles"), own),
        };
        let network = wire.network.clone().unwrap_or_default();
        let (bond, bond_macs) = self.bond(&at("network.bond"), network.bond.as_ref(), boot_mac);
        let image = match wire.image.as_deref() {
            None => defaults.image.clone(),
            Some(image) => self.image(&at("image"), image),
        };
        let install_disk = match &wire.install_disk {
            None => defaults.install_disk.clone(),
            Some(disk) => self.disk(&at("installDisk"), disk),
        };
        let data_disks = match wire.data_disks.as_deref() {
            None => defaults.data_disks.clone(),
            own => self.data_disks(&at("dataDisks"), own),
        };
        self.disks_differ(&at("dataDisks"), install_disk.as_ref(), &data_disks);
        let encryption = match &wire.encryption {
            None => defaults.encryption.clone(),
            own => self.encryption(&at("encryption"), own.as_ref()),
        };
        let mut labels = defaults.labels.clone();
        labels.extend(self.node_labels(&at("labels"), wire.labels.as_ref()));
        let taints = self.texts(&at("taints"), wire.taints.as_deref(), text::taint);
        let arguments = self.texts(
            &at("kernelArguments"),
            wire.kernel_arguments.as_deref(),
            text::kernel_argument,
        );
        let bmc = wire
            .bmc
            .as_ref()
            .map(|bmc| self.bmc(&at("bmc"), bmc, defaults.credentials_ref.as_deref()));
        let node = || {
            Some(site::Node {
                name: name.clone()?,
                roles: roles.clone()?,
                boot_mac: boot_mac?,
                network: site::NodeNetwork {
                    addressing: network
                        .addressing
                        .map_or(defaults.addressing, |own| addressing(Some(own))),
                    bond,
                },
                address: Ipv4Addr::UNSPECIFIED,
                architecture: wire
                    .architecture
                    .map_or(defaults.architecture, |own| architecture(Some(own))),
                image: image?,
                install_disk: install_disk?,
                data_disks,
                bmc: None,
                encryption,
                labels,
                taints: both(&defaults.taints, taints),
                kernel_arguments: both(&defaults.kernel_arguments, arguments),
            })
        };
        NodeDraft {
            node: node(),
            path: path.to_owned(),
            name,
            boot_mac,
            bond_macs,
            address,
            bmc,
            roles,
        }
    }

    /// The nodes of which nothing says where they are installed.
    fn without_disk(&mut self, nodes: &[wire::Node]) {
        let hint = "add `installDisk: /dev/disk/by-path/…`, or `installDisk: {hints: {minSize: 200Gi}}`, to the node or to `spec.nodeDefaults`";
        let mut without = Vec::new();
        for (idx, node) in nodes.iter().enumerate() {
            let path = join(&self.places.item(PATH, idx), "installDisk");
            if node.install_disk.is_none() && !self.is_told(&path) {
                without.push((path, node.name.as_deref()));
            }
        }
        if without.len() > 1 && without.len() == nodes.len() {
            return self.error(
                Code::MissingKey,
                PATH,
                "no node says on which disk it is installed",
                hint,
            );
        }
        for (path, name) in without {
            let name = name.map_or_else(|| "this node".to_owned(), show);
            let what = format!("{name} does not say on which disk it is installed");
            self.error(Code::MissingKey, &path, what, hint);
        }
    }

    fn image(&mut self, path: &str, text: &str) -> Option<ContentName> {
        self.parse(
            Code::InvalidImage,
            path,
            text,
            "name an image of the content store, such as debian-13",
        )
    }

    fn node_labels(
        &mut self,
        path: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> BTreeMap<String, String> {
        let labels = labels.cloned().unwrap_or_default();
        for (key, value) in &labels {
            text::node_label(self, &key_path(path, key), key, value);
        }
        labels
    }

    fn texts(
        &mut self,
        path: &str,
        texts: Option<&[String]>,
        check: fn(&mut Self, &str, &str),
    ) -> Vec<String> {
        let texts = texts.unwrap_or_default().to_vec();
        for (idx, text) in texts.iter().enumerate() {
            let path = self.places.item(path, idx);
            check(self, &path, text);
        }
        texts
    }
}

/// The defaults' items and then the node's own, none twice.
fn both(defaults: &[String], own: Vec<String>) -> Vec<String> {
    let mut all = defaults.to_vec();
    for text in own {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn addressing(addressing: Option<wire::NodeAddressing>) -> site::NodeAddressing {
    match addressing {
        Some(wire::NodeAddressing::Static) => site::NodeAddressing::Static,
        Some(wire::NodeAddressing::Dhcp) | None => site::NodeAddressing::Dhcp,
    }
}

fn architecture(architecture: Option<wire::Architecture>) -> site::Architecture {
    match architecture {
        Some(wire::Architecture::Aarch64) => site::Architecture::Aarch64,
        Some(wire::Architecture::X86_64) | None => site::Architecture::X86_64,
    }
}
