//! Names and MACs: each is one machine's.

use std::collections::{BTreeMap, BTreeSet};

use faros_model::{
    ids::{HostName, MacAddr},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, lan::LanDraft, nodes::NodeDraft};
use crate::{
    codes::Code,
    place::join,
    show::{closest, show},
};

/// Names that the site makes itself.
const OWN_NAMES: &[&str] = &[
    "bastion",
    "api",
    "api-int",
    "apps",
    "ns",
    "bootstrap",
    "localhost",
];

/// The names of the site's zone, with the paths of those that the file gives.
pub(super) struct Names(BTreeMap<String, Option<String>>);

impl Names {
    /// Tells if a name is taken, else takes it.
    pub(super) fn claim(&mut self, check: &mut Check<'_>, path: &str, name: &str) {
        match self.0.get(name) {
            None => {
                self.0.insert(name.to_owned(), Some(path.to_owned()));
            }
            Some(None) => {
                let what = format!("`{name}` is a name that the site makes itself");
                check.error(
                    Code::DuplicateName,
                    path,
                    what,
                    format!("choose another name: {} are taken", OWN_NAMES.join(", ")),
                );
            }
            Some(Some(first)) => {
                let line = check.places.mark(first).line;
                let what = format!("the name `{name}` is taken already, on line {line}");
                check.error(
                    Code::DuplicateName,
                    path,
                    what,
                    "give each machine a name of its own",
                );
            }
        }
    }

    /// What is wrong with a name that is nobody's, and what to do about it.
    pub(super) fn unknown(&self, name: &str) -> Option<(String, String)> {
        if self.0.contains_key(name) || name.contains('.') {
            return None;
        }
        let hint = match closest(name, self.0.keys().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "name a node, a host of the LAN or a machine".to_owned(),
        };
        Some((format!("no host of the site is named {}", show(name)), hint))
    }
}

impl Check<'_> {
    /// Each name is one machine's.
    pub(super) fn names(
        &mut self,
        lan: Option<&LanDraft>,
        nodes: &[NodeDraft],
        machines: Option<&[wire::Machine]>,
    ) -> Names {
        let mut names = Names(OWN_NAMES.iter().map(|name| ((*name).to_owned(), None)).collect());
        for node in nodes {
            let Some(name) = &node.name else { continue };
            names.claim(self, &join(&node.path, "name"), name.as_str());
        }
        let mut seen = BTreeSet::new();
        for node in nodes {
            let (Some(name), Some(_)) = (&node.name, &node.bmc) else {
                continue;
            };
            let mgmt = format!("{name}-mgmt");
            if mgmt.parse::<HostName>().is_err() {
                let what = format!(
                    "the node's controller would be named {}, which is too long",
                    show(&mgmt)
                );
                let hint = "a node with a `bmc` has a name of at most 58 characters";
                self.error(Code::InvalidName, &join(&node.path, "name"), what, hint);
            } else if seen.insert(name) {
                names.claim(self, &join(&node.path, "bmc"), &mgmt);
            }
        }
        for host in lan.into_iter().flat_map(|lan| &lan.hosts) {
            let Some(name) = &host.name else { continue };
            names.claim(self, &join(&host.path, "name"), name.as_str());
        }
        for (idx, machine) in machines.into_iter().flatten().enumerate() {
            let path = join(&self.places.item("spec.machines", idx), "name");
            if let Some(name) = machine.name.as_deref().and_then(|name| self.name(&path, name)) {
                names.claim(self, &path, name.as_str());
            }
        }
        names
    }

    /// Each MAC is one interface's.
    pub(super) fn macs(
        &mut self,
        lan: Option<&LanDraft>,
        nodes: &[NodeDraft],
        uplink: Option<&site::Uplink>,
    ) {
        let mut claims: Vec<(String, MacAddr, String)> = Vec::new();
        if let Some(site::InterfaceRef::Mac(mac)) = uplink.map(|uplink| &uplink.interface) {
            claims.push((
                "spec.uplink.interface.mac".to_owned(),
                *mac,
                "the uplink".to_owned(),
            ));
        }
        for node in nodes {
            let who = node
                .name
                .as_ref()
                .map_or_else(|| "another node".to_owned(), HostName::to_string);
            claims.extend(
                node.boot_mac
                    .map(|mac| (join(&node.path, "bootMac"), mac, who.clone())),
            );
            let members = node
                .bond_macs
                .iter()
                .filter(|(_, mac)| Some(*mac) != node.boot_mac);
            claims.extend(members.map(|(path, mac)| (path.clone(), *mac, who.clone())));
            let bmc = node.bmc.as_ref().and_then(|bmc| bmc.mac);
            claims.extend(bmc.map(|mac| (join(&node.path, "bmc.mac"), mac, format!("{who}-mgmt"))));
        }
        for host in lan.into_iter().flat_map(|lan| &lan.hosts) {
            let who = host
                .name
                .as_ref()
                .map_or_else(|| "another host".to_owned(), HostName::to_string);
            claims.extend(host.mac.map(|mac| (join(&host.path, "mac"), mac, who)));
        }
        let mut owners: BTreeMap<MacAddr, (String, String)> = BTreeMap::new();
        for (path, mac, who) in claims {
            if let Some((first, owner)) = owners.get(&mac) {
                let line = self.places.mark(first).line;
                let what = format!("{mac} is the MAC of {owner} already, on line {line}");
                let hint = "each interface has a MAC of its own: read it off the machine";
                self.error(Code::DuplicateMac, &path, what, hint);
            } else {
                owners.insert(mac, (path, who));
            }
        }
        for (path, mac) in lan.into_iter().flat_map(|lan| &lan.ignored_macs) {
            if let Some((_, owner)) = owners.get(mac) {
                let what = format!("{mac} is to be ignored, and is the MAC of {owner}");
                self.error(
                    Code::IgnoredMacInUse,
                    path,
                    what,
                    "take it out of one of the two places",
                );
            }
        }
    }
}
