use super::*;

const DEMO: &str = include_str!("../../../../../examples/three-nodes.yaml");
const UPLINK: &str = "    interface: uplink0\n";
const OPEN: &str = "    trustedNetworks: [10.0.0.0/8, 192.0.2.0/24]\n    publish: [ssh, console]\n";

fn site(text: &str) -> Site {
    faros_site::load(text).unwrap().site
}

/// The demo's site with this below its uplink.
fn with(uplink: &str) -> String {
    DEMO.replace(UPLINK, &format!("{UPLINK}{uplink}"))
}

fn lan(text: &str) -> String {
    DEMO.replace("    interfaces: [lan0]\n", text)
}

/// The subjects of what may be lost.
fn check(before: &str, wanted: &str, lost: &[&str]) {
    let cuts = cuts_off(Some(&site(before)), &site(wanted));
    let subjects: Vec<&str> = cuts.iter().map(|cut| cut.subject.as_str()).collect();
    assert_eq!(subjects, lost, "from\n{before}\nto\n{wanted}");
}

#[test]
fn each_way_that_is_lost_is_told_and_none_that_is_opened() {
    let fixed = |address: &str| format!("    addressing: {{address: {address}, gateway: 203.0.113.1}}\n");
    let of = |networks: &str| format!("    trustedNetworks: [{networks}]\n    publish: [ssh, console]\n");
    let for_one = "    publish:\n      - {service: ssh, from: [10.1.0.0/16]}\n";
    let port = |from: &str, to: u16| {
        format!(
            "    publish:\n      - {{name: jump, port: 2222/tcp, to: [\"node-1:{to}\"], from: [{from}]}}\n"
        )
    };
    let listed = "    interfaces: [lan0]\n    firewall: [{from: [hosts], allow: [ssh]}]\n";
    let rows: &[(&str, &str, &[&str])] = &[
        // Nothing, and what only opens.
        (DEMO, DEMO, &[]),
        (DEMO, &with(OPEN), &[]),
        (
            &with(for_one),
            &with("    publish:\n      - {service: ssh, from: [10.0.0.0/8]}\n"),
            &[],
        ),
        (DEMO, &DEMO.replace("printer", "scanner"), &[]),
        // The uplink.
        (DEMO, &DEMO.replace("uplink0", "uplink1"), &["uplink is on"]),
        (DEMO, &with("    addressing: host\n"), &["uplink has"]),
        (DEMO, &with(&fixed("203.0.113.2/24")), &["uplink has"]),
        (
            &with(&fixed("203.0.113.2/24")),
            &with(&fixed("203.0.113.3/24")),
            &["uplink has"],
        ),
        (
            &with("    trustedNetworks: [10.0.0.0/8]\n"),
            &with("    trustedNetworks: [10.0.0.0/8]\n    gatewayMode: nat\n"),
            &["gateway mode is"],
        ),
        (
            &with(OPEN),
            &with(&of("10.0.0.0/8")),
            &["trusted are", "ssh from the uplink", "console from the uplink"],
        ),
        (&with(OPEN), &with(&of("0.0.0.0/0")), &[]),
        (
            &with(OPEN),
            &with("    trustedNetworks: [10.0.0.0/8, 192.0.2.0/24]\n    publish: [ssh]\n"),
            &["console from the uplink"],
        ),
        (&with(for_one), DEMO, &["ssh from the uplink"]),
        // Addresses that are taken for the inside's.
        (
            DEMO,
            &format!("{DEMO}  cluster: {{podNetwork: 10.0.0.0/8}}\n"),
            &["inside are"],
        ),
        // The LAN.
        (DEMO, &lan("    interfaces: [lan1]\n"), &["LAN is on"]),
        (DEMO, &lan("    interfaces: [lan0, lan1]\n"), &["LAN is on"]),
        (
            DEMO,
            &lan("    interfaces: [lan0]\n    addresses: {bastion: 192.168.8.9}\n"),
            &["bastion on the LAN is"],
        ),
        (
            DEMO,
            &DEMO.replace("192.168.8.0/24", "192.168.9.0/24"),
            &["bastion on the LAN is", "inside are"],
        ),
        (
            DEMO,
            &lan("    interfaces: [lan0]\n    firewall: [{from: [hosts], allow: [ssh]}]\n"),
            &["ssh from the LAN", "console from the LAN"],
        ),
        // The router itself.
        (
            &format!("{DEMO}  services: {{router: {{enabled: false}}}}\n"),
            DEMO,
            &["ssh from the uplink"],
        ),
        (
            DEMO,
            &format!("{DEMO}  services: {{router: {{enabled: false}}}}\n"),
            &[],
        ),
        // What only the router gave.
        (
            &with(&fixed("203.0.113.2/24")),
            &format!(
                "{}  services: {{router: {{enabled: false}}}}\n",
                with(&fixed("203.0.113.2/24"))
            ),
            &["uplink has"],
        ),
        (
            &with("    trustedNetworks: [10.0.0.0/8]\n    gatewayMode: nat\n"),
            &format!("{DEMO}  services: {{router: {{enabled: false}}}}\n"),
            &["gateway mode is"],
        ),
        // Ports of the operator's own, one of which may lead to where they work.
        (
            &with(&port("10.0.0.0/8", 22)),
            &with(&port("10.1.0.0/16", 22)),
            &["port 2222/tcp to 192.168.8.11:22"],
        ),
        (&with(&port("10.0.0.0/8", 22)), &with(&port("0.0.0.0/0", 22)), &[]),
        (
            &with(&port("10.0.0.0/8", 22)),
            &with(&port("10.0.0.0/8", 23)),
            &["port 2222/tcp to 192.168.8.11:22"],
        ),
        (
            &with(&port("10.0.0.0/8", 22)),
            DEMO,
            &["port 2222/tcp to 192.168.8.11:22"],
        ),
        // Machines that are in another group than they were, and in a network that may what the group may.
        (
            &lan(listed),
            &lan(listed).replace("printer", "scanner"),
            &["ssh from the LAN"],
        ),
        (
            &lan(listed),
            &lan(listed).replace(
                "- {name: printer",
                "- {name: laptop, mac: \"52:54:00:08:03:09\"}\n      - {name: printer",
            ),
            &[],
        ),
        (
            &lan(listed),
            &lan(&listed.replace("[hosts]", "[hosts, unknown]"))
                .replace("52:54:00:08:03:01", "52:54:00:08:03:02"),
            &[],
        ),
    ];
    for (before, wanted, lost) in rows {
        check(before, wanted, lost);
    }
}

#[test]
fn a_first_site_closes_the_uplink_to_whom_it_does_not_publish() {
    let cuts = cuts_off(None, &site(&with(OPEN)));
    let told: Vec<String> = cuts
        .iter()
        .map(|cut| format!("{}: {}", cut.subject, cut.to))
        .collect();
    assert_eq!(told, ["ssh from the uplink: 10.0.0.0/8, 192.0.2.0/24"]);
    assert_eq!(cuts_off(None, &site(DEMO))[0].to, "nobody");
}

#[test]
fn a_network_is_covered_by_one_that_has_all_of_it() {
    let nets = |list: &[&str]| -> Vec<Subnet> { list.iter().map(|net| net.parse().unwrap()).collect() };
    for (these, by, is_covered) in [
        (&["10.1.0.0/16"][..], &["10.0.0.0/8"][..], true),
        (&["10.0.0.0/8"], &["10.1.0.0/16"], false),
        (&["10.0.0.0/8"], &["10.0.0.0/8"], true),
        (&["192.0.2.0/25"], &["192.0.2.128/25"], false),
        (&["192.0.2.0/24"], &[], false),
        (&[], &[], true),
        (&["10.0.0.0/8", "192.0.2.0/24"], &["192.0.2.0/24"], false),
    ] {
        assert_eq!(covers(&nets(by), &nets(these)), is_covered, "{these:?} by {by:?}");
    }
}
