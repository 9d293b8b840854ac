//! A node's Ignition config, spec 3.3.0.
//!
//! It says what the node is: its disks and how they are encrypted, its name, its network, who may log in, what
//! time it keeps, and what the kubelet is to tell Kubernetes about it.

use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::Digest,
    site::{DiskRef, Node, Site},
};
use serde_json::{Map, Value, json};

use crate::{
    cluster, data_url, firewall,
    install::{self, Install, base_url},
    kubelet::kubelet,
    network,
};

/// The user that may log in, as on the other systems that Ignition sets up.
const USER: &str = "core";

const VERSION: &str = "3.3.0";

/// Names come from the bastion; a node answers nobody who asks the whole LAN for them.
const RESOLVED: &str = "[Resolve]\nLLMNR=no\nMulticastDNS=no\n";

/// The config that an armed node gets, as JSON text.
///
/// For a Faros image it is the node's own. For the others it is that of their live system, which carries the
/// node's own and hands it to their installer.
pub fn ignition(site: &Site, node: &Node, install: &Install<'_>) -> String {
    match install.image.family {
        Family::Faros => node_config(site, node, install),
        Family::Coreos | Family::Flatcar => live(site, node, install).to_string(),
    }
}

/// What the site file has to do with a node's config, before there is an image or a key: for comparing one site
/// with another. No node gets it. `filter` stands for the node's packet filter, which nodes share, and which names
/// all of them.
pub fn intended_config(site: &Site, node: &Node, filter: Option<&str>) -> String {
    let nothing = Blob {
        file: String::new(),
        digest: Digest([0; 32]),
        size: 0,
    };
    let image = ImageManifest {
        name: node.image.clone(),
        architecture: node.architecture,
        family: Family::Faros,
        kernel: nothing.clone(),
        initramfs: nothing,
        root: None,
        root_bytes: 0,
        local_boot: None,
        kernel_arguments: vec![],
        packages: vec![],
    };
    let install = Install {
        image: &image,
        thumbprint: "",
        joining: None,
    };
    faros(site, node, &install, filter).to_string()
}

/// The config of the installed system itself.
///
/// For a Faros image that is the one that [`ignition`] gives; for the others the one that it carries.
pub fn node_config(site: &Site, node: &Node, install: &Install<'_>) -> String {
    let filter = firewall::rules(site, node);
    let filter = filter.as_deref();
    match install.image.family {
        Family::Faros => faros(site, node, install, filter),
        Family::Coreos => coreos(site, node, install, filter),
        Family::Flatcar => flatcar(site, node, install, filter),
    }
    .to_string()
}

fn faros(site: &Site, node: &Node, install: &Install<'_>, filter: Option<&str>) -> Value {
    let mut files = common_files(site, node, install, filter);
    files.extend(systemd_files(site, node));
    files.push(file(
        "/etc/sudoers.d/faros",
        0o440,
        "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n",
    ));
    files.push(file("/etc/faros/report", 0o644, &report_url(site, node)));
    files.push(json!({
        "path": "/etc/faros/install.json",
        "mode": 0o600,
        "overwrite": true,
        "contents": { "source": data_url::compact(&install::recipe(site, node, install).to_string()) },
    }));
    let mut storage = install::storage(site, node, install);
    storage.insert("files".to_owned(), json!(files));
    let mut units = common_units(site, node, install, filter);
    units.extend(["networkd", "resolved", "timesyncd"].map(|own| {
        let name = format!("systemd-{own}.service");
        json!({ "name": name, "enabled": true })
    }));
    config(site, &storage, &units)
}

/// Fedora CoreOS and RHEL CoreOS: the root is copied into a LUKS volume at the first start from the disk.
fn coreos(site: &Site, node: &Node, install: &Install<'_>, filter: Option<&str>) -> Value {
    let mut files = common_files(site, node, install, filter);
    let connections = network::network_manager(site, node);
    files.extend(connections.iter().map(|(name, text)| {
        file(
            &format!("/etc/NetworkManager/system-connections/{name}"),
            0o600,
            text,
        )
    }));
    files.push(file("/etc/chrony.conf", 0o644, &chrony(site)));
    files.extend(started_script(site, node));
    let storage = foreign_storage(site, node, install, "root", "root", "xfs", files);
    foreign(site, node, &storage, common_units(site, node, install, filter))
}

fn flatcar(site: &Site, node: &Node, install: &Install<'_>, filter: Option<&str>) -> Value {
    let mut files = common_files(site, node, install, filter);
    files.extend(systemd_files(site, node));
    files.extend(started_script(site, node));
    let storage = foreign_storage(site, node, install, "ROOT", "rootencrypted", "ext4", files);
    foreign(site, node, &storage, common_units(site, node, install, filter))
}

/// The config of a system that does not tell by itself that it has started.
fn foreign(site: &Site, node: &Node, storage: &Map<String, Value>, mut units: Vec<Value>) -> Value {
    units.push(started_unit(site, node));
    config(site, storage, &units)
}

/// Disks of a system that partitions its own install disk.
fn foreign_storage(
    site: &Site,
    node: &Node,
    install: &Install<'_>,
    label: &str,
    volume: &str,
    format: &str,
    files: Vec<Value>,
) -> Map<String, Value> {
    let clevis = install::clevis(site, &node.encryption, install.thumbprint);
    let (mut disks, mut luks, mut filesystems) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(clevis) = &clevis {
        luks.push(install::luks(
            volume,
            &format!("/dev/disk/by-partlabel/{label}"),
            clevis,
        ));
        filesystems.push(json!({
            "device": format!("/dev/mapper/{volume}"), "format": format, "label": label, "wipeFilesystem": true,
        }));
    }
    for own in install::volumes(node) {
        // Hints are refused before it comes to this.
        let DiskRef::Path(path) = &own.disk else { continue };
        disks.push(json!({
            "device": path, "wipeTable": true,
            "partitions": [{ "number": 1, "label": own.name, "sizeMiB": 0 }],
        }));
        let part = format!("/dev/disk/by-partlabel/{}", own.name);
        let device = match &clevis {
            None => part,
            Some(clevis) => {
                luks.push(install::luks(&own.name, &part, clevis));
                format!("/dev/mapper/{}", own.name)
            }
        };
        filesystems.push(json!({
            "device": device, "format": format, "label": own.name, "path": own.path,
            "wipeFilesystem": true, "mountOptions": ["_netdev"],
        }));
    }
    let mut storage = Map::new();
    for (key, list) in [
        ("disks", disks),
        ("luks", luks),
        ("filesystems", filesystems),
        ("files", files),
    ] {
        if !list.is_empty() {
            storage.insert(key.to_owned(), json!(list));
        }
    }
    storage
}

/// The config of a live system that installs another one, and says so before it leaves.
fn live(site: &Site, node: &Node, install: &Install<'_>) -> Value {
    let DiskRef::Path(disk) = &node.install_disk else {
        // Refused before it comes to this.
        return config(site, &Map::new(), &[]);
    };
    let installer = match install.image.family {
        Family::Flatcar => format!("/usr/bin/flatcar-install -d {disk} -i /etc/faros/node.ign"),
        Family::Coreos | Family::Faros => {
            let arguments = network::kernel_arguments(site, node);
            let arguments = arguments.iter().chain(&node.kernel_arguments);
            let arguments: Vec<String> = arguments.map(|own| format!("--append-karg {own}")).collect();
            format!(
                "/usr/bin/coreos-installer install {disk} --offline --ignition-file /etc/faros/node.ign {}",
                arguments.join(" ")
            )
        }
    };
    let report = format!("{}/report/{}", base_url(site), node.name);
    let say = |json: &str| {
        format!(
            "/usr/bin/curl -fsS --retry 20 --retry-all-errors -H 'Content-Type: application/json' -d '{json}' {report}"
        )
    };
    let unit = format!(
        "[Unit]\nDescription=Install this node, and report to the bastion\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\nType=oneshot\nExecStartPre={booted}\nExecStart={installer}\n\
         ExecStart=/usr/bin/sync\nExecStart={installed}\nExecStart=/usr/bin/systemctl --no-block reboot\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        booted = say("{\"report\":\"booted\"}"),
        installed = say("{\"report\":\"installed\"}"),
    );
    let mut storage = Map::new();
    storage.insert(
        "files".to_owned(),
        json!([{
            "path": "/etc/faros/node.ign",
            "mode": 0o600,
            "overwrite": true,
            "contents": { "source": data_url::compact(&node_config(site, node, install)) },
        }]),
    );
    config(
        site,
        &storage,
        &[json!({ "name": "faros-install.service", "enabled": true, "contents": unit })],
    )
}

fn started_script(site: &Site, node: &Node) -> Option<Value> {
    let text = firewall::report(report_url(site, node).trim());
    firewall::rules(site, node).map(|_| file(firewall::REPORT, 0o644, &text))
}

/// Tells the bastion that the node runs from its disk.
fn started_unit(site: &Site, node: &Node) -> Value {
    let tell = match firewall::rules(site, node) {
        Some(_) => format!("/bin/bash {}", firewall::REPORT),
        None => format!(
            "/usr/bin/curl -fsS --retry 20 --retry-all-errors -H 'Content-Type: application/json' \
             -d '{{\"report\":\"started\"}}' {}",
            report_url(site, node).trim()
        ),
    };
    let unit = format!(
        "[Unit]\nDescription=Report to the bastion that this node runs\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\nType=oneshot\nExecStart={tell}\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    json!({ "name": "faros-report.service", "enabled": true, "contents": unit })
}

fn config(site: &Site, storage: &Map<String, Value>, units: &[Value]) -> Value {
    json!({
        "ignition": { "version": VERSION },
        "passwd": { "users": [{
            "name": USER,
            "groups": ["sudo"],
            "sshAuthorizedKeys": site.ssh_authorized_keys,
        }] },
        "storage": storage,
        "systemd": { "units": units },
    })
}

fn common_files(site: &Site, node: &Node, install: &Install<'_>, filter: Option<&str>) -> Vec<Value> {
    let mut files = vec![
        file("/etc/hostname", 0o644, &format!("{}\n", node.name)),
        file("/etc/hosts", 0o644, &hosts(site, node)),
        file("/etc/default/kubelet", 0o644, &kubelet(node)),
    ];
    files.extend(filter.map(|rules| {
        json!({
            "path": firewall::PATH,
            "mode": 0o644,
            "overwrite": true,
            "contents": { "source": data_url::compact(rules) },
        })
    }));
    files.extend(cluster::files(site, node, install));
    files
}

/// What every installed system starts, whichever it is.
fn common_units(site: &Site, node: &Node, install: &Install<'_>, filter: Option<&str>) -> Vec<Value> {
    let loads = || json!({ "name": firewall::UNIT, "enabled": true, "contents": firewall::unit() });
    filter
        .map(|_| loads())
        .into_iter()
        .chain(cluster::units(site, node, install))
        .collect()
}

/// Network, time and names, of a node on which systemd has all of them.
fn systemd_files(site: &Site, node: &Node) -> impl Iterator<Item = Value> {
    let (time, names) = (
        "/etc/systemd/timesyncd.conf.d/10-faros.conf",
        "/etc/systemd/resolved.conf.d/10-faros.conf",
    );
    networkd_files(site, node).chain([file(time, 0o644, &timesyncd(site)), file(names, 0o644, RESOLVED)])
}

fn networkd_files(site: &Site, node: &Node) -> impl Iterator<Item = Value> {
    network::networkd(site, node)
        .into_iter()
        .map(|(name, text)| file(&format!("/etc/systemd/network/{name}"), 0o644, &text))
}

fn file(path: &str, mode: u32, text: &str) -> Value {
    json!({
        "path": path,
        "mode": mode,
        "overwrite": true,
        "contents": { "source": data_url::readable(text) },
    })
}

fn report_url(site: &Site, node: &Node) -> String {
    format!("{}/report/{}\n", base_url(site), node.name)
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

fn chrony(site: &Site) -> String {
    format!(
        "server {} iburst\ndriftfile /var/lib/chrony/drift\nmakestep 1.0 3\nrtcsync\n",
        site.lan.addresses.bastion
    )
}
