//! The demo's end: the machine that has just encrypted its disk becomes a node of a cluster, and a pod on it answers
//! whoever is beyond the uplink.
//!
//! The control plane is native: under emulation it would never come up.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_model::content::ContentEntry;
use serde::Serialize;
use serde_json::Value;

use super::{
    acts::{self, Follow, Until},
    hardware,
    summary::Proof,
};
use crate::{
    Lab, daemon,
    machine::{Firmware, Hardware},
    web,
};

/// The nodes that run natively.
const CONTROL_PLANE: [&str; 3] = ["node-1", "node-2", "node-3"];

/// The emulated machine.
pub(super) const MACHINE: (&str, Firmware) = ("node-4", Firmware::Bios);

/// How long the machine may take from its own system to a node that is ready.
const JOIN: Duration = Duration::from_mins(10);

/// Where the pod answers.
const OUTSIDE: &str = "http://203.0.113.2/";

/// What was seen of the cluster.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    /// What was reached, and how long after the machine was powered on, in seconds.
    steps: Vec<(String, f64)>,
    /// `kubectl get nodes -o wide`.
    nodes: String,
    /// What the pod said to somebody beyond the uplink.
    answer: String,
    /// What the bastion keeps, in bytes.
    sizes: Vec<(String, u64)>,
    /// Memory of the programs, in bytes.
    memory: Vec<(String, u64)>,
}

/// Has a release in the content store: from the cache, or built.
pub(super) fn provide_release(lab: &Lab) -> anyhow::Result<()> {
    acts::farosctl(lab, &["content", "build", "kubernetes"]).map(drop)
}

/// All that this part of the demo promises, in order.
pub(super) fn act(follow: &mut Follow<'_>) -> anyhow::Result<(Vec<Proof>, Cluster)> {
    let (machine, firmware) = MACHINE;
    let begun = Instant::now();
    let mut cluster = Cluster::default();
    let reached = |follow: &Follow<'_>, cluster: &mut Cluster, what: &str| {
        let after = begun.elapsed().as_secs_f64();
        follow
            .show
            .line(&format!("{what}, {after:.0} s after power-on of {machine}"));
        cluster.steps.push((what.to_owned(), after));
    };
    follow.show.line(&format!(
        "powering on {machine}: {}, empty disk, network first",
        firmware.as_str()
    ));
    let hardware = Hardware {
        memory_mib: 2048,
        ..hardware(firmware)
    };
    follow.lab.start_machine(machine, &hardware, &mut |_| ())?;
    for node in CONTROL_PLANE {
        follow.lab.start_native(node, &mut |_| ())?;
        follow.until_ready(node, JOIN)?;
        reached(
            follow,
            &mut cluster,
            &format!("{node} of the control plane is ready"),
        );
    }
    follow.until(machine, Until::Report("installed"), super::INSTALLS)?;
    reached(
        follow,
        &mut cluster,
        &format!("{machine} is installed on an encrypted disk"),
    );
    follow.until(machine, Until::Report("started"), super::INSTALLS)?;
    reached(
        follow,
        &mut cluster,
        &format!("{machine} was unlocked, and runs from it"),
    );
    follow.until_ready(machine, JOIN)?;
    reached(follow, &mut cluster, &format!("{machine} is ready"));

    let folder = follow.lab.folder().path().join("web");
    let archive = web::write_image(&folder)?;
    let archive = archive
        .to_str()
        .context("the lab's folder is no text")?
        .to_owned();
    acts::farosctl(follow.lab, &["content", "add", "--oci", &archive])?;
    let first = follow.lab.native(CONTROL_PLANE[0]);
    fs::write(first.path("/var/tmp/web.json"), web::pod("web", machine))?;
    kubectl(follow.lab, &["apply", "-f", "/var/tmp/web.json"])?;
    cluster.answer = answer(follow)?;
    ensure!(
        cluster.answer == format!("web on {machine}"),
        "{OUTSIDE} says `{}`",
        cluster.answer
    );
    reached(
        follow,
        &mut cluster,
        &format!("a pod on {machine} answers at {OUTSIDE}"),
    );
    cluster.nodes = kubectl(follow.lab, &["get", "nodes", "-o", "wide"])?;
    cluster.sizes = sizes(follow.lab)?;
    cluster.memory = memory(follow.lab)?;
    let proofs = vec![
        Proof::seen(&format!(
            "{machine} installed itself on an encrypted disk, was unlocked, and became a node that is ready"
        )),
        Proof::seen("a pod on it answers beyond the uplink, through the balancer's ingress"),
    ];
    Ok((proofs, cluster))
}

/// What the pod says to somebody beyond the uplink.
fn answer(follow: &mut Follow<'_>) -> anyhow::Result<String> {
    let deadline = Instant::now() + JOIN;
    loop {
        follow.look()?;
        let asked = follow
            .lab
            .command("uplink", &["curl", "-sS", "-f", "-m", "3", OUTSIDE])?
            .output()?;
        if asked.status.success() {
            return Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&asked.stderr).trim().to_owned();
        ensure!(Instant::now() < deadline, "{OUTSIDE} does not answer: {said}");
        follow.stop.pause(Duration::from_secs(1))?;
    }
}

fn kubectl(lab: &Lab, words: &[&str]) -> anyhow::Result<String> {
    let own = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"];
    lab.native(CONTROL_PLANE[0]).run(&[&own[..], words].concat())
}

/// What of the content is how large.
fn sizes(lab: &Lab) -> anyhow::Result<Vec<(String, u64)>> {
    let listed = acts::farosctl(lab, &["content", "list", "--output", "json"])?;
    let listed: Vec<ContentEntry> = serde_json::from_str(&listed).context("the content is not understood")?;
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut counted = std::collections::BTreeSet::new();
    for entry in listed.iter().filter(|entry| counted.insert(entry.digest)) {
        let name = entry.name.as_str();
        let what = match name.split('/').next().unwrap_or_default() {
            "registry" => "container images",
            "kubernetes" => "programs of a node, and their bill of materials",
            "loader" => "boot loaders",
            _ => "node image",
        };
        *sizes.entry(what).or_default() += entry.size;
    }
    Ok(sizes
        .into_iter()
        .map(|(what, size)| (what.to_owned(), size))
        .collect())
}

/// Memory of farosd, of the programs of a node of the control plane, and of the machine.
fn memory(lab: &Lab) -> anyhow::Result<Vec<(String, u64)>> {
    let mut memory = Vec::new();
    if let Some(pid) = daemon::pid(lab.folder()) {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let pss = smaps.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|own| own.split_whitespace().next()?.parse::<u64>().ok());
        memory.push(("farosd".to_owned(), kib.unwrap_or(0) << 10));
    }
    let node = CONTROL_PLANE[0];
    let listed = lab.native(node).run(&["ps", "-eo", "rss=,comm="])?;
    let mut programs: BTreeMap<&str, u64> = BTreeMap::new();
    for line in listed.lines() {
        if let Some((kib, program)) = line.trim().split_once(' ')
            && let Ok(kib) = kib.parse::<u64>()
        {
            *programs.entry(program.trim()).or_default() += kib << 10;
        }
    }
    programs.retain(|_, bytes| *bytes >= 10 << 20);
    memory.extend(
        programs
            .into_iter()
            .map(|(program, bytes)| (format!("{node}: {program}"), bytes)),
    );
    let (machine, _) = MACHINE;
    let stats = kubectl(
        lab,
        &[
            "get",
            "--raw",
            &format!("/api/v1/nodes/{machine}/proxy/stats/summary"),
        ],
    )?;
    let stats: Value = serde_json::from_str(&stats).context("the node's figures are not understood")?;
    let own = |value: &Value| value.pointer("/memory/workingSetBytes").and_then(Value::as_u64);
    memory.extend(own(&stats["node"]).map(|bytes| (format!("{machine}: all of it"), bytes)));
    for part in stats["node"]["systemContainers"].as_array().into_iter().flatten() {
        let name = part["name"].as_str().unwrap_or_default();
        memory.extend(own(part).map(|bytes| (format!("{machine}: {name}"), bytes)));
    }
    Ok(memory)
}

impl Cluster {
    /// As people read it.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for (what, after) in &self.steps {
            let _ = writeln!(out, "  {after:6.1} s  {what}");
        }
        let _ = write!(out, "\n{}\n{OUTSIDE} says: {}\n\n", self.nodes, self.answer);
        for (what, bytes) in self.sizes.iter().chain(&self.memory) {
            let mib = Mib(*bytes);
            let _ = writeln!(out, "  {mib}  {what}");
        }
        out
    }
}

/// Bytes, in MiB with one digit after the point.
struct Mib(u64);

impl std::fmt::Display for Mib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = self.0 * 10 / (1 << 20);
        write!(f, "{:6}.{} MiB", tenths / 10, tenths % 10)
    }
}
