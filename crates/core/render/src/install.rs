//! What a node needs to know to install itself: which disks, what goes onto them, and how they are encrypted.

use faros_cluster::Bond;
use faros_model::{
    content::{Blob, Family, ImageManifest},
    kubernetes::Release,
    plan::Service,
    ports::{NETBOOT_HTTP, UNLOCK},
    site::{DiskRef, DiskUsage, Encryption, Node, Site, UnlockBy},
};
use serde_json::{Map, Value, json};

/// Size of the boot partition: kernel, initramfs and loaders, twice over.
const BOOT_MIB: u64 = 512;

/// What an install stands on besides the site.
#[derive(Debug, Clone, Copy)]
pub struct Install<'a> {
    /// The operating system.
    pub image: &'a ImageManifest,
    /// Thumbprint of the signing key of the bastion's Tang service, by which a node knows that it is the bastion
    /// that it binds its disks to.
    pub thumbprint: &'a str,
    /// By what it becomes a node of a cluster; `None` for a site without one.
    pub joining: Option<Joining<'a>>,
}

/// What a node needs before it can join a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Joining<'a> {
    /// The programs.
    pub release: &'a Release,
    /// By what node and bastion know each other.
    pub bond: Bond<'a>,
}

/// Why a node cannot be installed as the site file says; `Ok` if it can.
///
/// # Errors
/// The reason, as a sentence without its full stop.
pub fn installable(site: &Site, node: &Node, image: &ImageManifest) -> Result<(), String> {
    let of = &node.encryption.of;
    if node.architecture != image.architecture {
        return Err(format!(
            "the image {} is for {}, and {} is {}",
            image.name,
            image.architecture.as_str(),
            node.name,
            node.architecture.as_str()
        ));
    }
    if image.root.is_none() && image.family != Family::Flatcar {
        return Err(format!("the image {} has no root file system", image.name));
    }
    if of.contains(&UnlockBy::Peers) {
        return Err(
            "no node of this version helps another to unlock; take `peers` out of `encryption`".to_owned(),
        );
    }
    if of.contains(&UnlockBy::Tang) && !site.runs(Service::Unlock) {
        return Err("the unlock service is switched off, and the disks are to be unlocked by it".to_owned());
    }
    let by_hints = |disk: &DiskRef| matches!(disk, DiskRef::Hints(_));
    if image.family != Family::Faros
        && (by_hints(&node.install_disk) || node.data_disks.iter().any(|data| by_hints(&data.disk)))
    {
        return Err(format!(
            "the installer of {} takes a disk by its path only, not by `hints`",
            image.name
        ));
    }
    Ok(())
}

/// `http://<bastion>:<port>` of the boot and report pages.
/// Where a node fetches content, by its digest.
pub fn content_url(site: &Site, blob: &Blob) -> String {
    format!("{}/content/sha256/{}/{}", base_url(site), blob.digest, blob.file)
}

pub(crate) fn base_url(site: &Site) -> String {
    format!("http://{}:{NETBOOT_HTTP}", site.lan.addresses.bastion)
}

/// Where nodes find the Tang service.
pub fn unlock_url(site: &Site) -> String {
    format!("http://{}:{UNLOCK}", site.lan.addresses.bastion)
}

/// A data disk that is encrypted, made into a file system and mounted.
pub(crate) struct Volume {
    /// Its name below `/dev/mapper`, and its disk's below `/dev/faros`.
    pub(crate) name: String,
    pub(crate) disk: DiskRef,
    pub(crate) path: String,
}

/// The data disks that the operating system uses. Those of the storage provider are left alone: they are its
/// own to encrypt and to wipe.
pub(crate) fn volumes(node: &Node) -> Vec<Volume> {
    let disks = node.data_disks.iter().enumerate();
    disks
        .filter_map(|(idx, data)| {
            let path = match &data.usage {
                DiskUsage::Storage => return None,
                DiskUsage::Kubelet => "/var/lib/faros/kubelet".to_owned(),
                DiskUsage::Mount(path) => path.clone(),
            };
            let (name, disk) = (format!("data-{idx}"), data.disk.clone());
            Some(Volume { name, disk, path })
        })
        .collect()
}

/// Folders that are on another disk: where they appear, and where they are.
pub(crate) fn binds(node: &Node) -> Vec<(&'static str, &'static str)> {
    let kubelet = |data: &faros_model::site::DataDisk| data.usage == DiskUsage::Kubelet;
    if node.data_disks.iter().any(kubelet) {
        vec![
            ("/var/lib/kubelet", "/var/lib/faros/kubelet/kubelet"),
            ("/var/lib/containerd", "/var/lib/faros/kubelet/containerd"),
        ]
    } else {
        vec![]
    }
}

/// Ignition's `clevis` of a LUKS volume; `None` if disks are not encrypted.
pub(crate) fn clevis(site: &Site, encryption: &Encryption, thumbprint: &str) -> Option<Value> {
    if encryption.threshold == 0 || encryption.of.is_empty() {
        return None;
    }
    let mut clevis = Map::new();
    for by in &encryption.of {
        match by {
            UnlockBy::Tang => {
                let tang = json!([{ "url": unlock_url(site), "thumbprint": thumbprint }]);
                clevis.insert("tang".to_owned(), tang);
            }
            UnlockBy::Tpm2 => drop(clevis.insert("tpm2".to_owned(), json!(true))),
            UnlockBy::Peers => (),
        }
    }
    clevis.insert("threshold".to_owned(), json!(encryption.threshold));
    Some(Value::Object(clevis))
}

/// A LUKS volume. Its first key is random and thrown away after clevis has bound the volume, so there is no
/// passphrase that a slow key derivation would have to protect.
pub(crate) fn luks(name: &str, device: &str, clevis: &Value) -> Value {
    json!({
        "name": name,
        "label": name,
        "device": device,
        "wipeVolume": true,
        "options": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
        "clevis": clevis,
    })
}

/// Ignition's `storage` for an image that Faros installs, without files. The installer gives disks their names
/// below `/dev/faros`.
pub(crate) fn storage(site: &Site, node: &Node, install: &Install<'_>) -> Map<String, Value> {
    let clevis = clevis(site, &node.encryption, install.thumbprint);
    let mut disks = vec![json!({
        "device": "/dev/faros/install",
        "wipeTable": true,
        "partitions": [
            // For GRUB on BIOS, whose second stage lives here.
            { "number": 1, "label": "bios", "sizeMiB": 1, "typeGuid": "21686148-6449-6e6f-744e-656564454649" },
            { "number": 2, "label": "boot", "sizeMiB": BOOT_MIB, "typeGuid": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
            { "number": 3, "label": "root", "sizeMiB": 0 },
        ],
    })];
    let mut luks_volumes = Vec::new();
    let mut open = |name: &str, part: String| match &clevis {
        None => part,
        Some(clevis) => {
            luks_volumes.push(luks(name, &part, clevis));
            format!("/dev/mapper/{name}")
        }
    };
    let root = open("root", "/dev/faros/install-part3".to_owned());
    let mut filesystems = vec![
        json!({ "device": root, "format": "ext4", "label": "root", "path": "/", "wipeFilesystem": true }),
        json!({
            "device": "/dev/faros/install-part2", "format": "vfat", "label": "boot", "path": "/boot",
            "wipeFilesystem": true,
        }),
    ];
    for Volume { name, path, .. } in volumes(node) {
        disks.push(json!({
            "device": format!("/dev/faros/{name}"),
            "wipeTable": true,
            "partitions": [{ "number": 1, "label": name, "sizeMiB": 0 }],
        }));
        let device = open(&name, format!("/dev/faros/{name}-part1"));
        filesystems.push(json!({
            "device": device, "format": "ext4", "label": name, "path": path, "wipeFilesystem": true,
        }));
    }
    let mut storage = Map::new();
    storage.insert("disks".to_owned(), json!(disks));
    if !luks_volumes.is_empty() {
        storage.insert("luks".to_owned(), json!(luks_volumes));
    }
    storage.insert("filesystems".to_owned(), json!(filesystems));
    storage
}

/// What the installer of a Faros image reads: the part of its task that Ignition has no words for.
pub(crate) fn recipe(site: &Site, node: &Node, install: &Install<'_>) -> Value {
    let image = install.image;
    let volumes = volumes(node);
    let is_encrypted = node.encryption.threshold > 0 && !node.encryption.of.is_empty();
    // A fifth more than the files have, for the file system itself, and some room to live in.
    let least = (BOOT_MIB << 20) + image.root_bytes / 5 * 6 + (1 << 30);
    let mut disks = Map::new();
    disks.insert("install".to_owned(), disk(&node.install_disk, least));
    disks.extend(volumes.iter().map(|own| (own.name.clone(), disk(&own.disk, 0))));
    let open = |name: &str, part: &str| {
        if is_encrypted {
            format!("/dev/mapper/{name}")
        } else {
            part.to_owned()
        }
    };
    let mounts = volumes.iter().map(|own| {
        let part = format!("/dev/faros/{}-part1", own.name);
        json!({ "name": own.name, "part": part, "device": open(&own.name, &part), "path": own.path })
    });
    let mounts: Vec<Value> = mounts.collect();
    let binds = binds(node);
    let binds: Vec<Value> = binds
        .iter()
        .map(|(path, from)| json!({ "path": path, "from": from }))
        .collect();
    let arguments: Vec<&String> = image
        .kernel_arguments
        .iter()
        .chain(&node.kernel_arguments)
        .collect();
    json!({
        "disks": disks,
        "root": image.root.as_ref().map(|root| json!({
            "url": content_url(site, root),
            "sha256": root.digest,
        })),
        "encrypted": is_encrypted,
        "unlockUrl": unlock_url(site),
        "mounts": mounts,
        "binds": binds,
        "kernelArguments": arguments,
    })
}

fn disk(disk: &DiskRef, least_bytes: u64) -> Value {
    match disk {
        DiskRef::Path(path) => json!({ "path": path, "leastBytes": least_bytes }),
        DiskRef::Hints(hints) => json!({ "hints": hints, "leastBytes": least_bytes }),
    }
}
