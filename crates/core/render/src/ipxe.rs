//! Boot scripts for iPXE, one for each thing a machine may be told.
//!
//! The script decides, not the boot chain: every machine loads the same loader and asks for its script, and
//! only an armed node gets one that installs. A fetch that fails is tried again for ever, with a pause, so
//! that a bastion that is late does not leave a node stuck in its firmware.

use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::Nonce,
    site::{Node, Site},
};

use crate::install::base_url;

/// The script that boots an image's installer on an armed node. `nonce` is what lets this boot, and no other,
/// have the node's config.
pub fn install_script(site: &Site, node: &Node, image: &ImageManifest, nonce: &Nonce) -> String {
    let bastion = base_url(site);
    let url = |blob: &Blob| content_url(site, blob);
    let name = &node.name;
    let mut own = vec![
        // EFI stubs take the name of the initrd that iPXE registered; others ignore it.
        format!("initrd={}", image.initramfs.file),
        "ip=dhcp".to_owned(),
        "rd.neednet=1".to_owned(),
        "ignition.firstboot".to_owned(),
        "ignition.platform.id=metal".to_owned(),
        format!("ignition.config.url={bastion}/ignition/{name}/{}", nonce.as_str()),
        format!("faros.report={bastion}/report/{name}"),
        format!("BOOTIF=01-{}", node.boot_mac.hyphenated()),
    ];
    match (image.family, &image.root) {
        (Family::Coreos, Some(root)) => own.push(format!("coreos.live.rootfs_url={}", url(root))),
        (Family::Flatcar, _) => own.push("flatcar.first_boot=1".to_owned()),
        (Family::Faros | Family::Coreos, _) => (),
    }
    let arguments = image
        .kernel_arguments
        .iter()
        .chain(&own)
        .chain(&node.kernel_arguments);
    let arguments: Vec<String> = arguments.map(|argument| quiet(argument)).collect();
    format!(
        "#!ipxe\n\
         echo Faros: {name} of {zone} is armed and will be installed\n\
         :kernel\n\
         kernel {kernel} {arguments} || goto again\n\
         :initrd\n\
         initrd --name {initrd_name} {initrd} || goto again\n\
         boot || goto again\n\
         :again\n\
         echo Faros: the bastion did not answer; trying again in 5 seconds\n\
         imgfree\n\
         sleep 5\n\
         goto kernel\n",
        zone = site.zone(),
        kernel = url(&image.kernel),
        initrd = url(&image.initramfs),
        initrd_name = image.initramfs.file,
        arguments = arguments.join(" "),
    )
}

/// The script that makes a machine boot its own disk.
///
/// UEFI firmware may have many choices between the network and the disk, each with its own long wait, so there the
/// image's `local_boot` program finds the disk's loader. Leaving iPXE with an error makes the firmware try its next
/// choice; without one it would show its menu (UEFI 2.10 section 3.1.1). A BIOS often has no choice after the
/// network, so there the first disk is started directly, and leaving is what is left if that fails.
pub fn local_disk_script(site: &Site, image: Option<&ImageManifest>, reason: &str) -> String {
    let efi = match image.and_then(|image| image.local_boot.as_ref()) {
        Some(program) => format!("chain {}", content_url(site, program)),
        None => "exit 1".to_owned(),
    };
    format!(
        "#!ipxe\n\
         echo Faros: booting the local disk ({})\n\
         iseq ${{platform}} efi && goto efi ||\n\
         sanboot --no-describe --drive 0x80 ||\n\
         goto none\n\
         :efi\n\
         {efi} ||\n\
         :none\n\
         echo Faros: there is no disk to boot; trying the firmware's next choice\n\
         exit 1\n",
        quiet(reason)
    )
}

fn content_url(site: &Site, blob: &Blob) -> String {
    format!("{}/content/sha256/{}/{}", base_url(site), blob.digest, blob.file)
}

/// The script for a machine for which there is nothing: the firmware goes on with its next choice.
pub fn nothing_script(reason: &str) -> String {
    format!(
        "#!ipxe\necho Faros: nothing to boot here ({})\nexit 1\n",
        quiet(reason)
    )
}

/// Text that iPXE takes as it stands: no expansion, no second command, no end of line.
fn quiet(text: &str) -> String {
    let plain = |c: char| match c {
        '$' | '&' | '|' | '{' | '}' | '`' | '\\' => '_',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(plain).collect()
}
