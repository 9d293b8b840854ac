use expect_test::expect;
use faros_model::{ids::Generation, site::Site};

use super::*;

const DEMO: &str = include_str!("../../../../examples/demo.yaml");

fn site(text: &str) -> Site {
    faros_site::load(text).unwrap().site
}

fn shown(before: &str, after: &str) -> String {
    let (before, after) = (site(before), site(after));
    text(&plan(Some((Generation(3), &before)), &after))
}

#[test]
fn the_same_site_again_is_nothing_to_do() {
    let before = site(DEMO);
    for same in [DEMO.to_owned(), format!("# a comment\n{DEMO}")] {
        let plan = plan(Some((Generation(3), &before)), &site(&same));
        assert!(plan.is_empty());
        assert_eq!(
            text(&plan),
            "Nothing to do: generation 3 runs, and the file says the same.\n"
        );
    }
}

#[test]
fn the_first_site_arms_its_nodes_and_starts_everything() {
    let smallest = site(include_str!("../../../../examples/smallest.yaml"));
    let plan = plan(None, &smallest);
    assert!(plan.is_disruptive());
    assert_eq!(
        summary(&plan),
        "arm node-1; start dns; start ntp; start unlock; start ignition; start netboot; start dhcp"
    );
    expect![[r"
        Generation 1, the first of this bastion

        1. arm node-1
           + node node-1  52:54:00:08:00:01 at 192.168.8.11 (control-plane, worker), armed  [DESTROYS DATA]
                          its next network boot installs debian-13 on /dev/disk/by-path/pci-0000:00:04.0 and wipes what is there

        2. start dns
           + answers                                  192.168.8.0/24
           + forwards to                              nobody
           + listens on                               192.168.8.1
           + record *.apps.kiosk.edge.example.com     A 192.168.8.2
           + record api-int.kiosk.edge.example.com    A 192.168.8.2
           + record api.kiosk.edge.example.com        A 192.168.8.2
           + record bastion.kiosk.edge.example.com    A 192.168.8.1
           + record bootstrap.kiosk.edge.example.com  A 192.168.8.3
           + record node-1.kiosk.edge.example.com     A 192.168.8.11
           + record ns.kiosk.edge.example.com         A 192.168.8.1

        3. start ntp
           + answers           192.168.8.0/24
           + asks              nobody
           + listens on        192.168.8.1:123
           + without a source  stratum 10

        4. start unlock
           + disks of node-1       unlocked by tang
           + helps                 nodes that boot
           + keys are sealed with  nothing
           + listens on            192.168.8.1:8082

        5. start ignition
           + config of node-1  2854 bytes, f32f6d59

        6. start netboot
           + answers            192.168.8.0/24
           + content is served  to armed nodes
           + listens on         192.168.8.1
           + script of node-1   debian-13 for x86_64

        7. start dhcp
           + MAC of node-1      52:54:00:08:00:01
           + MTU                1500
           + address of node-1  192.168.8.11
           + boot files         for nodes
           + domain             kiosk.edge.example.com
           + dynamic range      192.168.8.128-192.168.8.254
           + listens on         enp2s0
           + router, DNS, NTP   192.168.8.1
           + subnet             192.168.8.0/24

        8. accept the generation

        8 steps, 0 disruptive changes, 1 that destroy data
    "]]
    .assert_eq(&text(&plan));
}

#[test]
fn an_address_that_moves_is_disruptive() {
    let moved = DEMO.replace(
        "bootMac: \"52:54:00:08:00:03\"",
        "bootMac: \"52:54:00:08:00:03\"\n      address: 192.168.8.99",
    );
    expect![[r"
        Generation 3 -> 4

        1. reconfigure dns
           ~ record node-3.harbour-7.edge.example.com  A 192.168.8.13 -> A 192.168.8.99

        2. reconfigure ignition
           ~ config of node-3  2878 bytes, c87620c0 -> 2878 bytes, 8a227410
                               takes effect at the node's next install

        3. reconfigure dhcp
           ~ address of node-3  192.168.8.13 -> 192.168.8.99  [DISRUPTIVE]
                                whoever has the old address keeps it until its lease ends

        4. accept the generation

        4 steps, 1 disruptive changes, 0 that destroy data
    "]]
    .assert_eq(&shown(DEMO, &moved));
}

#[test]
fn a_node_that_is_another_machine_is_forgotten_and_armed_again() {
    let replaced = DEMO.replace("52:54:00:08:00:03", "52:54:00:08:00:33");
    let (before, after) = (site(DEMO), site(&replaced));
    let plan = plan(Some((Generation(1), &before)), &after);
    assert_eq!(
        summary(&plan),
        "forget node-3; arm node-3; reconfigure ignition; reconfigure dhcp"
    );
}

#[test]
fn a_service_that_is_switched_off_stops() {
    let off = format!("{DEMO}  services: {{dns: {{enabled: false}}}}\n");
    let (before, after) = (site(DEMO), site(&off));
    assert_eq!(summary(&plan(Some((Generation(1), &before)), &after)), "stop dns");
    assert_eq!(
        summary(&plan(Some((Generation(2), &after)), &before)),
        "start dns"
    );
}
