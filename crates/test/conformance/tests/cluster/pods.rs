//! Whom a pod is to others: itself among pods and nodes, and its node beyond them.

use std::{fs, net::Ipv4Addr, process::Stdio};

use anyhow::ensure;
use faros_conformance::{Running, Site};
use faros_lab::web;
use serde_json::{Value, json};

use crate::world::{WORKER, apply, eventually, kubectl, object, tell};

/// What a web server says of whoever asks, by CGI (RFC 3875 section 4.1.8).
const WHO: &str = "#!/bin/busybox sh\necho\necho $REMOTE_ADDR\n";
const FROM: &str = "node-3";

/// The pods' image is in the content already.
pub(crate) fn are_themselves_among_pods(site: &mut Site) -> anyhow::Result<()> {
    for node in [FROM, WORKER] {
        apply(site, &pod(node)?)?;
    }
    apply(
        site,
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "who", "namespace": "default" },
            "spec": { "selector": { "who": WORKER }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        }),
    )?;
    let (asks, own) = (address(site, &name(FROM))?, address(site, &name(WORKER))?);
    let service = object(site, &["get", "service", "who"])?;
    let service = service["spec"]["clusterIP"]
        .as_str()
        .unwrap_or_default()
        .to_owned();

    // Pods know each other, by a service too; and the node of another pod is itself to it.
    for (url, what) in [
        (format!("{own}:8080"), "a pod of another node"),
        (service, "a service"),
    ] {
        let seen = seen_of_pod(site, &url)?;
        ensure!(seen == asks, "{what} takes the pod {asks} for {seen}");
    }
    let node = site.lab.native(FROM);
    let url = format!("http://{own}:8080/cgi-bin/who");
    let seen = eventually("the pod answers the node", || {
        node.run(&["curl", "-sS", "-m", "3", &url]).map(Some)
    })?;
    let seen = seen_in(&seen)?.to_string();
    ensure!(seen == "192.168.8.13", "the pod takes the node for {seen}");

    // Whoever is no pod and no node sees the node, and beyond the uplink the bastion.
    let lan = site.run("client:lan", &["hostname", "-I"])?;
    let lan: Ipv4Addr = lan.trim().parse()?;
    for (host, address, expected) in [
        ("client:lan", lan, "192.168.8.13"),
        ("uplink", Ipv4Addr::new(203, 0, 113, 1), "203.0.113.2"),
    ] {
        let _server = Server::start(site, host)?;
        let seen = seen_of_pod(site, &format!("{address}:8099"))?;
        ensure!(seen.to_string() == expected, "{host} takes the pod for {seen}");
    }
    tell(&format!("{asks} is itself to {own}, and its node to the LAN"));

    // And nobody there gets to a pod: what is for one does not leave the bastion, by whichever side.
    let url = format!("http://{own}:8080/");
    let curl = ["curl", "-sS", "-m", "3", &url];
    for (host, why) in [("client:lan", "timed out"), ("bastion", "Failed to connect")] {
        let said = site.run(host, &curl).map_err(|error| error.to_string());
        let is_refused = said.as_ref().is_err_and(|said| said.contains(why));
        ensure!(is_refused, "{host} asks a pod: {said:?}");
    }
    Ok(())
}

fn name(node: &str) -> String {
    format!("who-{node}")
}

/// A pod on this node that tells everybody who he is.
fn pod(node: &str) -> anyhow::Result<Value> {
    let mut pod: Value = serde_json::from_str(&web::pod(&name(node), node))?;
    let serves = "mkdir -p /www/cgi-bin && printf %s \"$WHO\" >/www/cgi-bin/who && chmod 755 /www/cgi-bin/who \
                  && exec busybox httpd -f -p 8080 -h /www";
    pod["metadata"]["labels"] = json!({ "who": node });
    let container = &mut pod["spec"]["containers"][0];
    container["args"] = json!(["sh", "-c", serves]);
    container["env"] = json!([{ "name": "WHO", "value": WHO }]);
    container["ports"] = json!([]);
    Ok(pod)
}

fn address(site: &Site, name: &str) -> anyhow::Result<Ipv4Addr> {
    eventually("the pod has an address", || {
        let pod = object(site, &["get", "pod", name])?;
        Ok(pod["status"]["podIP"].as_str().map(str::parse).transpose()?)
    })
}

/// As whom a server sees the pod.
fn seen_of_pod(site: &Site, server: &str) -> anyhow::Result<Ipv4Addr> {
    let url = format!("http://{server}/cgi-bin/who");
    let name = name(FROM);
    let words = ["exec", &name, "--", "busybox", "wget", "-q", "-O", "-", &url];
    eventually(&format!("{url} answers"), || {
        seen_in(&kubectl(site, &words)?).map(Some)
    })
}

/// The address that a server tells, which has it as one of IPv6 (RFC 4291 section 2.5.5.2).
fn seen_in(said: &str) -> anyhow::Result<Ipv4Addr> {
    let own = said.trim().trim_start_matches("[::ffff:").trim_end_matches(']');
    own.parse()
        .map_err(|_| anyhow::anyhow!("`{said}` is not an address"))
}

/// A server on a host of the lab, which says the same.
struct Server {
    _program: Running,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(site: &mut Site, host: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("cgi-bin/who");
        fs::create_dir(folder.path().join("cgi-bin"))?;
        fs::write(&program, WHO)?;
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, all)?;
        let home = folder.path().display().to_string();
        let words = ["busybox", "httpd", "-f", "-p", "8099", "-h", &home];
        let child = site.lab.command(host, &words)?.stdin(Stdio::null()).spawn()?;
        Ok(Self {
            _program: Running(child),
            _folder: folder,
        })
    }
}
