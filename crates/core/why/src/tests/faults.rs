//! Each fault with its story, and the first answer to it.

use super::{
    story::{at, events},
    world::World,
};
use crate::{Printer, WORDS, catalogue::rules};

/// A fault: the cause that must come first, how the world differs, when somebody asks, and what was recorded.
type Fault = (&'static str, &'static str, f64, &'static str);

const FW: &str = "0 firmware-has\n";
const LOADER: &str = "0 firmware-has\n2 loader-sent\n";
const SCRIPT: &str = "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n";
const KERNEL: &str =
    "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n9 kernel-sent\n11 initramfs-sent\n";
const UP: &str = "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n9 kernel-sent\n11 initramfs-sent\n30 system-has\n31 booted\n";
const INSTALLING: &str = "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n9 kernel-sent\n11 initramfs-sent\n30 system-has\n31 booted\n32 ignition-served bytes=4000\n33 ignited\n";
const INSTALLED: &str = "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n9 kernel-sent\n11 initramfs-sent\n30 system-has\n31 booted\n32 ignition-served bytes=4000\n33 ignited\n90 installed\n";
const STARTED: &str = "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-install\n9 kernel-sent\n11 initramfs-sent\n30 system-has\n31 booted\n32 ignition-served bytes=4000\n33 ignited\n90 installed\n120 system-has\n121 unlock-recovered key=k\n140 started\n";

#[rustfmt::skip]
const FAULTS: &[(Fault, &str)] = &[
    // The story before, and the story after.
    (("never-seen", "", 600.0, "1 - generation-accepted generation=1\n2 ~ node-armed by=root"), ""),
    (("never-seen", "", 600.0, ""), ""),
    (("never-seen", "no-image", 600.0, "2 ~ node-armed by=root"), ""),
    (("wrong-mac", "stranger:590", 600.0, "2 ~ node-armed by=root"), ""),
    (("never-seen", "stranger:590", 9000.0, "2 ~ node-armed by=root"), ""),
    (("ignored-mac", "ignored", 600.0, "2 ~ node-armed by=root"), ""),
    (("dhcp-not-ready", "no-dhcp", 600.0, "2 ~ node-armed by=root"), ""),
    (("lan-lost", "no-dhcp", 600.0, "2 ~ node-armed by=root\n3 - interface-lost interface=lan0"), ""),
    (("offer-not-heard", "", 40.0, "0 firmware-asks\n0.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n4 firmware-asks\n4.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n12 firmware-asks\n12.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi"), ""),
    (("second-dhcp-server", "", 40.0, "0 firmware-asks\n0.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n1 - rogue-dhcp-server server=192.168.8.66 mac=52:54:00:08:00:01 seenBy=request"), ""),
    (("second-dhcp-server", "", 40.0, "0 firmware-asks\n0.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n4 firmware-asks\n4.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n12 firmware-asks\n12.1 dhcp-offer address=192.168.8.11 bootFile=snponly.efi\n13 - rogue-dhcp-server server=192.168.8.66 seenBy=offer"), ""),
    (("no-offer", "", 40.0, "0 firmware-asks\n4 firmware-asks\n12 firmware-asks"), ""),
    (("no-offer", "", 40.0, "0 - etcd-majority well=1 of=2 silent=node-2\n1 firmware-asks\n4 firmware-asks\n12 firmware-asks"), ""),
    (("address-in-use", "", 40.0, "0 firmware-asks\n1 - address-conflict address=192.168.8.11 mac=52:54:00:ff:00:09"), ""),
    (("address-in-use", "", 40.0, "0 firmware-has\n1 dhcp-decline address=192.168.8.11\n1.1 address-conflict address=192.168.8.11\n11 firmware-has\n12 dhcp-decline address=192.168.8.11"), ""),
    (("dhcp-refused", "", 40.0, "0 firmware-asks\n1 dhcp-nak address=10.0.0.9 reason=the_site_file_gives_it_192.168.8.11\n6 dhcp-nak address=10.0.0.9 reason=the_site_file_gives_it_192.168.8.11"), ""),
    (("architecture-mismatch", "firmware:uefi-aarch64", 40.0, "0 dhcp-discover vendorClass=PXEClient architecture=11\n0.1 dhcp-offer address=192.168.8.11 bootFile=ipxe-arm64.efi"), ""),
    (("no-loader-for-firmware", "firmware:uefi-ia32", 40.0, "0 dhcp-discover vendorClass=PXEClient architecture=6\n0.1 dhcp-offer address=192.168.8.11"), ""),
    (("armed-not-rebooted", "", 9000.0, INSTALLED), "95 system-has\n96 unlock-recovered key=k\n120 started\n5000 ~ node-armed by=root"),
    (("loader-not-fetched", "", 60.0, FW), ""),
    (("netboot-not-ready", "no-netboot", 60.0, FW), ""),
    (("loader-transfer-fails", "", 30.0, FW), "4 transfer-failed name=loader/snponly.efi bytes=1024 of=150000 reason=timeout"),
    (("loader-repeats", "", 80.0, LOADER), "20 firmware-has\n22 loader-sent\n50 firmware-has\n52 loader-sent"),
    (("loader-silent", "", 80.0, LOADER), ""),
    (("script-not-asked", "", 90.0, LOADER), "6 loader-has"),
    (("image-missing", "no-image", 20.0, LOADER), "6 loader-has\n8 boot-script-served action=nothing reason=the_image_debian-13_is_not_in_the_content_store"),
    (("image-missing", "no-image", 20.0, LOADER), ""),
    (("image-architecture", "image:aarch64", 20.0, LOADER), "6 loader-has\n8 boot-script-served action=nothing reason=the_image_debian-13_is_for_aarch64"),
    (("told-to-boot-nothing", "", 20.0, LOADER), "6 loader-has\n8 boot-script-served action=nothing reason=the_image_debian-13_cannot_be_used"),
    (("content-damaged", "", 20.0, SCRIPT), "8.5 - content-damaged name=debian-13/vmlinuz found=aa"),
    (("kernel-not-fetched", "", 90.0, SCRIPT), ""),
    (("transfer-fails", "", 40.0, SCRIPT), "9 kernel-sent\n30 transfer-failed name=debian-13/initramfs.img bytes=1024 of=39044657 reason=reset"),
    (("slow-transfer", "", 300.0, SCRIPT), "9 kernel-sent\n290 initramfs-fetched name=debian-13/initramfs.img bytes=39044657 milliseconds=280000"),
    (("slow-transfer", "sending:4000000", 90.0, SCRIPT), "9 kernel-sent"),
    (("kernel-silent", "", 300.0, KERNEL), ""),
    (("ignition-not-ready", "no-ignition", 60.0, UP), ""),
    (("ignition-not-fetched", "", 200.0, UP), ""),
    (("ignition-silent", "", 200.0, UP), "32 ignition-served bytes=4000"),
    (("ignition-unknown-node", "", 40.0, UP), "32 - ignition-refused node=node-1 address=192.168.8.11 reason=unknown-node"),
    (("ignition-wrong-address", "", 40.0, UP), "32 - ignition-refused node=node-1 address=192.168.8.77 reason=another_machine_asked_for_it"),
    (("ignition-wrong-mac", "", 40.0, UP), "32 - ignition-refused node=node-1 address=192.168.8.11 reason=wrong-mac"),
    (("ignition-not-armed", "not-armed", 40.0, UP), "32 ignition-refused node=node-1 address=192.168.8.11 reason=not-armed"),
    (("ignition-used", "", 40.0, UP), "32 ignition-served bytes=4000\n33 ignition-refused node=node-1 address=192.168.8.11 reason=used"),
    (("ignition-late", "", 40.0, UP), "32 ignition-refused node=node-1 address=192.168.8.11 reason=late"),
    (("ignition-wrong-nonce", "", 40.0, UP), "32 ignition-refused node=node-1 address=192.168.8.11 reason=wrong-nonce"),
    (("ignition-identity-conflict", "", 40.0, UP), "32 ignition-refused node=node-1 address=192.168.8.11 reason=identity-conflict"),
    (("ignition-refused", "", 40.0, UP), "32 ignition-refused node=node-1 address=192.168.8.11 reason=the_moon_is_full"),
    (("identity-conflict", "", 40.0, UP), "32 identity-conflict what=uuid expected=aa found=bb\n33 ignition-refused node=node-1 reason=identity-conflict"),
    (("ignition-fetch", "", 100.0, UP), "60 node-report report=failed stage=fetch code=ignition-fetch message=timeout"),
    (("ignition-config", "", 100.0, INSTALLING), "60 node-report report=failed stage=config code=ignition-config message=line_3"),
    (("disk-missing", "", 100.0, INSTALLING), "34 node-report report=stage stage=disk state=started\n35 node-report report=failed stage=disk code=disk-missing message=no_/dev/vda"),
    (("disk-ambiguous", "", 100.0, INSTALLING), "35 node-report report=failed stage=disk code=disk-ambiguous message=2_disks"),
    (("disk-too-small", "", 100.0, INSTALLING), "35 node-report report=failed stage=disk code=disk-too-small message=2_GB"),
    (("disks-failed", "", 100.0, INSTALLING), "35 node-report report=failed stage=disks code=disks-failed"),
    (("unlock-unreachable", "", 100.0, INSTALLING), "35 node-report report=failed stage=disks code=unlock-unreachable"),
    (("root-fetch", "", 100.0, INSTALLING), "35 node-report report=failed stage=root code=root-fetch"),
    (("root-digest", "", 100.0, INSTALLING), "35 node-report report=failed stage=root code=root-digest"),
    (("root-unpack", "", 100.0, INSTALLING), "35 node-report report=failed stage=root code=root-unpack"),
    (("files-failed", "", 100.0, INSTALLING), "35 node-report report=failed stage=files code=files-failed"),
    (("loader-failed", "", 100.0, INSTALLING), "35 node-report report=failed stage=loader code=loader-failed"),
    (("finish-failed", "", 100.0, INSTALLING), "35 node-report report=failed stage=finish code=finish-failed"),
    (("memory-too-small", "", 100.0, UP), "35 node-report report=failed stage=disk code=memory-too-small"),
    (("reported-failure", "", 100.0, UP), "35 node-report report=failed reason=no_idea"),
    (("stage-overdue", "", 1000.0, INSTALLING), "34 node-report report=stage stage=disks state=started"),
    (("stage-overdue", "", 1000.0, INSTALLING), "34 node-report report=stage stage=disks state=started\n60 node-report report=stage stage=disks state=done seconds=26"),
    (("root-image-stalled", "", 1000.0, INSTALLING), "34 node-report report=stage stage=root state=started"),
    (("transfer-fails", "", 60.0, INSTALLING), "34 node-report report=stage stage=root state=started\n50 transfer-failed name=debian-13/root.img bytes=1024 of=390446570 reason=reset"),
    (("not-back-from-reboot", "not-armed", 1000.0, INSTALLED), "700 phase-overdue phase=installed seconds=600 limit=600"),
    (("empty-disk", "not-armed", 600.0, "0 firmware-has\n2 loader-sent\n6 loader-has\n8 told-disk"), ""),
    (("empty-disk", "not-armed", 100.0, "0 /5 firmware-has\n2 /5 loader-sent\n6 /5 loader-has\n8 /5 told-disk\n30 /6 firmware-has\n32 /6 loader-sent\n36 /6 loader-has\n38 /6 told-disk\n60 firmware-has\n62 loader-sent\n66 loader-has\n68 told-disk"), ""),
    (("disk-does-not-boot", "not-armed", 300.0, "0 /4 installed\n60 /5 firmware-has\n68 /5 told-disk\n110 /6 firmware-has\n118 /6 told-disk\n160 firmware-has\n168 told-disk"), ""),
    (("disk-boot-silent", "not-armed", 900.0, "0 /4 installed\n60 firmware-has\n68 told-disk"), ""),
    (("unlock-not-asked", "not-armed", 400.0, INSTALLED), "120 system-has"),
    (("locked-down", "lockdown", 200.0, INSTALLED), "100 - unlock-lockdown by=root reason=theft\n120 system-has\n121 unlock-refused reason=locked-down key=k address=192.168.8.11"),
    (("locked-down", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=locked-down key=k address=192.168.8.11"),
    (("on-its-way", "not-armed", 170.0, INSTALLED), "120 system-has\n121 unlock-refused reason=locked-down key=k address=192.168.8.11\n150 - unlock-lockdown-lifted by=root"),
    (("unlock-not-ready", "no-unlock", 200.0, INSTALLED), "120 system-has"),
    (("unlock-unknown-machine", "not-armed", 200.0, INSTALLED), "120 system-has\n121 - unlock-refused reason=unknown-machine key=k address=192.168.8.200"),
    (("unlock-wrong-mac", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=wrong-mac key=k address=192.168.8.11"),
    (("unlock-not-booting", "not-armed", 200.0, INSTALLED), "120 ~ system-has\n121 ~ unlock-refused reason=not-booting key=k address=192.168.8.11"),
    (("unlock-not-bound", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=not-bound key=k address=192.168.8.11"),
    (("unlock-rate-limited", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=rate-limited key=k address=192.168.8.11"),
    (("unlock-unknown-key", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=unknown-key key=k address=192.168.8.11"),
    (("unlock-malformed", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=malformed address=192.168.8.11"),
    (("unlock-refused", "not-armed", 200.0, INSTALLED), "120 system-has\n121 unlock-refused reason=full-moon address=192.168.8.11"),
    (("unlocked-not-started", "not-armed", 900.0, INSTALLED), "120 system-has\n121 unlock-recovered key=k"),
    (("not-started", "no-tang", 900.0, INSTALLED), "120 system-has"),
    (("on-its-way", "no-tang", 300.0, INSTALLED), "120 system-has"),
    (("clock-off", "", 36.0, KERNEL), "35 node-report report=booted clock=2016-01-01T00:00:00Z"),
    (("daemon-was-down", "", 500.0, SCRIPT), "20 - daemon-stopping reason=signal\n45 - daemon-started version=1\n46 * dhcp-discover"),
    (("kernel-silent", "", 500.0, KERNEL), "400 - daemon-stopping reason=signal\n405 - daemon-started version=1"),
    (("join-failed", "not-armed", 900.0, STARTED), "200 node-report report=join-failed phase=init said=the_moon_is_full"),
    // What it failed at is told while it waits for its next try, and after the last.
    (("join-swap", "not-armed", 900.0, STARTED), "200 node-report report=join-failed phase=init said=10248/healthz kubelet=running_with_swap_on_is_not_supported\n210 join-waiting reason=pause"),
    (("join-failed", "not-armed", 900.0, STARTED), "200 node-report report=join-failed phase=init said=the_moon_is_full\n201 join-waiting reason=pause\n300 join-waiting reason=gave-up"),
    (("join-cannot-ask", "not-armed", 900.0, STARTED), "200 node-report report=join-stuck phase=ask said=curl:_(7)_refused"),
    (("join-waits-for-first", "not-armed", 900.0, STARTED), "200 node-report report=join-stuck phase=ask said=curl:_(7)_refused\n300 join-waiting reason=first"),
    (("join-waits-for-leaving", "not-armed", 900.0, STARTED), "200 join-waiting reason=leaving"),
    (("join-no-cluster", "not-armed", 900.0, STARTED), "200 join-waiting reason=no-cluster"),
    (("join-taken-out", "not-armed", 900.0, STARTED), "200 node-report report=joined action=init\n300 join-waiting reason=gave-up message=it_was_taken_out"),
    (("kubelet-ill", "not-armed", 900.0, STARTED), "200 node-report report=joined action=init\n300 node-not-ready message=x\n301 node-report report=kubelet-ill kubelet=disable_swap"),
    (("started", "not-armed", 900.0, STARTED), "200 node-report report=joined action=init\n301 node-report report=kubelet-ill kubelet=disable_swap\n400 node-report report=kubelet-well"),
    (("tend-refused", "not-armed", 900.0, STARTED), "800 tend-refused reason=wrong-secret message=no"),
    (("started", "not-armed", 9000.0, STARTED), "800 tend-refused reason=wrong-secret message=no"),
    (("node-disk-full", "not-armed", 900.0, STARTED), "200 node-pressure of=disk message=kubelet_has_disk_pressure"),
    (("node-disk-full", "not-armed", 900.0, STARTED), "200 node-report report=disk-full said=no_space_left_on_device:_3_MiB_are_free"),
    (("started", "not-armed", 900.0, STARTED), "200 node-report report=disk-full said=x\n300 node-report report=disk-well"),
    (("etcd-majority-lost", "not-armed", 900.0, STARTED), "200 - etcd-majority well=1 of=2 silent=node-2\n300 join-waiting reason=api"),
    (("join-waits-for-api", "not-armed", 900.0, STARTED), "200 - etcd-majority well=1 of=2 silent=node-2\n290 - etcd-majority\n300 join-waiting reason=api"),
    (("node-short", "not-armed", 900.0, STARTED), "200 node-pressure of=memory message=kubelet_has_insufficient_memory_available"),
    (("started", "not-armed", 900.0, STARTED), "200 node-pressure of=disk message=x\n300 node-pressure"),
    (("join-wrong-address", "not-armed", 900.0, STARTED), "200 join-refused reason=wrong-address address=192.168.8.11"),
    (("join-wrong-mac", "not-armed", 900.0, STARTED), "200 join-refused reason=wrong-mac address=192.168.8.11"),
    (("join-identity-conflict", "not-armed", 900.0, STARTED), "200 join-refused reason=identity-conflict address=192.168.8.11"),
    (("join-no-session", "not-armed", 900.0, STARTED), "200 join-refused reason=no-session address=192.168.8.11"),
    (("join-not-installed", "not-armed", 900.0, STARTED), "200 join-refused reason=not-installed address=192.168.8.11"),
    (("join-wrong-secret", "not-armed", 900.0, STARTED), "200 join-refused reason=wrong-secret address=192.168.8.11"),
    (("join-waits-for-first", "not-armed", 900.0, STARTED), "200 join-waiting reason=first"),
    (("join-waits-for-control-plane", "not-armed", 900.0, STARTED), "200 join-waiting reason=no-control-plane"),
    (("join-waits-for-api", "not-armed", 900.0, STARTED), "200 join-waiting reason=api"),
    (("join-waits-for-its-turn", "not-armed", 900.0, STARTED), "200 join-waiting reason=turn"),
    (("join-waits-for-etcd", "not-armed", 900.0, STARTED), "200 join-waiting reason=etcd"),
    (("join-waits-for-upgrade", "not-armed", 900.0, STARTED), "200 join-waiting reason=upgrade"),
    (("join-waits-for-old-self", "not-armed", 900.0, STARTED), "200 join-waiting reason=still-ready"),
    (("join-waits-for-old-self", "not-armed", 900.0, STARTED), "200 join-waiting reason=old-member"),
    (("join-release-missing", "not-armed", 900.0, STARTED), "200 join-waiting reason=no-keys"),
    (("certificate-denied", "not-armed", 900.0, STARTED), "200 certificate-denied reason=wrong-address message=no"),
    (("node-without-network", "not-armed", 900.0, STARTED), "200 node-not-ready message=container_runtime_network_not_ready:_cni_plugin_not_initialized"),
    (("node-not-ready", "not-armed", 900.0, STARTED), "200 node-not-ready message=kubelet_stopped_posting"),
    (("started", "not-armed", 900.0, STARTED), "200 node-not-ready message=x\n300 node-ready version=v1.36.3"),
    // What failed and then went well is over.
    (("started", "not-armed", 900.0, STARTED), "200 node-report report=join-failed phase=init said=the_moon_is_full\n300 join-handed action=init\n400 node-report report=joined action=init"),
    // Nothing is wrong.
    (("started", "not-armed", 900.0, INSTALLED), "120 system-has\n121 unlock-recovered key=k\n140 started"),
    (("started", "not-armed", 900.0, INSTALLED), "120 system-has\n121 unlock-recovered key=k\n140 started\n300 unlock-advertised\n301 unlock-recovered key=k"),
    (("locked-down", "not-armed", 900.0, INSTALLED), "120 system-has\n121 unlock-recovered key=k\n140 started\n890 unlock-refused reason=locked-down"),
    (("unlock-not-asked", "not-armed", 900.0, INSTALLED), "120 system-has\n121 unlock-recovered key=k\n140 started\n500 system-has\n501 unlock-advertised"),
    (("started", "not-armed", 900.0, "0 /4 installed\n60 firmware-has\n62 loader-sent\n66 loader-has\n68 told-disk\n80 system-has\n81 unlock-recovered key=k\n99 started"), ""),
    (("on-its-way", "", 20.0, KERNEL), ""),
    (("on-its-way", "", 3.0, FW), ""),
    (("on-its-way", "sending:30000000", 20.0, SCRIPT), ""),
    (("on-its-way", "not-armed", 100.0, INSTALLED), ""),
    // Nothing fits.
    (("nothing-known", "no-session", 900.0, INSTALLED), ""),
    (("silent", "", 900.0, "0 dhcp-request address=192.168.8.11 state=renewing"), ""),
];

#[test]
fn each_fault_has_its_first_answer() {
    let mut wrong = vec![];
    for ((code, but, now, before), after) in FAULTS {
        let events = events(&format!("{before}\n{after}"));
        let causes = World::new(&events).but(but).why(at(*now), &events);
        let found: Vec<&str> = causes.iter().map(|cause| cause.code.as_str()).collect();
        if found.first() != Some(code) {
            wrong.push(format!("{code}: {found:?}\n   {but} {now} {after}"));
        }
        for cause in &causes {
            if cause.evidence.is_empty() || cause.next.is_empty() || cause.next.contains('{') {
                wrong.push(format!("{code}: {cause:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_a_program_says_is_known_by_its_words_among_what_the_others_say_then() {
    for row in WORDS {
        let mut story = events(&format!(
            "{STARTED}\n200 node-report report=join-failed phase=init"
        ));
        let report = story.last_mut().unwrap();
        let (key, others) = match row.by {
            // It waited for the kubelet, or for the API server, in vain.
            Printer::Kubelet => (
                "kubelet",
                "The HTTP call equal to 'curl -sSL http://127.0.0.1:10248/healthz' returned error",
            ),
            Printer::Etcd => ("etcd", "error: error execution phase wait-control-plane: timeout"),
            Printer::Api => ("api", "error: timeout"),
            Printer::Kubeadm | Printer::Curl | Printer::Containerd => ("said", ""),
        };
        let phase = match row.by {
            Printer::Curl => "ask",
            Printer::Containerd => "containerd",
            _ => "init",
        };
        report.detail.insert("phase".to_owned(), phase.into());
        report.detail.insert("said".to_owned(), others.into());
        report.detail.insert(key.to_owned(), row.line.into());
        let causes = World::new(&story).but("not-armed").why(at(900.0), &story);
        assert_eq!(causes[0].code, row.code, "{row:?}");
        assert!(causes[0].evidence.concat().contains(row.line), "{causes:?}");
    }
}

#[test]
fn each_cause_has_a_fault_that_it_is_the_first_answer_to() {
    // What is true and does no harm is never the first answer.
    let aside = ["network-first"];
    let told = FAULTS.iter().map(|((code, ..), _)| *code);
    let told: Vec<&str> = told.chain(WORDS.iter().map(|row| row.code)).collect();
    let missing: Vec<&str> = rules()
        .map(|rule| rule.code)
        .filter(|code| !told.contains(code) && !aside.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
