//! The scripts of the boot loader.

use expect_test::expect;
use faros_model::ids::Nonce;

use super::given::{image, site};
use crate::{install_script, local_disk_script, nothing_script};

#[test]
fn an_armed_node_is_told_to_install() {
    let site = site("three-nodes");
    let script = install_script(
        &site,
        site.nodes.values().next().unwrap(),
        &image(),
        &Nonce::of([0x5a; 16]),
    );
    expect![[r"
        #!ipxe
        echo Faros: node-1 of harbour-7.edge.example.com is armed and will be installed
        :kernel
        kernel http://192.168.8.1:8080/content/sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/vmlinuz quiet initrd=initramfs.img ip=dhcp rd.neednet=1 ignition.firstboot ignition.platform.id=metal ignition.config.url=http://192.168.8.1:8080/ignition/node-1/5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a faros.report=http://192.168.8.1:8080/report/node-1 BOOTIF=01-52-54-00-08-00-01 console=ttyS0 || goto again
        :initrd
        initrd --name initramfs.img http://192.168.8.1:8080/content/sha256/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/initramfs.img || goto again
        boot || goto again
        :again
        echo Faros: the bastion did not answer; trying again in 5 seconds
        imgfree
        sleep 5
        goto kernel
    "]]
    .assert_eq(&script);
}

#[test]
fn nothing_in_a_reason_runs_as_a_command() {
    let site = site("three-nodes");
    let script = local_disk_script(&site, None, "a && shell || ${mac}\nreboot");
    assert!(script.contains("(a __ shell __ __mac_ reboot)"), "{script}");
    assert_eq!(script.lines().count(), 10);
    let with_program = local_disk_script(&site, Some(&image()), "x");
    assert!(with_program.contains("/local-boot.efi ||"), "{with_program}");
    assert_eq!(nothing_script("x\ny").lines().count(), 3);
}
