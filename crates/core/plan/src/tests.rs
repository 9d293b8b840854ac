use expect_test::expect;
use faros_model::{ids::Generation, site::Site};

use super::*;

const DEMO: &str = include_str!("../../../../examples/three-nodes.yaml");

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
        "arm node-1; start router; start balancer; start dns; start ntp; start unlock; start registry; start ignition; start netboot; start dhcp"
    );
    expect![[r"
        Generation 1, the first of this bastion

        1. arm node-1
           + node node-1  52:54:00:08:00:01 at 192.168.8.11 (control-plane, worker), armed  [DESTROYS DATA]
                          its next network boot installs debian-13 on /dev/disk/by-path/pci-0000:00:04.0 and wipes what is there

        2. start router
           + BMCs may use              dhcp, dns, ntp, netboot
           + LAN has                   192.168.8.0/24, the bastion is 192.168.8.1
           + LAN is on                 enp2s0
           + cluster has               10.128.0.0/14, 172.30.0.0/16
           + hosts may use             dhcp, dns, ntp, netboot, ignition, unlock, ssh, console, api, ingress
           + never from the uplink     machine config (22623/tcp), spoofed sources, what is not published
           + nodes are                 192.168.8.11
           + nodes may use             dhcp, dns, ntp, netboot, ignition, unlock, api, registry, ingress
           + unknown machines may use  dhcp, dns, ntp, netboot, ignition, unlock, ssh, console, api, ingress
           + uplink is on              enp1s0, address by DHCP of the host's network manager
           + way in                    nothing is published, not even ssh to the bastion
           + way out                   as the bastion; not for BMCs

        3. start balancer
           + authority of the API   the cluster's own
           + holds                  192.168.8.2
           + server node-1          192.168.8.11 for api, ingress-http, ingress-https
           + service api            6443/tcp on 192.168.8.2; https /readyz
           + service ingress-http   80/tcp on 192.168.8.2; tcp connect
           + service ingress-https  443/tcp on 192.168.8.2; tcp connect

        4. start dns
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
           + record registry.kiosk.edge.example.com   A 192.168.8.1

        5. start ntp
           + answers           192.168.8.0/24
           + asks              nobody
           + listens on        192.168.8.1:123
           + without a source  stratum 10

        6. start unlock
           + disks of node-1       unlocked by tang
           + helps                 nodes that boot
           + keys are sealed with  nothing
           + listens on            192.168.8.1:8082

        7. start registry
           + is called   registry.kiosk.edge.example.com
           + listens on  192.168.8.1:5000

        8. start ignition
           + config of node-1  3778 bytes, b1e9ff5b

        9. start netboot
           + answers            192.168.8.0/24
           + content is served  to armed nodes
           + listens on         192.168.8.1
           + script of node-1   debian-13 for x86_64

        10. start dhcp
           + MAC of node-1      52:54:00:08:00:01
           + MTU                1500
           + address of node-1  192.168.8.11
           + boot files         for nodes
           + domain             kiosk.edge.example.com
           + dynamic range      192.168.8.128-192.168.8.254
           + listens on         enp2s0
           + router, DNS, NTP   192.168.8.1
           + subnet             192.168.8.0/24

        11. accept the generation

        11 steps, 0 disruptive changes, 1 that destroy data
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

        1. reconfigure router
           ~ nodes are  192.168.8.11-192.168.8.13 -> 192.168.8.11-192.168.8.12, 192.168.8.99  [DISRUPTIVE]
                        new connections of whoever is shut out are dropped; those that are there go on

        2. reconfigure balancer
           ~ server node-3  192.168.8.13 for api, ingress-http, ingress-https -> 192.168.8.99 for api, ingress-http, ingress-https

        3. reconfigure dns
           ~ record node-3.harbour-7.edge.example.com  A 192.168.8.13 -> A 192.168.8.99

        4. reconfigure ignition
           ~ config of node-1  3952 bytes, dd76733c -> 3952 bytes, aa3891d6
                               takes effect at the node's next install
           ~ config of node-2  4058 bytes, de271077 -> 4058 bytes, bec64c05
                               takes effect at the node's next install
           ~ config of node-3  3952 bytes, 73a8634c -> 3952 bytes, 657db3d6
                               takes effect at the node's next install

        5. reconfigure dhcp
           ~ address of node-3  192.168.8.13 -> 192.168.8.99  [DISRUPTIVE]
                                whoever has the old address keeps it until its lease ends

        6. accept the generation

        6 steps, 2 disruptive changes, 0 that destroy data
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
    assert_eq!(
        summary(&plan(Some((Generation(1), &before)), &after)),
        "reconfigure router; stop dns"
    );
    assert_eq!(
        summary(&plan(Some((Generation(2), &after)), &before)),
        "reconfigure router; start dns"
    );
}

#[test]
fn a_change_that_could_cut_the_operator_off_waits_for_a_confirmation_before_it_arms_anything() {
    let moved = DEMO
        .replace("interface: uplink0", "interface: uplink0\n    gatewayMode: nat")
        .replace("52:54:00:08:00:03", "52:54:00:08:00:33");
    let (before, after) = (site(DEMO), site(&moved));
    let running = Some((Generation(3), &before));
    let actions =
        |plan: &Plan| -> Vec<String> { plan.steps.iter().map(|step| title(&step.action)).collect() };
    let waits = plan(running, &after);
    assert_eq!(
        actions(&waits),
        [
            "reconfigure router",
            "reconfigure ignition",
            "reconfigure dhcp",
            "wait 60 s for a confirmation",
            "forget node-3",
            "arm node-3",
            "accept the generation",
        ]
    );
    assert_eq!(waits.window(), Some((3, 60)));
    let told = text(&waits);
    for words in [
        "~ gateway mode is  pat -> nat",
        "This could cut you off: it takes itself back unless `farosctl confirm` keeps it within 60 s",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let harmless = site(&DEMO.replace("printer", "scanner"));
    let by_choice = text(&plan_within(running, &harmless, Some(5)));
    assert!(
        by_choice.contains("This runs on trial: it takes itself back"),
        "{by_choice}"
    );
    let at_once = plan_within(running, &after, None);
    assert_eq!(at_once.window(), None);
    assert_eq!(actions(&at_once)[0], "forget node-3");
    assert_eq!(plan(None, &after).window(), None, "nobody may be present");
}
