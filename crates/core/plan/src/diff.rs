//! What changes for each service, line by line.

use std::collections::BTreeMap;

use faros_model::{
    ids::HostName,
    plan::{Change, ChangeKind, Impact, Service},
    ports::{NTP, REGISTRY, UNLOCK},
    site::{DiskRef, Node, SealKeysWith, Site, UnlockPolicy},
};

use crate::names::names;

/// Facts by subject: what a service answers from, in words.
type Facts = BTreeMap<String, String>;

/// What changes for a service, from the site it serves (if it runs) to the wanted one.
pub(crate) fn service(service: Service, before: Option<&Site>, wanted: &Site) -> Vec<Change> {
    let facts = match service {
        Service::Dhcp => dhcp,
        Service::Dns => dns,
        Service::Netboot => netboot,
        Service::Ignition => ignition,
        Service::Unlock => unlock,
        Service::Ntp => ntp,
        Service::Router => faros_firewall::facts,
        Service::Balancer => faros_balancer::facts,
        Service::Registry => registry,
    };
    let is_address = |subject: &str| service == Service::Dhcp && subject.starts_with("address ");
    compare(&before.map(facts).unwrap_or_default(), &facts(wanted), |change| {
        let moved = change.kind == ChangeKind::Change && is_address(&change.subject);
        if moved {
            change.impact = Impact::Disruptive;
            change.reason = "whoever has the old address keeps it until its lease ends".to_owned();
        } else if change.subject == "listens on" && change.kind == ChangeKind::Change {
            change.impact = Impact::Disruptive;
            change.reason = "the service is not reachable until the bastion has its new address".to_owned();
        } else if service == Service::Balancer && change.subject == "holds" && shuts_out(change) {
            change.impact = Impact::Disruptive;
            change.reason = "connections by an address that is given up end".to_owned();
        } else if service == Service::Router && shuts_out(change) {
            change.impact = Impact::Disruptive;
            change.reason =
                "new connections of whoever is shut out are dropped; those that are there go on".to_owned();
        } else if change.kind == ChangeKind::Change
            && (service == Service::Ignition
                || service == Service::Unlock && change.subject.starts_with("disks of "))
        {
            change.reason = "takes effect at the node's next install".to_owned();
        }
    })
}

/// What changes in the parts that no service acts on yet, and in what belongs to none.
pub(crate) fn kept(before: &Site, wanted: &Site) -> Vec<Change> {
    let facts = |site: &Site| {
        let mut facts: Facts = site
            .later
            .iter()
            .map(|(key, value)| (format!("spec.{key}"), value.to_string()))
            .collect();
        facts.insert("name".into(), site.zone().to_string());
        facts.extend(
            site.labels
                .iter()
                .map(|(key, value)| (format!("label {key}"), value.clone())),
        );
        for node in site.nodes.values() {
            facts.insert(format!("roles of {}", node.name), roles(node));
            facts.insert(format!("install disk of {}", node.name), disk(&node.install_disk));
        }
        facts
    };
    compare(&facts(before), &facts(wanted), |change| {
        if change.subject.starts_with("spec.") {
            change.reason = "recorded; no service acts on it yet".to_owned();
        }
    })
}

/// A node's next network boot installs it.
pub(crate) fn armed(node: &Node) -> Change {
    let disk = disk(&node.install_disk);
    Change {
        kind: ChangeKind::Add,
        subject: format!("node {}", node.name),
        from: String::new(),
        to: format!("{} at {} ({}), armed", node.boot_mac, node.address, roles(node)),
        impact: Impact::Destructive,
        reason: format!(
            "its next network boot installs {} on {disk} and wipes what is there",
            node.image
        ),
    }
}

/// A node is no longer known.
pub(crate) fn forgotten(name: &HostName) -> Change {
    Change {
        kind: ChangeKind::Remove,
        subject: format!("node {name}"),
        from: "known".to_owned(),
        to: String::new(),
        impact: Impact::Disruptive,
        reason: "it loses its address and its names; its disk is not touched".to_owned(),
    }
}

/// A service ends.
pub(crate) fn stopped(service: Service) -> Change {
    Change {
        kind: ChangeKind::Remove,
        subject: format!("service {}", service.as_str()),
        from: "runs".to_owned(),
        to: String::new(),
        impact: Impact::Disruptive,
        reason: "machines that need it get no answer".to_owned(),
    }
}

/// Whether a change of the router may take a way away from someone who has it.
fn shuts_out(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Add => false,
        ChangeKind::Change | ChangeKind::Remove => true,
    }
}

fn compare(before: &Facts, after: &Facts, judge: impl Fn(&mut Change)) -> Vec<Change> {
    let subjects: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for subject in subjects {
        let (from, to) = (before.get(subject), after.get(subject));
        let kind = match (from, to) {
            (Some(from), Some(to)) if from == to => continue,
            (Some(_), Some(_)) => ChangeKind::Change,
            (None, _) => ChangeKind::Add,
            (_, None) => ChangeKind::Remove,
        };
        let (from, to) = (from.cloned().unwrap_or_default(), to.cloned().unwrap_or_default());
        let (impact, reason) = (Impact::None, String::new());
        let mut change = Change {
            kind,
            subject: subject.clone(),
            from,
            to,
            impact,
            reason,
        };
        judge(&mut change);
        changes.push(change);
    }
    changes
}

fn dhcp(site: &Site) -> Facts {
    let lan = &site.lan;
    let mut facts = Facts::new();
    facts.insert("listens on".into(), lan.interfaces.join(", "));
    facts.insert("subnet".into(), lan.subnet.to_string());
    facts.insert("router, DNS, NTP".into(), lan.addresses.bastion.to_string());
    facts.insert("dynamic range".into(), lan.dynamic_range.to_string());
    facts.insert("domain".into(), site.zone().to_string());
    facts.insert("MTU".into(), lan.mtu.to_string());
    facts.insert(
        "boot files".into(),
        if site.services.netboot {
            "for nodes"
        } else {
            "none"
        }
        .to_owned(),
    );
    let macs: Vec<String> = lan.ignored_macs.iter().map(ToString::to_string).collect();
    if !macs.is_empty() {
        facts.insert("ignored".into(), macs.join(", "));
    }
    for node in site.nodes.values() {
        let macs: Vec<String> = node.macs().map(|mac| mac.to_string()).collect();
        facts.insert(format!("address of {}", node.name), node.address.to_string());
        facts.insert(format!("MAC of {}", node.name), macs.join(", "));
        if let Some((bmc, mac)) = node.bmc.as_ref().and_then(|bmc| Some((bmc, bmc.mac?))) {
            facts.insert(format!("address of {}-mgmt", node.name), bmc.address.to_string());
            facts.insert(format!("MAC of {}-mgmt", node.name), mac.to_string());
        }
    }
    for host in lan.hosts.values() {
        if let Some(mac) = host.mac {
            facts.insert(format!("address of {}", host.name), host.address.to_string());
            facts.insert(format!("MAC of {}", host.name), mac.to_string());
        }
    }
    facts
}

fn dns(site: &Site) -> Facts {
    let zone = site.zone();
    let mut facts: Facts = names(site)
        .into_iter()
        .map(|(name, says)| (format!("record {name}.{zone}"), says))
        .collect();
    facts.insert("listens on".into(), site.lan.addresses.bastion.to_string());
    facts.insert("answers".into(), site.lan.subnet.to_string());
    let forwarders: Vec<String> = site.dns.forwarders.iter().map(ToString::to_string).collect();
    facts.insert(
        "forwards to".into(),
        if forwarders.is_empty() {
            "nobody".into()
        } else {
            forwarders.join(", ")
        },
    );
    facts
}

fn ntp(site: &Site) -> Facts {
    let sources = &site.time.sources;
    Facts::from([
        (
            "listens on".to_owned(),
            format!("{}:{NTP}", site.lan.addresses.bastion),
        ),
        ("answers".to_owned(), site.lan.subnet.to_string()),
        (
            "asks".to_owned(),
            if sources.is_empty() {
                "nobody".to_owned()
            } else {
                sources.join(", ")
            },
        ),
        (
            "without a source".to_owned(),
            format!("stratum {}", site.time.orphan_stratum),
        ),
    ])
}

fn netboot(site: &Site) -> Facts {
    let mut facts = Facts::new();
    facts.insert("listens on".into(), site.lan.addresses.bastion.to_string());
    facts.insert("answers".into(), site.lan.subnet.to_string());
    let content = match site.content {
        faros_model::site::ContentPolicy::WhileArmed => "to armed nodes",
        faros_model::site::ContentPolicy::Always => "always",
    };
    facts.insert("content is served".into(), content.to_owned());
    for node in site.nodes.values() {
        let arguments = node.kernel_arguments.join(" ");
        let says = format!("{} for {} {arguments}", node.image, node.architecture.as_str());
        facts.insert(format!("script of {}", node.name), says.trim_end().to_owned());
    }
    facts
}

/// A config is a long text: its digest-like length stands for it, and the parts that people set are told.
fn unlock(site: &Site) -> Facts {
    let policy = match site.unlock.policy {
        UnlockPolicy::BootSession => "nodes that boot",
        UnlockPolicy::KnownNodes => "nodes of the site",
        UnlockPolicy::Anyone => "anyone on the LAN",
    };
    let seal = match site.unlock.seal_keys_with {
        SealKeysWith::Tpm2 => "the bastion's TPM",
        SealKeysWith::Passphrase => "a passphrase",
        SealKeysWith::Nothing => "nothing",
    };
    let mut facts = Facts::from([
        (
            "listens on".to_owned(),
            format!("{}:{UNLOCK}", site.lan.addresses.bastion),
        ),
        ("helps".to_owned(), policy.to_owned()),
        ("keys are sealed with".to_owned(), seal.to_owned()),
    ]);
    for node in site.nodes.values() {
        let by: Vec<&str> = node.encryption.of.iter().map(|by| by.as_str()).collect();
        let text = match (node.encryption.threshold, by.as_slice()) {
            (0, _) | (_, []) => "not encrypted".to_owned(),
            (_, [only]) => format!("unlocked by {only}"),
            (threshold, all) => format!("unlocked by {threshold} of {}", all.join(", ")),
        };
        facts.insert(format!("disks of {}", node.name), text);
    }
    facts
}

fn registry(site: &Site) -> Facts {
    let address = site.lan.addresses.bastion;
    Facts::from([
        ("listens on".to_owned(), format!("{address}:{REGISTRY}")),
        ("is called".to_owned(), format!("registry.{}", site.zone())),
    ])
}

fn ignition(site: &Site) -> Facts {
    let mut facts = Facts::new();
    for (filter, nodes) in faros_render::node_filters(site) {
        let filter =
            filter.map(|rules| format!("{} bytes, {:08x}", rules.len(), fingerprint(rules.as_bytes())));
        for node in nodes {
            let config = faros_render::intended_config(site, node, filter.as_deref());
            let says = format!("{} bytes, {:08x}", config.len(), fingerprint(config.as_bytes()));
            facts.insert(format!("config of {}", node.name), says);
        }
    }
    facts
}

/// FNV-1a: tells two texts apart for people; nothing trusts it.
fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn roles(node: &Node) -> String {
    node.roles
        .iter()
        .map(|role| role.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn disk(disk: &DiskRef) -> String {
    match disk {
        DiskRef::Path(path) => path.clone(),
        DiskRef::Hints(hints) => {
            let parts = [
                hints
                    .min_size_bytes
                    .map(|bytes| format!("at least {} GiB", bytes >> 30)),
                hints
                    .rotational
                    .map(|spins| if spins { "spinning" } else { "not spinning" }.to_owned()),
                hints
                    .serial_number
                    .as_ref()
                    .map(|serial| format!("serial {serial}")),
                hints.model.as_ref().map(|model| format!("model {model}")),
                hints.wwn.as_ref().map(|wwn| format!("WWN {wwn}")),
            ];
            format!(
                "the disk that is {}",
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            )
        }
    }
}
