//! A cluster is kept: nodes are emptied, certificates renewed, a majority that is gone for good comes back from a
//! snapshot, machines are replaced and taken out.

use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{
    Site, root,
    story::{of, reports, retry, word},
};
use faros_lab::web;
use faros_model::event::EventKind;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{
    CONTROL, WORKER, apply, are_well, bring_up, etcd_members, eventually, is_ready, items, kubectl, object,
    start, tell, with_bastion,
};

/// farosctl's exit code for what it was right to refuse.
const REFUSED: i32 = 6;

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_cluster_is_kept_alive() -> anyhow::Result<()> {
    with_bastion("t-cluster-keep", &root().join("examples/cluster.yaml"), |site| {
        bring_up(site, &["node-1", "node-2", "node-3", WORKER])?;
        add_web(site)?;
        a_node_is_emptied(site)?;
        certificates_are_renewed_before_they_end(site)?;
        a_majority_lost_for_good_comes_back_from_a_snapshot(site)?;
        a_wiped_machine_joins_anew(site)?;
        a_machine_takes_the_place_of_another(site)?;
        a_worker_is_taken_out(site)
    })
}

/// Runs farosctl, which has to do as it is told.
fn farosctl(site: &Site, words: &[&str]) -> anyhow::Result<String> {
    let (said, code) = site.farosctl(words)?;
    ensure!(code == 0, "farosctl {words:?} ended with {code}: {said}");
    Ok(said)
}

/// Runs farosctl, which has to refuse with these words.
fn refuses(site: &Site, words: &[&str], because: &str) -> anyhow::Result<()> {
    let (said, code) = site.farosctl(words)?;
    ensure!(
        code == REFUSED && said.contains(because),
        "farosctl {words:?} ended with {code}: {said}"
    );
    Ok(())
}

fn last_event(site: &Site) -> anyhow::Result<u64> {
    Ok(retry(|| site.events())?.last().map_or(0, |event| event.seq))
}

/// Nodes ask every two minutes; this one asks now.
fn asks_now(site: &Site, node: &str) -> anyhow::Result<()> {
    let tend = ["systemctl", "start", "faros-tend.service"];
    site.lab.native(node).run(&tend).map(drop)
}

fn add_web(site: &Site) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = web::write_image(folder.path())?;
    farosctl(site, &["content", "add", "--oci", &archive.display().to_string()]).map(drop)
}

/// The pods of a deployment go elsewhere, never more of them at once than their budget allows.
fn a_node_is_emptied(site: &Site) -> anyhow::Result<()> {
    let labels = json!({ "app": "shop" });
    let selector = json!({ "matchLabels": labels });
    apply(
        site,
        &json!({
            "apiVersion": "v1", "kind": "List",
            "items": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "shop" },
                "spec": { "replicas": 3, "selector": selector, "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "topologySpreadConstraints": [{
                            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "labelSelector": selector,
                            "whenUnsatisfiable": "ScheduleAnyway",
                        }],
                        "containers": [{ "name": "web", "image": web::IMAGE, "args": ["busybox", "httpd", "-f", "-p", "8080"] }],
                    },
                } },
            }, {
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "shop" },
                "spec": { "minAvailable": 2, "selector": selector },
            }],
        }),
    )?;
    let runs = |n: u64| {
        eventually("all pods of the shop run", || {
            let own = object(site, &["get", "deployment", "shop"])?;
            Ok((own["status"]["readyReplicas"] == n).then_some(()))
        })
    };
    runs(3)?;
    let alone = web::pod("alone", "node-2");
    apply(site, &serde_json::from_str(&alone)?)?;
    eventually("the pod is on node-2", || {
        kubectl(site, &["get", "pod", "alone"]).map(Some)
    })?;
    refuses(site, &["node", "drain", "node-2"], "default/alone")?;
    let begun = Instant::now();
    farosctl(site, &["node", "drain", "node-2", "--force"])?;
    tell(&format!(
        "node-2 was empty after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    for pod in items(
        site,
        &[
            "pods",
            "--all-namespaces",
            "--field-selector=spec.nodeName=node-2",
        ],
    )? {
        let owner = &pod["metadata"]["ownerReferences"][0]["kind"];
        ensure!(
            owner == "Node" || owner == "DaemonSet",
            "{} stayed",
            pod["metadata"]["name"]
        );
    }
    runs(3)?;
    let closed = || anyhow::Ok(object(site, &["get", "node", "node-2"])?["spec"]["unschedulable"] == true);
    ensure!(closed()?, "node-2 is open");
    farosctl(site, &["node", "drain", "node-2", "--lift"])?;
    ensure!(!closed()?, "node-2 is closed");
    Ok(())
}

/// When the certificate ends that answers at a port of a node.
fn shown_certificate_ends(site: &mut Site, node: &str, port: u16) -> anyhow::Result<Timestamp> {
    let number: u8 = node.trim_start_matches("node-").parse()?;
    let ask = format!(
        "openssl s_client -connect 192.168.8.1{number}:{port} </dev/null 2>/dev/null | openssl x509 -noout -enddate -dateopt iso_8601"
    );
    let said = site.run("bastion", &["sh", "-c", &ask])?;
    let ends = said
        .trim()
        .strip_prefix("notAfter=")
        .context("there is no certificate")?;
    Ok(ends.replace(' ', "T").parse()?)
}

/// A node whose certificates have 30 days left gets new ones, and its control plane begins to use them.
fn certificates_are_renewed_before_they_end(site: &mut Site) -> anyhow::Result<()> {
    const SHORT: &str = "
        printf 'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: %s\ncertificateValidityPeriod: 720h\n' \
            $(kubeadm version --output short) >/run/short.yaml
        kubeadm certs renew all --config /run/short.yaml && rm -f /var/lib/faros/certificates.json";
    let (after, begun) = (last_event(site)?, Timestamp::now());
    // As if they had been made long ago. Whoever is told first has its turn, the others wait. A node may ask by itself.
    for node in ["node-2", "node-3"] {
        site.lab.native(node).run(&["sh", "-c", SHORT])?;
        asks_now(site, node)?;
    }
    let events = site.events_after(after)?;
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::CertificatesEnding)
        .collect();
    ensure!(told.len() == 1 && of(told[0], "node-2"), "{told:?}");
    ensure!(
        events
            .iter()
            .any(|event| reports(event, "node-2", "certificates-renewed")),
        "{events:?}"
    );
    let good = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 300);
    for (part, port) in [
        ("kube-apiserver", 6443),
        ("etcd", 2379),
        ("kube-controller-manager", 10257),
        ("kube-scheduler", 10259),
    ] {
        let name = format!("{part}-node-2");
        eventually(&format!("{name} was started anew"), || {
            let pod = object(site, &["get", "pod", "-n", "kube-system", &name])?;
            let since = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].as_str();
            let since: Timestamp = since.context("it does not run")?.parse()?;
            Ok((since >= begun - jiff::SignedDuration::from_secs(1)).then_some(()))
        })?;
        // The two others make a certificate for themselves when they start.
        if port == 6443 || port == 2379 {
            eventually(&format!("{name} shows its new certificate"), || {
                Ok((shown_certificate_ends(site, "node-2", port)? > good).then_some(()))
            })?;
        }
    }
    are_well(site, 4)?;
    asks_now(site, "node-2")?;
    let rows: Vec<Value> =
        serde_json::from_str(&farosctl(site, &["cluster", "certificates", "--output", "json"])?)?;
    let own: Vec<&Value> = rows.iter().filter(|row| row["node"] == "node-2").collect();
    for name in ["apiserver", "etcd-server", "admin.conf"] {
        ensure!(own.iter().any(|row| row["name"] == name), "no {name}: {own:?}");
    }
    for row in own {
        let ends: Timestamp = row["ends"].as_str().context("it has an end")?.parse()?;
        ensure!(ends > good, "{row}");
    }
    tell(&format!(
        "the certificates of node-2 were renewed and used {:.1} s after it asked",
        Timestamp::now().duration_since(begun).as_secs_f64()
    ));
    Ok(())
}

fn note(site: &Site, name: &str) -> anyhow::Result<()> {
    apply(
        site,
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } }),
    )
}

/// Two of three control planes burn. The third begins anew with what the snapshot has, two machines with empty disks
/// join it, and the worker's pods never stop.
fn a_majority_lost_for_good_comes_back_from_a_snapshot(site: &mut Site) -> anyhow::Result<()> {
    note(site, "before")?;
    let pod: Value = serde_json::from_str(&web::pod("steady", WORKER))?;
    apply(site, &pod)?;
    let runs_since = |site: &Site| {
        eventually("the worker's pod runs", || {
            let pod = object(site, &["get", "pod", "steady"])?;
            let since = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
            Ok(since.as_str().map(str::to_owned))
        })
    };
    let steady = runs_since(site)?;
    let taken: Value = serde_json::from_str(&farosctl(
        site,
        &["cluster", "snapshot", "take", "--output", "json"],
    )?)?;
    let snapshot = taken["name"].as_str().context("the snapshot has a name")?;
    note(site, "after")?;
    let restore = ["cluster", "restore", snapshot, "--yes"];
    refuses(site, &restore, "etcd has its majority")?;
    for node in ["node-2", "node-3"] {
        site.lab.native(node).cut()?;
    }
    let begun = Instant::now();
    farosctl(site, &restore)?;
    for node in ["node-2", "node-3"] {
        farosctl(site, &["install", node, "--yes"])?;
        start(site, node)?;
    }
    asks_now(site, "node-1")?;
    for node in CONTROL {
        eventually(&format!("{node} is ready again"), || is_ready(site, node))?;
        tell(&format!(
            "{node} was ready {:.1} s after the restore was asked for",
            begun.elapsed().as_secs_f64()
        ));
    }
    are_well(site, 4)?;
    tell(&format!(
        "the cluster was whole {:.1} s after the restore was asked for",
        begun.elapsed().as_secs_f64()
    ));
    three_members(site)?;
    kubectl(site, &["get", "configmap", "before"])?;
    ensure!(
        kubectl(site, &["get", "configmap", "after"]).is_err(),
        "what came later is there"
    );
    let still = runs_since(site)?;
    ensure!(still == steady, "the worker's pod began anew: {steady}, {still}");
    let failed = retry(|| site.events())?;
    let failed: Vec<_> = failed
        .iter()
        .filter(|event| event.kind == EventKind::NodeReport && word(event, "report") == "join-failed")
        .collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

/// All three members of etcd have begun, and vote.
fn three_members(site: &Site) -> anyhow::Result<()> {
    eventually("etcd has three members that vote", || {
        let members = etcd_members(site)?;
        Ok((members.len() == 3 && members.iter().all(|own| own.ends_with("started, voter"))).then_some(()))
    })
}

/// A disk is empty, and nobody told the cluster: the old member of etcd goes, and the machine joins.
fn a_wiped_machine_joins_anew(site: &mut Site) -> anyhow::Result<()> {
    let after = last_event(site)?;
    site.lab.native("node-3").cut()?;
    farosctl(site, &["install", "node-3", "--yes"])?;
    let begun = Instant::now();
    start(site, "node-3")?;
    site.wait_for(after, "the old member of node-3 is taken away", |event| {
        event.kind == EventKind::EtcdMemberRemoved && of(event, "node-3")
    })?;
    site.wait_for(after, "node-3 is ready", |event| {
        event.kind == EventKind::NodeReady && of(event, "node-3")
    })?;
    are_well(site, 4)?;
    tell(&format!(
        "node-3 was a member {:.1} s after it began with an empty disk",
        begun.elapsed().as_secs_f64()
    ));
    three_members(site)
}

/// A dead machine's place goes to one with another MAC address; a living one has to stay as long as the majority hangs
/// on it.
fn a_machine_takes_the_place_of_another(site: &mut Site) -> anyhow::Result<()> {
    let mac = |number: u8| format!("52:54:00:08:00:{number:02}");
    let uid = |site: &Site| {
        let node = object(site, &["get", "node", "node-2"])?;
        anyhow::Ok(node["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    };
    let old = uid(site)?;
    site.lab.native("node-2").cut()?;
    let majority = "has to stay: without it etcd would have no majority";
    eventually("the bastion refuses to give up the majority", || {
        refuses(site, &["node", "replace", "node-3", "--yes"], majority).map(Some)
    })?;
    eventually("Kubernetes misses node-2", || {
        Ok(is_ready(site, "node-2")?.is_none().then_some(()))
    })?;
    let after = last_event(site)?;
    let begun = Instant::now();
    farosctl(site, &["node", "replace", "node-2", "--yes"])?;
    let gone = site.events_after(after)?;
    ensure!(
        gone.iter()
            .any(|event| event.kind == EventKind::EtcdMemberRemoved && of(event, "node-2")),
        "{gone:?}"
    );
    ensure!(etcd_members(site)?.len() == 2, "the old member is still there");
    let text = fs::read_to_string(root().join("examples/cluster.yaml"))?;
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    file.write_all(text.replace(&mac(2), &mac(22)).as_bytes())?;
    site.lab.apply(file.path())?;
    start(site, "node-2")?;
    site.wait_for(after, "node-2 is ready", |event| {
        event.kind == EventKind::NodeReady && of(event, "node-2")
    })?;
    are_well(site, 4)?;
    three_members(site)?;
    tell(&format!(
        "another machine was node-2, {:.1} s after that was asked for",
        begun.elapsed().as_secs_f64()
    ));
    let address = site
        .lab
        .native("node-2")
        .run(&["cat", "/sys/class/net/eth0/address"])?;
    ensure!(address.trim() == mac(22), "{address}");
    ensure!(uid(site)? != old, "Kubernetes takes it for the old one");
    Ok(())
}

/// It is out of Kubernetes, leaves the cluster by itself, and is not let in again.
fn a_worker_is_taken_out(site: &Site) -> anyhow::Result<()> {
    farosctl(site, &["node", "remove", WORKER, "--yes", "--force"])?;
    are_well(site, 3)?;
    let after = last_event(site)?;
    asks_now(site, WORKER)?;
    let own = site.lab.native(WORKER);
    ensure!(
        !own.path("/etc/kubernetes/kubelet.conf").exists(),
        "it has its key to the cluster yet"
    );
    site.wait_for(after, "node-4 is not let in", |event| {
        event.kind == EventKind::JoinWaiting && of(event, WORKER) && word(event, "reason") == "gave-up"
    })?;
    std::thread::sleep(Duration::from_secs(10));
    are_well(site, 3)
}
