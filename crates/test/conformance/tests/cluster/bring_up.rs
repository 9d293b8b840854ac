//! A site becomes a cluster, and outlives one of its control planes.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::ensure;
use faros_conformance::{Running, Site, root, story::word};
use faros_lab::web;
use faros_model::event::{Event, EventKind};
use serde_json::{Value, json};

use crate::{
    pods,
    world::{
        CONTROL, WORKER, apply, are_well, bring_up, eventually, is_ready, items, kubectl, object, start,
        tell, with_bastion,
    },
};

const ZONE: &str = "harbour-7.edge.example.com";

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_site_becomes_a_cluster_and_outlives_one_of_its_control_planes() -> anyhow::Result<()> {
    with_bastion("t-cluster", &root().join("examples/cluster.yaml"), |site| {
        bring_up(site, &["node-1", "node-2", "node-3", WORKER])?;
        tell(&kubectl(site, &["get", "nodes", "-o", "wide"])?);
        are_as_the_site_file_has_them(site)?;
        runs_its_own_parts(site)?;
        pods_answer(site)?;
        pods::are_themselves_among_pods(site)?;
        tokens_are_of_no_use_to_others(site)?;
        a_control_plane_dies(site)
    })
}

fn are_as_the_site_file_has_them(site: &Site) -> anyhow::Result<()> {
    let list = eventually("nodes are furnished", || {
        let items = items(site, &["nodes"])?;
        let is_furnished = |node: &Value| {
            node["spec"]["podCIDR"].is_string()
                && node["metadata"]["labels"]["node-role.kubernetes.io/worker"].is_string()
        };
        Ok((items.len() == 4 && items.iter().all(is_furnished)).then_some(items))
    })?;
    for node in list {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let labels = &node["metadata"]["labels"];
        let is_control = CONTROL.contains(&name);
        assert_eq!(
            labels["node-role.kubernetes.io/control-plane"].is_string(),
            is_control,
            "{name}"
        );
        assert_eq!(labels["role.faros.dev/worker"], "true", "{name}");
        let (rack, taints) = if is_control {
            (Value::Null, Value::Null)
        } else {
            (
                json!("a"),
                json!([{ "key": "media", "value": "true", "effect": "NoSchedule" }]),
            )
        };
        assert_eq!(
            (&labels["rack"], &node["spec"]["taints"]),
            (&rack, &taints),
            "{name}"
        );
        let number = name.trim_start_matches("node-");
        assert_eq!(
            node["spec"]["podCIDR"],
            format!("10.128.1{number}.0/24"),
            "{name}"
        );
    }
    Ok(())
}

/// Every image of the cluster's own pods came from the bastion.
fn runs_its_own_parts(site: &Site) -> anyhow::Result<()> {
    let pods = items(site, &["pods", "-n", "kube-system"])?;
    // Four parts of three control planes, kube-proxy of four nodes, two of CoreDNS.
    ensure!(pods.len() >= 18, "{} pods", pods.len());
    for pod in pods {
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            assert!(image.starts_with("faros.dev/kubernetes/"), "{image}");
        }
    }
    Ok(())
}

/// A pod answers from other nodes, through the virtual IP of the ingress, and beyond the uplink.
fn pods_answer(site: &mut Site) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = web::write_image(folder.path())?;
    let (said, code) = site.farosctl(&["content", "add", "--oci", &archive.display().to_string()])?;
    ensure!(code == 0, "{said}");
    for node in ["node-3", WORKER] {
        let pod = web::pod(&format!("web-{node}"), node);
        apply(site, &serde_json::from_str(&pod)?)?;
    }
    for node in ["node-3", WORKER] {
        let name = format!("web-{node}");
        let address = eventually("the pod has an address", || {
            let pod = object(site, &["get", "pod", &name])?;
            Ok(pod["status"]["podIP"].as_str().map(str::to_owned))
        })?;
        for from in ["node-1", "node-2", WORKER] {
            let url = format!("http://{address}:8080/");
            let said = eventually(&format!("{name} answers {from}"), || {
                site.lab
                    .native(from)
                    .run(&["curl", "-sS", "-m", "3", &url])
                    .map(Some)
            })?;
            ensure!(said.trim() == format!("{name} on {node}"), "{said}");
        }
    }
    for (from, url) in [
        ("client:lan", "http://192.168.8.2/"),
        ("uplink", "http://203.0.113.2/"),
    ] {
        if from == "client:lan" {
            site.run(from, &["dhclient", "-4", "-1", "eth0"])?;
        }
        let said = eventually(&format!("the ingress answers {from}"), || {
            site.run(from, &["curl", "-sS", "-m", "3", url]).map(Some)
        })?;
        ensure!(said.starts_with("web-node-"), "{said}");
        tell(&format!("{from} asks {url}: {}", said.trim()));
    }
    // The cluster's own DNS behind the address of its service, asked from within a pod through kubelet and API server.
    let asks = [
        "exec",
        "web-node-4",
        "--",
        "busybox",
        "nslookup",
        "kubernetes.default.svc.cluster.local",
    ];
    let said = eventually("a pod asks for a name", || kubectl(site, &asks).map(Some))?;
    ensure!(said.contains("172.30.0.1\n"), "{said}");
    Ok(())
}

/// Nothing is given to another machine, nor to the node's own without its secret; a token is withdrawn when its node
/// has joined.
fn tokens_are_of_no_use_to_others(site: &mut Site) -> anyhow::Result<()> {
    let secret = fs::read_to_string(site.lab.native(WORKER).path("/etc/faros/join.secret"))?;
    let url = format!("https://registry.{ZONE}:5000/join/{WORKER}");
    for (node, shows) in [("node-1", secret.trim()), (WORKER, "wrong")] {
        let ask = "curl -sS -m 10 --cacert /etc/faros/site-ca.crt -o /dev/null -w %{http_code} -d";
        let ask: Vec<&str> = ask.split(' ').chain([shows, &url]).collect();
        let said = site.lab.native(node).run(&ask)?;
        ensure!(said == "403", "{node} asks to join as {WORKER}: {said}");
    }
    // Who is no node does not even get to where one asks.
    let resolve = format!("registry.{ZONE}:5000:192.168.8.1");
    let ask = [
        "curl",
        "-sSk",
        "-m",
        "3",
        "--resolve",
        &resolve,
        "-d",
        &secret,
        &url,
    ];
    let said = site.run("client:lan", &ask);
    ensure!(said.is_err(), "a stranger on the LAN gets an answer: {said:?}");
    let refused = site
        .events()?
        .into_iter()
        .filter(|event| event.kind == EventKind::JoinRefused);
    let reasons: Vec<String> = refused.map(|event| word(&event, "reason").to_owned()).collect();
    for reason in ["wrong-address", "wrong-secret"] {
        ensure!(reasons.iter().any(|own| own == reason), "{reason}: {reasons:?}");
    }
    eventually("all tokens are withdrawn", || {
        let names = kubectl(site, &["get", "secrets", "-n", "kube-system", "-o", "name"])?;
        Ok((!names.contains("bootstrap-token")).then_some(()))
    })
}

/// Writes objects through the virtual IP without rest, and notes the moment of each that was acknowledged.
const WRITER: &str = r#"
cd /var/tmp; conf=/etc/kubernetes/admin.conf
for own in certificate-authority client-certificate client-key; do
  sed -n "s/^ *$own-data: //p" $conf | base64 -d >$own
done
i=0
while [ ! -e /var/tmp/enough ]; do
  i=$((i + 1))
  code=$(curl -s -m 2 --cacert certificate-authority --cert client-certificate --key client-key -o /dev/null \
    -w '%{http_code}' -H 'Content-Type: application/json' \
    -d "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"w-$i\"}}" \
    https://api.harbour-7.edge.example.com:6443/api/v1/namespaces/default/configmaps)
  [ "$code" != 201 ] || echo "$i $(date +%s.%N)" >>written
  sleep 0.02
done
"#;

fn a_control_plane_dies(site: &mut Site) -> anyhow::Result<()> {
    let node = site.lab.native("node-2");
    let written = node.path("/var/tmp/written");
    let mut writer: Command = node.command(&["sh", "-c", WRITER])?;
    let mut writer = Running(writer.stdin(Stdio::null()).spawn()?);
    let lines = || fs::read_to_string(&written).unwrap_or_default().lines().count();
    eventually("writes go on", || Ok((lines() > 50).then_some(())))?;
    let before = lines();
    let after = site.events()?.last().map_or(0, |event| event.seq);
    // It began the cluster, and leads whatever is led.
    let died = jiff::Timestamp::now();
    site.lab.native("node-1").cut()?;
    eventually("writes go on without node-1", || {
        Ok((lines() > before + 200).then_some(()))
    })?;
    let out = site.wait_for(after, "node-1 is out of the balancer", |event| {
        is_of_api(event, EventKind::BackendDown, "node-1")
    })?;
    let out = site.events_after(out - 1)?.remove(0).at.duration_since(died);
    tell(&format!(
        "the balancer had node-1 out {:.2} s after its power went",
        out.as_secs_f64()
    ));
    ensure!(out.as_secs_f64() <= 3.0, "the balancer took {out}");
    fs::write(node.path("/var/tmp/enough"), "")?;
    writer.0.wait()?;
    let text = fs::read_to_string(&written)?;
    let noted: Vec<(&str, f64)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, at)| Ok((name, at.parse()?)))
        .collect::<anyhow::Result<_>>()?;
    let gaps = noted.windows(2).map(|pair| pair[1].1 - pair[0].1);
    let longest = gaps.fold(0.0, f64::max);
    tell(&format!(
        "fail-over: no write was acknowledged for {longest:.2} s; {} were in all",
        noted.len()
    ));
    let list = eventually("the objects are listed", || {
        kubectl(site, &["get", "configmaps", "-o", "name"]).map(Some)
    })?;
    let names: std::collections::BTreeSet<&str> = list.lines().collect();
    for (number, _) in &noted {
        let name = format!("configmap/w-{number}");
        ensure!(
            names.contains(name.as_str()),
            "{name} was acknowledged, and is lost"
        );
    }
    // It comes back as what it was.
    eventually("the bastion sees that node-1 is gone", || {
        Ok(is_ready(site, "node-1")?.is_none().then_some(()))
    })?;
    let after = site.events()?.last().map_or(0, |event| event.seq);
    let back = Instant::now();
    start(site, "node-1")?;
    site.wait_for(after, "node-1 is behind the balancer again", |event| {
        is_of_api(event, EventKind::BackendUp, "node-1")
    })?;
    tell(&format!(
        "the balancer led connections to node-1 {:.1} s after its start",
        back.elapsed().as_secs_f64()
    ));
    eventually("node-1 is ready again", || is_ready(site, "node-1"))?;
    are_well(site, 4)?;
    tell(&format!(
        "node-1 and its pods were ready {:.1} s after its start",
        back.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Whether the API of a node came in, or is out.
fn is_of_api(event: &Event, kind: EventKind, node: &str) -> bool {
    event.kind == kind && word(event, "service") == "api" && word(event, "backend") == node
}
