//! Who is led to whom: from the LAN, from the outside, and by what certificates.

use std::fs;

use anyhow::Context as _;
use faros_conformance::{eventually, root};

use crate::world::{Balancer, LAPTOP, VIP, node};

const BASTION_OUTSIDE: &str = "203.0.113.2";

#[test]
fn whoever_may_is_led_to_who_is_well_and_told_at_once_if_nobody_is() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-vip")?;
    let api = format!("https://{VIP}:6443/");
    assert_eq!(
        lab.ask(LAPTOP, &api)?,
        Err(7),
        "nobody is there: refused, and no waiting"
    );
    lab.serve(1, 6443)?;
    lab.serve(2, 6443)?;
    lab.serve(1, 80)?;
    lab.wait_for("api", &["node-1", "node-2"])?;
    lab.wait_for("ingress-http", &["node-1"])?;
    // The way back is by the bastion, for a neighbor as for who is led to itself, and for the bastion.
    let by_bastion = Ok("node-1 192.168.8.1".to_owned());
    for host in [LAPTOP.to_owned(), node(1), node(3), "bastion".to_owned()] {
        assert_eq!(lab.ask(&host, &format!("http://{VIP}/"))?, by_bastion, "{host}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        seen.extend(lab.ask(LAPTOP, &api)?);
    }
    assert_eq!(seen.len(), 2, "chance leads to both: {seen:?}");
    // From the outside: what is published, with the client's own address.
    let published =
        "    interface: uplink0\n    trustedNetworks: [203.0.113.0/24]\n    publish: [ingress-http, api]\n";
    lab.apply("    interface: uplink0\n", published)?;
    eventually("the uplink is led to the node", || {
        let said = lab.ask("uplink", &format!("http://{BASTION_OUTSIDE}/"))?;
        Ok(said == Ok("node-1 203.0.113.1".to_owned()))
    })?;
    // A drained node gets nothing new; the last one is not drained by mistake.
    let (_, code) = lab.site.farosctl(&["balancer", "drain", "node-2"])?;
    assert_eq!(code, 0);
    lab.wait_for("api", &["node-1"])?;
    let (said, code) = lab.site.farosctl(&["balancer", "drain", "node-1"])?;
    assert_eq!(code, 6, "{said}");
    lab.site.kill_and_start()?;
    lab.wait_for("api", &["node-1"])?;
    let (_, code) = lab.site.farosctl(&["balancer", "drain", "node-2", "--lift"])?;
    assert_eq!(code, 0);
    lab.wait_for("api", &["node-1", "node-2"])?;
    // An authority that did not sign the servers' certificates: none of them counts.
    let other = "  balancer:\n    apiCa: |\n      ";
    let everything = fs::read_to_string(root().join("examples/everything.yaml"))?;
    let begin = everything.find("-----BEGIN").context("a certificate")?;
    let end = everything.find("-----END CERTIFICATE-----").context("its end")? + 25;
    let other = format!("{other}{}\n  nodeDefaults:\n", &everything[begin..end]);
    lab.apply("  nodeDefaults:\n", &other)?;
    lab.wait_for("api", &[])?;
    assert!(lab.saw("backend-down", "reason", "certificate")?);
    let own = fs::read_to_string(format!("{}/ca.crt", lab.folder()))?;
    let own = own.trim().replace('\n', "\n      ");
    lab.apply(
        "  nodeDefaults:\n",
        &format!("  balancer:\n    apiCa: |\n      {own}\n  nodeDefaults:\n"),
    )?;
    lab.wait_for("api", &["node-1", "node-2"])?;
    // In a cluster that Faros makes they have certificates of the cluster's own authority, or do not count.
    let kubeadm = "  cluster: {distribution: kubeadm}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", kubeadm)?;
    lab.wait_for("api", &[])?;
    assert_eq!(lab.status()?["apiCertificates"], "ca");
    Ok(())
}

#[test]
fn machine_config_is_for_nodes_alone_and_for_openshift() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-config")?;
    let config = format!("https://{VIP}:22623/");
    lab.serve(1, 22623)?;
    let openshift = "  cluster: {distribution: openshift}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", openshift)?;
    lab.wait_for("machine-config", &["node-1"])?;
    assert_eq!(lab.ask(&node(2), &config)?, Ok("node-1 192.168.8.1".to_owned()));
    assert_eq!(lab.ask(LAPTOP, &config)?, Err(28), "not for laptops");
    // Nobody has one in another distribution, and nobody is asked for one.
    lab.apply("  nodeDefaults:\n", "  nodeDefaults:\n")?;
    let (said, _) = lab.site.farosctl(&["balancer"])?;
    assert!(!said.contains("machine-config"), "{said}");
    Ok(())
}
