//! A node's network, as the installer, networkd and NetworkManager are told.

use expect_test::expect;

use super::given::{config, decoded, site};
use crate::network;

#[test]
fn a_static_bond_has_a_device_its_members_and_an_address() {
    let site = site("everything");
    let config: serde_json::Value =
        serde_json::from_str(&config(&site, site.nodes.values().next().unwrap())).unwrap();
    let files = config["storage"]["files"].as_array().unwrap();
    let shown: Vec<String> = files
        .iter()
        .filter(|file| file["path"].as_str().unwrap().contains("/network/"))
        .map(|file| format!("{}\n{}", file["path"].as_str().unwrap(), decoded(file)))
        .collect();
    expect![[r"
        /etc/systemd/network/10-bond0.netdev
        [NetDev]
        Name=bond0
        Kind=bond
        MACAddress=52:54:00:08:00:01

        [Bond]
        Mode=active-backup
        MIIMonitorSec=100ms

        /etc/systemd/network/20-bond0.network
        [Match]
        Name=bond0

        [Network]
        Address=192.168.8.11/24
        Gateway=192.168.8.1
        DNS=192.168.8.1
        NTP=192.168.8.1
        Domains=harbour-7.edge.example.com
        LinkLocalAddressing=no
        IPv6AcceptRA=no

        /etc/systemd/network/15-bond0-0.network
        [Match]
        MACAddress=52:54:00:08:00:01
        Type=ether

        [Network]
        Bond=bond0

        /etc/systemd/network/15-bond0-1.network
        [Match]
        MACAddress=52:54:00:08:01:01
        Type=ether

        [Network]
        Bond=bond0
    "]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_node_knows_the_way_to_the_pods_of_the_others() {
    let site = site("three-nodes");
    let node = site.nodes.values().next().unwrap();
    let networkd = network::networkd(&site, node);
    expect![[r"
        [Match]
        MACAddress=52:54:00:08:00:01
        Type=ether

        [Network]
        DHCP=ipv4
        LinkLocalAddressing=no
        IPv6AcceptRA=no

        [DHCPv4]
        ClientIdentifier=mac
        UseDomains=yes
        UseNTP=yes

        [Route]
        Destination=10.128.12.0/24
        Gateway=192.168.8.12

        [Route]
        Destination=10.128.13.0/24
        Gateway=192.168.8.13
    "]]
    .assert_eq(&networkd[0].1);
    let manager = network::network_manager(&site, node);
    assert!(manager[0].1.contains("route1=10.128."), "{}", manager[0].1);
    let mut other = site.clone();
    other.cluster.network_plugin = "cilium".to_owned();
    let node = other.nodes.values().next().unwrap();
    assert!(!network::networkd(&other, node)[0].1.contains("[Route]"));
}

#[test]
fn an_initramfs_that_is_told_on_the_command_line_has_the_same_network() {
    let site = site("everything");
    let arguments = crate::network::kernel_arguments(&site, site.nodes.values().next().unwrap());
    expect!["rd.neednet=1 ifname=lan0:52:54:00:08:00:01 ifname=lan1:52:54:00:08:01:01 bond=bond0:lan0,lan1:mode=active-backup,miimon=100 ip=192.168.8.11::192.168.8.1:255.255.255.0:node-1:bond0:none nameserver=192.168.8.1"].assert_eq(&arguments.join(" "));
}
