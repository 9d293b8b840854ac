//! What passes the filters of nodes and of the bastion.

use std::{fs, process::Command};

use anyhow::ensure;
use faros_conformance::Site;

use crate::world::{
    NODE, NODE_ADDRESS, OTHER_NODE, PRINTER, Probe, STRANGER, addresses, answer, cluster, expect, ip, passing,
};

/// The namespace of a pod on the node.
const POD: &str = "faros-t-ports-pod";

/// That namespace, which goes with the test.
struct Pod;

impl Pod {
    fn new() -> anyhow::Result<Self> {
        // What a failed run left behind.
        drop(ip(&format!("netns del {POD}")));
        ip(&format!("netns add {POD}"))?;
        Ok(Self)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(ip(&format!("netns del {POD}")));
    }
}

/// The filter of a node of the demo, loaded where the node is.
fn filter(site: &mut Site) -> anyhow::Result<()> {
    let words = [
        "ports",
        "--role",
        "control-plane",
        "--role",
        "worker",
        "--output",
        "nft",
    ];
    let (text, code) = site.farosctl(&words)?;
    ensure!(code == 0, "{text}");
    let path = site.lab.folder().path().join("node.nft");
    fs::write(&path, text)?;
    // A client has a /run of its own.
    let namespace = site.lab.host(NODE)?.1.namespace;
    ip(&format!("netns exec {namespace} nft -f {}", path.display()))
}

#[test]
fn what_has_to_be_open_on_a_node_is_and_what_has_not_is_not() -> anyhow::Result<()> {
    // Port, protocol, and whether another node, a host of the site file, a stranger and the bastion reach it.
    const EXPECTED: &[(u16, &str, [bool; 4])] = &[
        (22, "tcp", [false, true, true, true]),
        (2379, "tcp", [true, false, false, true]),
        (2380, "tcp", [true, false, false, false]),
        (6443, "tcp", [true, true, true, true]),
        (443, "tcp", [true, true, true, true]),
        (10250, "tcp", [true, false, false, false]),
        (10256, "tcp", [false, false, false, true]),
        (30080, "tcp", [true, true, true, true]),
        (30080, "udp", [true, true, true, true]),
        // Forbidden, the loopback's own, and what no row has.
        (10255, "tcp", [false; 4]),
        (4194, "tcp", [false; 4]),
        (10259, "tcp", [false; 4]),
        (8472, "udp", [false; 4]),
        (9100, "tcp", [false; 4]),
        (5355, "udp", [false; 4]),
        (9999, "tcp", [false; 4]),
        (29999, "tcp", [false; 4]),
        (32768, "tcp", [false; 4]),
    ];
    let mut site = cluster("t-ports-node")?;
    addresses(&mut site, &[NODE, OTHER_NODE, PRINTER, STRANGER])?;
    let mut ports: Vec<u16> = EXPECTED.iter().map(|(port, ..)| *port).collect();
    ports.dedup();
    let _server = answer(&mut site, NODE, &ports)?;
    // The servers of the test answer everybody before there is a filter, else what follows says nothing.
    let unfiltered = [(9999, "tcp", true), (5355, "udp", true)];
    expect(&mut site, STRANGER, NODE_ADDRESS, &unfiltered)?;
    filter(&mut site)?;
    for (idx, from) in [OTHER_NODE, PRINTER, STRANGER, "bastion"].into_iter().enumerate() {
        let probes: Vec<Probe> = EXPECTED
            .iter()
            .map(|(port, protocol, open)| (*port, *protocol, open[idx]))
            .collect();
        expect(&mut site, from, NODE_ADDRESS, &probes)?;
    }

    // The node itself, pings, and what the node asks: an address again, names, its boot script.
    expect(&mut site, NODE, NODE_ADDRESS, &[(10259, "tcp", true)])?;
    site.run(STRANGER, &["ping", "-c", "3", "-W", "2", NODE_ADDRESS])?;
    site.run(NODE, &["dhclient", "-4", "-r", "eth0"])?;
    site.run(NODE, &["dhclient", "-4", "-1", "eth0"])?;
    site.run(
        NODE,
        &["dig", "+short", "@192.168.8.1", "api.harbour-7.edge.example.com"],
    )?;
    let script = "http://192.168.8.1:8080/boot/52-54-00-08-00-01.ipxe";
    site.run(NODE, &["curl", "-sf", script])?;
    site.run(NODE, &["curl", "-sf", "http://192.168.8.1:8082/adv"])?;

    // All at once with another program: nothing else passes.
    let range = "20-25,79-81,2375-2385,6440-6445,9990-9999,10248-10260,29998-30001,32766-32769";
    let words = ["nmap", "-n", "-Pn", "-sS", "-oG", "-", "-p", range, NODE_ADDRESS];
    let said = site.run(STRANGER, &words)?;
    let passing = passing(&said);
    let expected = [22, 80, 6443, 30000, 30001, 32766, 32767];
    ensure!(passing == expected, "{passing:?}: {said}");
    Ok(())
}

#[test]
fn pods_pass_and_whoever_says_on_the_wire_that_he_is_a_pod_does_not() -> anyhow::Result<()> {
    let mut site = cluster("t-ports-pods")?;
    addresses(&mut site, &[NODE, STRANGER])?;
    let _server = answer(&mut site, NODE, &[9999])?;
    filter(&mut site)?;
    let _pod = Pod::new()?;
    let node = site.lab.host(NODE)?.1.namespace;
    for words in [
        format!("-n {node} link add cni0 type bridge"),
        format!("-n {node} address add 10.128.1.1/24 dev cni0"),
        format!("-n {node} link add pod type veth peer name eth0 netns {POD}"),
        format!("-n {node} link set pod master cni0 up"),
        format!("-n {node} link set cni0 up"),
        format!("-n {POD} link set eth0 up"),
        format!("-n {POD} address add 10.128.1.5/24 dev eth0"),
        format!("-n {POD} route add default via 10.128.1.1"),
    ] {
        ip(&words)?;
    }
    let from_pod = |to: &str| {
        let words = ["netns", "exec", POD, "nc", "-n", "-z", "-w", "5", to, "9999"];
        Command::new("ip")
            .args(words)
            .status()
            .is_ok_and(|status| status.success())
    };
    ensure!(from_pod(NODE_ADDRESS), "a pod reaches its node");
    ensure!(
        from_pod("10.128.1.1"),
        "a pod reaches its node's address among the pods"
    );
    site.run(
        STRANGER,
        &["ip", "address", "add", "10.128.1.77/32", "dev", "eth0"],
    )?;
    site.run(
        STRANGER,
        &["ip", "route", "add", "10.128.1.1", "via", NODE_ADDRESS],
    )?;
    for to in [NODE_ADDRESS, "10.128.1.1"] {
        for from in ["10.128.1.77", ""] {
            let from = if from.is_empty() {
                String::new()
            } else {
                format!("-s {from}")
            };
            let probe = format!("nc -n -z -w 2 {from} {to} 9999 && echo heard");
            let said = site.said(STRANGER, &["sh", "-c", &probe])?;
            ensure!(!said.contains("heard"), "{to} {from}");
        }
    }
    Ok(())
}

#[test]
fn the_bastion_lets_in_what_the_matrix_has_and_nothing_else() -> anyhow::Result<()> {
    let mut site = cluster("t-ports-bastion")?;
    addresses(&mut site, &[NODE, STRANGER])?;
    let range = "20-25,52-54,110-112,2049,4999-5001,8079-8083,9089-9091,10250,22622-22624";
    let mut seen = |from: &str, to: &str| -> anyhow::Result<Vec<u16>> {
        let words = ["nmap", "-n", "-Pn", "-sS", "-oG", "-", "-p", range, to];
        Ok(passing(&site.run(from, &words)?))
    };
    let stranger = seen(STRANGER, "192.168.8.1")?;
    ensure!(stranger == [22, 53, 8080, 8082, 9090], "{stranger:?}");
    let node = seen(NODE, "192.168.8.1")?;
    ensure!(node == [53, 5000, 8080, 8082], "{node:?}");
    let outside = seen("uplink", "203.0.113.2")?;
    ensure!(outside.is_empty(), "{outside:?}");
    Ok(())
}
