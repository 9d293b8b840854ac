//! The nodes: roles, disks, bonds, controllers, and how many make a control plane.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::{
    ids::{ContentName, MacAddr},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, text};
use crate::shape::join;

/// A node before it has an address.
pub(super) struct NodeDraft {
    pub(super) path: String,
    /// The address in it stands for nothing yet.
    pub(super) node: site::Node,
    pub(super) address: Option<Ipv4Addr>,
    /// It has a BMC, and the file does not say at which address.
    pub(super) bmc_without_address: bool,
    pub(super) bmc: Option<site::Bmc>,
}

impl Check<'_> {
    /// All nodes, or none if one of them could not be read.
    pub(super) fn nodes(&mut self, spec: &wire::Spec) -> Option<Vec<NodeDraft>> {
        let defaults = spec.node_defaults.clone().unwrap_or_default();
        self.disk("spec.nodeDefaults.installDisk", defaults.install_disk.as_ref());
        let nodes = spec.nodes.clone().unwrap_or_default();
        if nodes.is_empty() && !self.is_told("spec.nodes") {
            self.error(
                "missing-value",
                "spec.nodes",
                "the site has no node",
                "list at least one",
            );
        }
        let mut drafts = Vec::new();
        for (idx, node) in nodes.iter().enumerate() {
            let path = self.places.item("spec.nodes", idx);
            drafts.push(self.node(&path, node, &defaults));
        }
        self.control_plane(&drafts);
        drafts.into_iter().collect()
    }

    fn node(&mut self, path: &str, node: &wire::Node, defaults: &wire::NodeDefaults) -> Option<NodeDraft> {
        let at = |key: &str| format!("{path}.{key}");
        let name = node.name.as_deref().and_then(|name| self.name(&at("name"), name));
        let boot_mac = node
            .boot_mac
            .as_deref()
            .and_then(|mac| self.mac(&at("bootMac"), mac));
        let address = node
            .address
            .as_deref()
            .map(|text| self.address(&at("address"), text));
        let roles = self.roles(&at("roles"), node.roles.as_deref().or(defaults.roles.as_deref()));
        let network = self.node_network(
            &at("network"),
            node.network.as_ref().or(defaults.network.as_ref()),
            boot_mac,
        );

        let image = node
            .image
            .as_deref()
            .or(defaults.image.as_deref())
            .unwrap_or("debian-13");
        let image: Option<ContentName> =
            self.parse("invalid-image", &at("image"), image, "such as debian-13");
        let install_disk = node.install_disk.as_ref().or(defaults.install_disk.as_ref());
        if install_disk.is_none() && !self.is_told(&at("installDisk")) {
            let what = format!(
                "{} does not say on which disk it is installed",
                node.name.as_deref().unwrap_or("this node")
            );
            let hint = "add `installDisk: /dev/disk/by-path/…` here, or below `spec.nodeDefaults`";
            self.error("missing-key", &at("installDisk"), what, hint);
        }
        let install_disk = self.disk(&at("installDisk"), install_disk);
        let mut data_disks = Vec::new();
        for (idx, disk) in node
            .data_disks
            .as_ref()
            .or(defaults.data_disks.as_ref())
            .into_iter()
            .flatten()
            .enumerate()
        {
            let path = self.places.item(&at("dataDisks"), idx);
            data_disks.extend(self.data_disk(&path, disk));
        }
        let (bmc, bmc_without_address) = self.bmc(&at("bmc"), node.bmc.as_ref(), defaults.bmc.as_ref());
        let encryption = node.encryption.as_ref().or(defaults.encryption.as_ref());
        let encryption = self.encryption(&at("encryption"), encryption);

        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (path, own) in [
            ("spec.nodeDefaults.labels".to_owned(), &defaults.labels),
            (at("labels"), &node.labels),
        ] {
            for (key, value) in own.iter().flatten() {
                text::label(self, &join(&path, key), key, value);
                labels.insert(key.clone(), value.clone());
            }
        }
        let taints = self.texts(
            path,
            "taints",
            defaults.taints.as_deref(),
            node.taints.as_deref(),
            text::taint,
        );
        let arguments = (
            defaults.kernel_arguments.as_deref(),
            node.kernel_arguments.as_deref(),
        );
        let kernel_arguments = self.texts(
            path,
            "kernelArguments",
            arguments.0,
            arguments.1,
            text::kernel_argument,
        );
        let architecture = match node.architecture.or(defaults.architecture) {
            Some(wire::Architecture::Aarch64) => site::Architecture::Aarch64,
            Some(wire::Architecture::X86_64) | None => site::Architecture::X86_64,
        };
        let (address, bmc_now) = (address.flatten(), bmc.clone().filter(|_| !bmc_without_address));
        let node = site::Node {
            name: name?,
            roles,
            boot_mac: boot_mac?,
            network: network?,
            address: Ipv4Addr::UNSPECIFIED,
            architecture,
            image: image?,
            install_disk: install_disk?,
            data_disks,
            bmc: bmc_now,
            encryption,
            labels,
            taints,
            kernel_arguments,
        };
        Some(NodeDraft {
            path: path.to_owned(),
            node,
            address,
            bmc_without_address,
            bmc,
        })
    }

    /// The defaults' texts and the node's own, each checked at its place.
    fn texts(
        &mut self,
        path: &str,
        key: &str,
        defaults: Option<&[String]>,
        own: Option<&[String]>,
        check: fn(&mut Self, &str, &str),
    ) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for (path, texts) in [
            (format!("spec.nodeDefaults.{key}"), defaults),
            (format!("{path}.{key}"), own),
        ] {
            for (idx, text) in texts.into_iter().flatten().enumerate() {
                let path = self.places.item(&path, idx);
                let told = self.problems.len();
                check(self, &path, text);
                // A default is checked with every node, and told once.
                let again = self.problems[told..]
                    .iter()
                    .any(|new| self.problems[..told].contains(new));
                if again {
                    self.problems.truncate(told);
                }
                if !all.contains(text) {
                    all.push(text.clone());
                }
            }
        }
        all
    }

    fn roles(&mut self, path: &str, roles: Option<&[wire::Role]>) -> Vec<site::Role> {
        let Some(roles) = roles else {
            return vec![site::Role::ControlPlane, site::Role::Worker];
        };
        if roles.is_empty() && !self.is_told(path) {
            self.error(
                "missing-value",
                path,
                "a node must do something",
                "such as [control-plane, worker]",
            );
        }
        let mut checked = Vec::new();
        for (idx, role) in roles.iter().enumerate() {
            let role = match role {
                wire::Role::ControlPlane => site::Role::ControlPlane,
                wire::Role::Worker => site::Role::Worker,
                wire::Role::MetaWorker => site::Role::MetaWorker,
                wire::Role::Frontend => site::Role::Frontend,
                wire::Role::Arbiter => site::Role::Arbiter,
            };
            if checked.contains(&role) {
                let path = self.places.item(path, idx);
                self.error(
                    "duplicate-role",
                    &path,
                    format!("`{}` is here twice", role.as_str()),
                    "keep one of them",
                );
            } else {
                checked.push(role);
            }
        }
        if checked.contains(&site::Role::Arbiter) && checked.len() > 1 {
            let what = "an arbiter is a member of etcd and nothing else";
            self.error(
                "roles-exclude-each-other",
                path,
                what,
                "take the other roles away from it",
            );
        }
        checked.sort_unstable();
        checked
    }

    /// etcd needs an odd number of members: 1, 3 or 5, or 2 and an arbiter.
    fn control_plane(&mut self, drafts: &[Option<NodeDraft>]) {
        if drafts.iter().any(Option::is_none) || drafts.is_empty() {
            return;
        }
        let with = |role| {
            drafts
                .iter()
                .flatten()
                .filter(|draft| draft.node.roles.contains(&role))
                .count()
        };
        let (members, arbiters) = (with(site::Role::ControlPlane), with(site::Role::Arbiter));
        let good = match arbiters {
            0 => matches!(members, 1 | 3 | 5),
            1 => matches!(members, 2 | 4),
            _ => false,
        };
        if !good {
            let what = match (members, arbiters) {
                (0, _) => "no node has the role control-plane".to_owned(),
                (_, 0) => format!("{members} nodes have the role control-plane; a quorum needs 1, 3 or 5"),
                _ => format!("{members} control-plane nodes with {arbiters} arbiters make no quorum"),
            };
            let hint = match (members, arbiters) {
                (2, 0) => "make it 1 or 3, or give a third node the role arbiter",
                (_, 0) => "make it 1, 3 or 5",
                _ => "an arbiter goes with 2 control-plane nodes",
            };
            self.error("control-plane-count", "spec.nodes", what, hint);
        }
    }

    fn node_network(
        &mut self,
        path: &str,
        network: Option<&wire::NodeNetwork>,
        boot_mac: Option<MacAddr>,
    ) -> Option<site::NodeNetwork> {
        let network = network.cloned().unwrap_or_default();
        let addressing = match network.addressing {
            Some(wire::NodeAddressing::Static) => site::NodeAddressing::Static,
            Some(wire::NodeAddressing::Dhcp) | None => site::NodeAddressing::Dhcp,
        };
        let Some(bond) = network.bond else {
            return Some(site::NodeNetwork {
                addressing,
                bond: None,
            });
        };
        let list = format!("{path}.bond.macs");
        let mut macs: Vec<MacAddr> = Vec::new();
        let given = bond.macs.unwrap_or_default();
        for (idx, text) in given.iter().enumerate() {
            let path = self.places.item(&list, idx);
            let Some(mac) = self.mac(&path, text) else {
                continue;
            };
            if macs.contains(&mac) {
                self.error(
                    "duplicate-mac",
                    &path,
                    format!("{mac} is here twice"),
                    "each member has a MAC of its own",
                );
            } else {
                macs.push(mac);
            }
        }
        if given.len() < 2 && !self.is_told(&list) {
            self.error(
                "bond-too-small",
                &list,
                "a bond joins at least two interfaces",
                "add the second MAC",
            );
        }
        if let Some(boot) = boot_mac
            && macs.len() == given.len()
            && macs.len() >= 2
            && !macs.contains(&boot)
        {
            let what = format!("the boot interface {boot} is not a member of the bond");
            self.error(
                "boot-mac-not-in-bond",
                &list,
                what,
                "the node boots over one of the bond's interfaces",
            );
        }
        let mode = match bond.mode? {
            wire::BondMode::BalanceRr => site::BondMode::BalanceRr,
            wire::BondMode::ActiveBackup => site::BondMode::ActiveBackup,
            wire::BondMode::BalanceXor => site::BondMode::BalanceXor,
            wire::BondMode::Broadcast => site::BondMode::Broadcast,
            wire::BondMode::Ieee8023ad => site::BondMode::Ieee8023ad,
        };
        Some(site::NodeNetwork {
            addressing,
            bond: Some(site::Bond { mode, macs }),
        })
    }

    fn disk(&mut self, path: &str, disk: Option<&wire::DiskRef>) -> Option<site::DiskRef> {
        match disk? {
            wire::DiskRef::Path(text) => {
                let hint = "name it by something that does not change: /dev/disk/by-id/… or /dev/disk/by-path/…, or by hints";
                let below = |folder: &str| text.strip_prefix(folder).is_some_and(|rest| !rest.is_empty());
                let odd = text.contains("..") || text.chars().any(|c| c.is_whitespace() || c.is_control());
                if odd || !below("/dev/") {
                    self.error(
                        "invalid-disk",
                        path,
                        format!("`{}` is no disk", text.escape_debug()),
                        hint,
                    );
                    return None;
                }
                if !text.starts_with("/dev/disk/by-") {
                    let what = format!("`{text}` can be another disk after the next boot");
                    // The warning about a default would come with every node.
                    if !self.warnings.iter().any(|warning| warning.message == what) {
                        self.warn("unstable-disk-name", path, what, hint);
                    }
                }
                Some(site::DiskRef::Path(text.clone()))
            }
            wire::DiskRef::ByHints(by) => {
                let hints = by.hints.clone()?;
                let path = format!("{path}.hints");
                if hints == wire::DiskHints::default() && !self.is_told(&path) {
                    let what = "these hints match every disk";
                    self.error(
                        "missing-value",
                        &path,
                        what,
                        "give at least one, such as serialNumber",
                    );
                    return None;
                }
                let min_size_bytes = match hints.min_size.as_deref() {
                    None => None,
                    Some(size) => Some(text::size(self, &format!("{path}.minSize"), size)?),
                };
                Some(site::DiskRef::Hints(site::DiskHints {
                    min_size_bytes,
                    rotational: hints.rotational,
                    serial_number: hints.serial_number,
                    model: hints.model,
                    wwn: hints.wwn,
                }))
            }
        }
    }

    fn data_disk(&mut self, path: &str, data: &wire::DataDisk) -> Option<site::DataDisk> {
        let disk = self.disk(&format!("{path}.disk"), data.disk.as_ref());
        let usage = match data.r#use.as_ref()? {
            wire::DiskUse::Word(wire::DiskUseWord::Kubelet) => site::DiskUsage::Kubelet,
            wire::DiskUse::Word(wire::DiskUseWord::Storage) => site::DiskUsage::Storage,
            wire::DiskUse::Mount(mount) => {
                let mount = mount.mount.as_deref()?;
                if !mount.starts_with('/') || mount == "/" || mount.split('/').any(|part| part == "..") {
                    let what = format!("`{mount}` is no place to mount a data disk");
                    self.error(
                        "invalid-path",
                        &format!("{path}.use.mount"),
                        what,
                        "such as /var/lib/media",
                    );
                    return None;
                }
                site::DiskUsage::Mount(mount.to_owned())
            }
        };
        Some(site::DataDisk { disk: disk?, usage })
    }

    /// The controller, and whether it still needs an address.
    fn bmc(
        &mut self,
        path: &str,
        own: Option<&wire::Bmc>,
        defaults: Option<&wire::Bmc>,
    ) -> (Option<site::Bmc>, bool) {
        // The defaults hold credentials for whoever has a controller; they give nobody one.
        let Some(own) = own else { return (None, false) };
        let mac = own
            .mac
            .as_deref()
            .and_then(|mac| self.mac(&format!("{path}.mac"), mac));
        let credentials = own
            .credentials_ref
            .as_ref()
            .or_else(|| defaults?.credentials_ref.as_ref());
        let credentials_ref = credentials.and_then(|secret| secret.name.clone());
        if let Some(name) = &credentials_ref {
            self.name(&format!("{path}.credentialsRef.name"), name);
        }
        let Some(url) = own.address.as_deref() else {
            if mac.is_none() {
                return (None, false);
            }
            let bmc = site::Bmc {
                scheme: "redfish+https".into(),
                address: Ipv4Addr::UNSPECIFIED,
                mac,
                credentials_ref,
            };
            return (Some(bmc), true);
        };
        let path = format!("{path}.address");
        let hint = "such as redfish+https://192.168.8.91 or ipmi://192.168.8.91";
        let (scheme, rest) = url.split_once("://").unwrap_or(("redfish+https", url));
        if !matches!(scheme, "redfish+https" | "redfish+http" | "redfish" | "ipmi") {
            let what = format!("`{scheme}` is no protocol of a board management controller");
            self.error("invalid-url", &path, what, hint);
            return (None, false);
        }
        let host = rest.split('/').next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let host = host.split(':').next().unwrap_or_default();
        match self.address(&path, host) {
            Some(address) => (
                Some(site::Bmc {
                    scheme: scheme.to_owned(),
                    address,
                    mac,
                    credentials_ref,
                }),
                false,
            ),
            None => (None, false),
        }
    }

    fn encryption(&mut self, path: &str, encryption: Option<&wire::Encryption>) -> site::Encryption {
        use site::UnlockBy::{Peers, Tang, Tpm2};
        let unlock = encryption.and_then(|encryption| encryption.unlock.as_ref());
        match unlock {
            None | Some(wire::UnlockSpec::Word(wire::UnlockWord::Tang)) => site::Encryption {
                threshold: 1,
                of: vec![Tang],
            },
            Some(wire::UnlockSpec::Word(wire::UnlockWord::TangAndTpm2)) => site::Encryption {
                threshold: 2,
                of: vec![Tang, Tpm2],
            },
            Some(wire::UnlockSpec::Word(wire::UnlockWord::None)) => {
                let what = "this node's disks are not encrypted: whoever carries it away can read them";
                self.warn("not-encrypted", &format!("{path}.unlock"), what, "");
                site::Encryption {
                    threshold: 0,
                    of: vec![],
                }
            }
            Some(wire::UnlockSpec::Threshold(rule)) => {
                let mut of = Vec::new();
                for by in rule.of.iter().flatten() {
                    let by = match by {
                        wire::UnlockBy::Tang => Tang,
                        wire::UnlockBy::Tpm2 => Tpm2,
                        wire::UnlockBy::Peers => Peers,
                    };
                    if !of.contains(&by) {
                        of.push(by);
                    }
                }
                let threshold = rule.threshold.unwrap_or(1);
                if (threshold == 0 || usize::from(threshold) > of.len())
                    && !self.is_told(&format!("{path}.unlock"))
                {
                    let what = format!("{threshold} of {} can never help together", of.len());
                    let hint = "the threshold is at least 1 and at most the number of different helpers";
                    self.error(
                        "number-out-of-range",
                        &format!("{path}.unlock.threshold"),
                        what,
                        hint,
                    );
                }
                site::Encryption { threshold, of }
            }
        }
    }
}
