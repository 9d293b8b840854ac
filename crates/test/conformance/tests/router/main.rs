//! `curl`, `ping` and `nft` around a real farosd: what passes the bastion, what does not, and what lasts.

mod firewalld;
mod trial;
mod trouble;
mod world;

use std::{fs, thread, time::Duration};

use faros_conformance::eventually;

use crate::world::{BASTION_OUTSIDE, COUNTS, KEEPS_READING, NODE, NODE_ADDRESS, Router, STRANGER, UPLINK};

#[test]
fn nodes_reach_the_world_as_the_bastion_and_the_world_reaches_nothing() -> anyhow::Result<()> {
    let mut lab = Router::up("t-pat")?;
    lab.serve("uplink", 8000)?;
    assert_eq!(lab.seen_as(NODE, UPLINK, 8000)?.as_deref(), Some(BASTION_OUTSIDE));
    lab.site.run(NODE, &["ping", "-c", "1", "-W", "2", UPLINK])?;
    // UDP and back: the resolver beyond the uplink, asked past the bastion's own.
    let short = lab
        .site
        .run(NODE, &["dig", "+short", "+time=2", "@9.9.9.9", "www.example.net"])?;
    assert_eq!(short.trim(), "198.51.100.7");

    for port in [22, 8443, 9090, 22623] {
        lab.serve("bastion", port)?;
        assert_eq!(lab.seen_as("uplink", BASTION_OUTSIDE, port)?, None, "{port}");
    }
    lab.serve(NODE, 80)?;
    let via = ["ip", "route", "add", "192.168.8.0/24", "via", BASTION_OUTSIDE];
    lab.site.run("uplink", &via)?;
    assert_eq!(lab.seen_as("uplink", NODE_ADDRESS, 80)?, None);
    assert_eq!(lab.seen_as("uplink", "192.168.8.1", 8080)?, None);
    // The LAN's policy is by service, too: nodes have no business on the bastion's console.
    assert_eq!(lab.seen_as(NODE, "192.168.8.1", 9090)?, None);
    // Machine config is behind the virtual IP, and for nodes alone: to all others nobody is there.
    lab.serve(NODE, 22623)?;
    assert_eq!(lab.seen_as(NODE, "192.168.8.1", 22623)?, None);
    let technician = "client:laptop=52:54:00:08:09:09";
    lab.site.run(technician, &["dhclient", "-4", "-1", "eth0"])?;
    assert!(lab.seen_as(technician, "192.168.8.1", 9090)?.is_some());
    assert_eq!(lab.seen_as(technician, "192.168.8.1", 22623)?, None);
    assert_eq!(lab.seen_as(technician, "192.168.8.2", 22623)?, None);
    Ok(())
}

#[test]
fn what_is_published_is_reachable_for_whom_it_is_and_nothing_else_is() -> anyhow::Result<()> {
    let mut lab = Router::up("t-publish")?;
    lab.apply(
        "    trustedNetworks: [203.0.113.0/24]
    publish:
      - ssh
      - ingress-http
      - {name: mqtt, port: 8883/tcp, to: [\"node-1:8000\"]}
      - {name: config, port: 8884/tcp, to: [\"node-1:22623\"]}
      - {name: telnet, port: 23/tcp, to: [\"node-1:8000\"], from: [192.0.2.0/24]}
",
    )?;
    for port in [80, 8000, 22623] {
        lab.serve(NODE, port)?;
    }
    lab.serve("bastion", 22)?;
    lab.serve("bastion", 9090)?;
    // Nodes see who asks, and not the bastion; once the balancer knows that somebody answers.
    eventually("the published port leads to the node", || {
        Ok(lab.seen_as("uplink", BASTION_OUTSIDE, 8883)?.as_deref() == Some(UPLINK))
    })?;
    assert_eq!(
        lab.seen_as("uplink", BASTION_OUTSIDE, 22)?.as_deref(),
        Some(UPLINK)
    );
    for (port, why) in [
        (8884, "machine config by another port"),
        (22623, "machine config"),
        (23, "published for others"),
        (9090, "not published"),
        (8000, "not published"),
    ] {
        assert_eq!(lab.seen_as("uplink", BASTION_OUTSIDE, port)?, None, "{why}");
    }
    for port in [22, 8883] {
        let seen = lab.seen_from("uplink", Some(STRANGER), BASTION_OUTSIDE, port)?;
        assert_eq!(seen, None, "a stranger on {port}");
    }
    Ok(())
}

#[test]
fn a_gateway_routes_trusted_networks_to_nodes_and_back_without_a_mask() -> anyhow::Result<()> {
    let mut lab = Router::up("t-nat")?;
    lab.apply("    gatewayMode: nat\n    trustedNetworks: [203.0.113.0/24]\n")?;
    let via = ["ip", "route", "add", "192.168.8.0/24", "via", BASTION_OUTSIDE];
    lab.site.run("uplink", &via)?;
    for port in [80, 8000, 22623] {
        lab.serve(NODE, port)?;
    }
    lab.serve("uplink", 8001)?;
    assert_eq!(lab.seen_as("uplink", NODE_ADDRESS, 80)?.as_deref(), Some(UPLINK));
    assert_eq!(lab.seen_as(NODE, UPLINK, 8001)?.as_deref(), Some(NODE_ADDRESS));
    // To all others as the bastion: they have no route back.
    assert_eq!(
        lab.seen_as(NODE, STRANGER, 8001)?.as_deref(),
        Some(BASTION_OUTSIDE)
    );
    lab.site
        .run("uplink", &["ping", "-c", "1", "-W", "2", NODE_ADDRESS])?;
    assert_eq!(
        lab.seen_as("uplink", NODE_ADDRESS, 8000)?,
        None,
        "not in the matrix"
    );
    assert_eq!(
        lab.seen_as("uplink", NODE_ADDRESS, 22623)?,
        None,
        "machine config"
    );
    let seen = lab.seen_from("uplink", Some(STRANGER), NODE_ADDRESS, 80)?;
    assert_eq!(seen, None, "a stranger");
    Ok(())
}

#[test]
fn a_sender_that_lies_about_its_address_is_not_heard() -> anyhow::Result<()> {
    let mut lab = Router::up("t-spoof")?;
    for (host, lie, to, why) in [
        (NODE, "10.9.9.9", UPLINK, "spoofed: not an address of the LAN"),
        (
            "uplink",
            "192.168.8.50",
            BASTION_OUTSIDE,
            "spoofed: an address of the inside",
        ),
        (
            "uplink",
            "10.128.0.7",
            BASTION_OUTSIDE,
            "spoofed: an address of the inside",
        ),
    ] {
        lab.site
            .run(host, &["ip", "address", "add", &format!("{lie}/32"), "dev", "lo"])?;
        // A liar that asks who has an address is not answered either; this one knows already.
        let bastion = if host == NODE {
            "192.168.8.1"
        } else {
            BASTION_OUTSIDE
        };
        lab.site.run(host, &["ping", "-c", "1", "-W", "1", bastion])?;
        let before = lab.dropped(why)?;
        let said = lab
            .site
            .said(host, &["ping", "-c", "1", "-W", "1", "-I", lie, to])?;
        assert!(said.contains("100% packet loss"), "{said}");
        assert!(lab.dropped(why)? > before, "{why}");
    }
    Ok(())
}

#[test]
fn what_others_change_is_put_right_and_told_and_their_own_tables_are_theirs() -> anyhow::Result<()> {
    let mut lab = Router::up("t-drift")?;
    let ours = ["-s", "list", "table", "inet", "faros"];
    let before = lab.nft(&ours)?;
    lab.nft(&["add table ip docker; add chain ip docker nat { type nat hook postrouting priority 100; }; add rule ip docker nat oifname \"nothing0\" masquerade"])?;
    let theirs = lab.nft(&["list", "table", "ip", "docker"])?;
    for (change, found) in [
        (
            &["flush", "table", "inet", "faros"][..],
            "was missing from the chain answering",
        ),
        (&["delete", "table", "inet", "faros"], "the whole table was gone"),
        (
            &[
                "insert",
                "rule",
                "inet",
                "faros",
                "input_uplink",
                "tcp",
                "dport",
                "31337",
                "accept",
            ],
            "`tcp dport 31337 accept` was in the chain input_uplink and is not ours",
        ),
    ] {
        lab.nft(change)?;
        eventually("the table is as it was", || {
            Ok(lab.nft(&ours).unwrap_or_default() == before)
        })?;
        eventually("it is told", || {
            let events = lab.site.events()?;
            let mut told = events
                .iter()
                .filter(|event| event.kind.as_str() == "router-repaired");
            Ok(told.any(|event| event.detail["found"].to_string().contains(found)))
        })?;
        assert_eq!(lab.nft(&["list", "table", "ip", "docker"])?, theirs);
    }
    let forwarding = "net.ipv4.conf.lan0.forwarding";
    lab.site
        .run("bastion", &["sysctl", "-q", "-w", &format!("{forwarding}=0")])?;
    eventually("it forwards again", || {
        Ok(lab.site.run("bastion", &["sysctl", "-n", forwarding])?.trim() == "1")
    })?;
    // What happens while farosd does not run is found when it starts.
    faros_lab::daemon::stop(lab.site.lab.folder(), true)?;
    assert_eq!(lab.nft(&ours)?, before, "rules stay when farosd ends");
    lab.nft(&["flush", "chain", "inet", "faros", "leaving"])?;
    faros_lab::daemon::start(lab.site.lab.name(), lab.site.lab.folder())?;
    eventually("the table is as it was", || Ok(lab.nft(&ours)? == before))?;
    eventually("it is told", || {
        let found = "was missing from the chain leaving";
        let events = lab.site.events()?;
        let mut told = events
            .iter()
            .filter(|event| event.kind.as_str() == "router-repaired");
        Ok(told.any(|event| event.detail["found"].to_string().contains(found)))
    })
}

#[test]
fn a_connection_lives_on_while_farosd_is_killed_and_changed() -> anyhow::Result<()> {
    let mut lab = Router::up("t-lives-on")?;
    lab.python("uplink", COUNTS)?;
    thread::sleep(Duration::from_millis(500));
    let path = lab.site.lab.folder().path().join("numbers");
    lab.python(
        NODE,
        &KEEPS_READING.replace("NUMBERS", &path.display().to_string()),
    )?;
    let numbers = || -> Vec<u64> {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let more = |why: &str| {
        let before = numbers().len();
        eventually(why, || Ok(numbers().len() > before + 5))
    };
    more("the connection is there")?;
    faros_lab::daemon::stop(lab.site.lab.folder(), true)?;
    more("it goes on without farosd")?;
    faros_lab::daemon::start(lab.site.lab.name(), lab.site.lab.folder())?;
    lab.site.lab.wait_until_ready()?;
    more("it goes on with the next farosd")?;
    lab.apply("    trustedNetworks: [203.0.113.0/24]\n    publish: [ssh]\n")?;
    more("it goes on under other rules")?;
    let all = numbers();
    let expected: Vec<u64> = (0..all.len() as u64).collect();
    assert_eq!(all, expected, "none lost, none twice");
    Ok(())
}
