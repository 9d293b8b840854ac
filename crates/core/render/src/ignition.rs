//! A node's Ignition config, spec 3.3.0.
//!
//! It says what the node is: its name, its network, who may log in, what time it keeps, and what the
//! kubelet is to tell Kubernetes about it. Disks are the installer's part.

use faros_model::{
    ids::MacAddr,
    site::{Bond, Node, NodeAddressing, Role, Site},
};
use serde_json::{Value, json};

/// The user that may log in, as on the other systems that Ignition sets up.
const USER: &str = "core";

/// The config of `node` as JSON text.
pub fn ignition(site: &Site, node: &Node) -> String {
    let mut files = vec![
        file("/etc/hostname", 0o644, &format!("{}\n", node.name)),
        file("/etc/hosts", 0o644, &hosts(site, node)),
        file(
            "/etc/systemd/timesyncd.conf.d/10-faros.conf",
            0o644,
            &timesyncd(site),
        ),
        file("/etc/default/kubelet", 0o644, &kubelet(node)),
    ];
    files.extend(
        network(site, node)
            .into_iter()
            .map(|(name, text)| file(&format!("/etc/systemd/network/{name}"), 0o644, &text)),
    );
    let config = json!({
        "ignition": { "version": "3.3.0" },
        "passwd": { "users": [{
            "name": USER,
            "groups": ["sudo"],
            "sshAuthorizedKeys": site.ssh_authorized_keys,
        }] },
        "storage": { "files": files },
        "systemd": { "units": [
            { "name": "systemd-networkd.service", "enabled": true },
            { "name": "systemd-timesyncd.service", "enabled": true },
        ] },
    });
    config.to_string()
}

fn file(path: &str, mode: u32, text: &str) -> Value {
    json!({
        "path": path,
        "mode": mode,
        "overwrite": true,
        "contents": { "source": format!("data:,{}", percent_encoded(text)) },
    })
}

fn hosts(site: &Site, node: &Node) -> String {
    let zone = site.zone();
    format!(
        "127.0.0.1 localhost\n::1 localhost\n{} {name}.{zone} {name}\n",
        node.address,
        name = node.name
    )
}

fn timesyncd(site: &Site) -> String {
    format!("[Time]\nNTP={}\nFallbackNTP=\n", site.lan.addresses.bastion)
}

/// What the kubelet says of its node when it registers.
///
/// A kubelet may not give itself labels below `kubernetes.io` (the `NodeRestriction` admission plug-in), so roles stand below
/// `role.faros.dev`; the well-known role labels are given by whoever approves the node.
fn kubelet(node: &Node) -> String {
    let roles = node
        .roles
        .iter()
        .map(|role| format!("role.faros.dev/{}=true", role.as_str()));
    let labels: Vec<String> = roles
        .chain(node.labels.iter().map(|(key, value)| format!("{key}={value}")))
        .collect();
    let mut taints = node.taints.clone();
    // Management workload is kept apart from the rest: only what asks for it runs there.
    if node.roles.contains(&Role::MetaWorker) && !node.roles.contains(&Role::Worker) {
        taints.push("role.faros.dev/meta-worker=true:NoSchedule".to_owned());
    }
    let mut arguments = vec![
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.address),
    ];
    arguments.push(format!("--node-labels={}", labels.join(",")));
    if !taints.is_empty() {
        arguments.push(format!("--register-with-taints={}", taints.join(",")));
    }
    format!("KUBELET_EXTRA_ARGS={}\n", arguments.join(" "))
}

/// Units of systemd-networkd, by file name.
fn network(site: &Site, node: &Node) -> Vec<(String, String)> {
    let mtu = if site.lan.mtu == 1500 {
        String::new()
    } else {
        format!("\n[Link]\nMTUBytes={}\n", site.lan.mtu)
    };
    match &node.network.bond {
        None => {
            let match_mac = format!("[Match]\nMACAddress={}\nType=ether\n", node.boot_mac);
            vec![(
                "10-lan.network".to_owned(),
                format!("{match_mac}\n{}{mtu}", addressing(site, node)),
            )]
        }
        Some(bond) => {
            let member = |mac: &MacAddr| {
                format!("[Match]\nMACAddress={mac}\nType=ether\n\n[Network]\nBond=bond0\n{mtu}")
            };
            let mut units = vec![
                ("10-bond0.netdev".to_owned(), bond_device(node, bond)),
                (
                    "20-bond0.network".to_owned(),
                    format!("[Match]\nName=bond0\n\n{}{mtu}", addressing(site, node)),
                ),
            ];
            units.extend(
                bond.macs
                    .iter()
                    .enumerate()
                    .map(|(idx, mac)| (format!("15-bond0-{idx}.network"), member(mac))),
            );
            units
        }
    }
}

/// The bond speaks with the MAC of the boot interface, so that DHCP knows it.
fn bond_device(node: &Node, bond: &Bond) -> String {
    format!(
        "[NetDev]\nName=bond0\nKind=bond\nMACAddress={}\n\n[Bond]\nMode={}\nMIIMonitorSec=100ms\n",
        node.boot_mac,
        bond.mode.as_str()
    )
}

fn addressing(site: &Site, node: &Node) -> String {
    let bastion = site.lan.addresses.bastion;
    match node.network.addressing {
        // The client identifier is the MAC, as the boot ROM's: the node keeps the lease it booted with.
        NodeAddressing::Dhcp => {
            "[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\nUseNTP=yes\n".to_owned()
        }
        NodeAddressing::Static => format!(
            "[Network]\nAddress={}/{}\nGateway={bastion}\nDNS={bastion}\nNTP={bastion}\nDomains={}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
            node.address,
            site.lan.subnet.prefix(),
            site.zone()
        ),
    }
}

/// Text for a `data:` URL (RFC 2397): all but unreserved characters are encoded.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len() * 2), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}
