//! What the tests of the cluster share: a bastion with content, nodes to wait for, and `kubectl`.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, story::retry};
use serde_json::Value;

/// The nodes of the control plane, and the worker.
pub(crate) const CONTROL: [&str; 3] = ["node-1", "node-2", "node-3"];
pub(crate) const WORKER: &str = "node-4";

/// On a native node's disk: `kubeadm` is killed when it says what stands there.
pub(crate) const KUBEADM_DIES: &str = "/var/lib/lab-kubeadm-dies";

/// How long any one thing may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(12);

/// Figures and the course of things, for whoever runs the test.
#[expect(clippy::print_stdout, reason = "a test that is run for its figures too")]
pub(crate) fn tell(text: &str) {
    println!("{text}");
}

/// Runs a test on a bastion with all that nodes need; what was logged stays if it fails.
pub(crate) fn with_bastion(
    name: &str,
    site_file: &Path,
    test: impl FnOnce(&mut Site) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut site = Site::up_with(name, site_file)?;
    let (said, code) = site.farosctl(&["content", "build", "kubernetes"])?;
    ensure!(code == 0, "{said}");
    test(&mut site).map_err(|error| {
        let status = site.farosctl(&["cluster", "status"]).map(|(said, _)| said);
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        keep_logs(&site, &kept);
        let status = status.unwrap_or_else(|error| error.to_string());
        error.context(format!("{status}\nthe logs are in {}", kept.display()))
    })
}

/// Copies what farosd and the nodes logged to a folder.
fn keep_logs(site: &Site, to: &Path) {
    drop(fs::remove_dir_all(to));
    drop(fs::create_dir_all(to));
    drop(fs::copy(site.lab.folder().log(), to.join("farosd.log")));
    if let Ok((events, _)) = site.farosctl(&["events", "--limit", "10000"]) {
        drop(fs::write(to.join("events"), events));
    }
    for number in 1..=5 {
        let node = format!("node-{number}");
        let own = site.lab.native(&node);
        for folder in ["/var/log/lab", "/var/log/pods"] {
            let (from, to) = (own.path(folder), to.join(&node));
            drop(fs::create_dir_all(&to));
            drop(Command::new("cp").arg("-rL").args([from, to]).output());
        }
    }
}

/// `kubectl` as the cluster's administrator, on a node of the control plane that runs.
pub(crate) fn kubectl(site: &Site, words: &[&str]) -> anyhow::Result<String> {
    let own = [
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "--request-timeout=10s",
    ];
    on_control_plane(site, &[&own[..], words].concat())
}

/// What a command says on a node of the control plane that runs.
fn on_control_plane(site: &Site, words: &[&str]) -> anyhow::Result<String> {
    let is_member = |node: &&str| {
        let node = site.lab.native(node);
        node.is_on() && node.path("/etc/kubernetes/admin.conf").exists()
    };
    let node = CONTROL.into_iter().find(is_member);
    let node = node.ok_or_else(|| anyhow::anyhow!("no node of the control plane runs"))?;
    site.lab.native(node).run(words)
}

/// What `kubectl` has, as it is.
pub(crate) fn object(site: &Site, words: &[&str]) -> anyhow::Result<Value> {
    let text = kubectl(site, &[words, &["--output=json"]].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// The items of a list.
pub(crate) fn items(site: &Site, words: &[&str]) -> anyhow::Result<Vec<Value>> {
    let list = object(site, &[&["get"], words].concat())?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Writes objects to the cluster.
pub(crate) fn apply(site: &Site, object: &Value) -> anyhow::Result<()> {
    let on = CONTROL.into_iter().map(|node| site.lab.native(node));
    for node in on.filter(faros_lab::native::Native::is_on) {
        fs::write(node.path("/var/tmp/object.json"), object.to_string())?;
    }
    eventually("the API takes the object", || {
        kubectl(site, &["apply", "-f", "/var/tmp/object.json"]).map(Some)
    })?;
    Ok(())
}

/// Whether `kubeadm` was killed as `KUBEADM_DIES` has it, which is taken away then.
pub(crate) fn has_died(site: &Site, node: &str) -> anyhow::Result<Option<()>> {
    let is_due = site.lab.native(node).path(KUBEADM_DIES).try_exists()?;
    Ok((!is_due).then_some(()))
}

/// Waits until `is_so`; its errors may be what is waited out.
pub(crate) fn eventually<T>(
    what: &str,
    mut is_so: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = is_so();
        if let Ok(Some(found)) = found {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(match found {
                Err(error) => error.context(format!("{what}: not within {PATIENCE:?}")),
                Ok(_) => anyhow::anyhow!("{what}: not within {PATIENCE:?}"),
            });
        }
        thread::sleep(Duration::from_secs(1));
    }
}

pub(crate) fn start(site: &mut Site, node: &str) -> anyhow::Result<()> {
    site.lab.start_native(node, &mut |_| ())
}

pub(crate) fn is_ready(site: &Site, node: &str) -> anyhow::Result<Option<()>> {
    let row = retry(|| site.lab.node(node))?;
    Ok((row.phase.as_str() == "ready").then_some(()))
}

/// Starts nodes, the last one first, and waits until all are ready; tells how long each took.
pub(crate) fn bring_up(site: &mut Site, nodes: &[&str]) -> anyhow::Result<()> {
    let begun = Instant::now();
    // A worker comes first then, and has to wait.
    let (last, others) = nodes.split_last().ok_or_else(|| anyhow::anyhow!("no nodes"))?;
    for node in std::iter::once(last).chain(others) {
        start(site, node)?;
    }
    for node in nodes {
        eventually(&format!("{node} is ready"), || is_ready(site, node))?;
        tell(&format!(
            "{node} was ready after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
    }
    are_well(site, nodes.len())?;
    tell(&format!(
        "all of the cluster's own pods ran after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Waits until there are so many nodes, all ready, and all of the cluster's own pods run.
pub(crate) fn are_well(site: &Site, n_nodes: usize) -> anyhow::Result<()> {
    let has_condition = |own: &Value| {
        let mut all = own["status"]["conditions"].as_array().into_iter().flatten();
        all.any(|own| own["type"] == "Ready" && own["status"] == "True")
    };
    eventually("all nodes are ready", || {
        let nodes = items(site, &["nodes"])?;
        Ok((nodes.len() == n_nodes && nodes.iter().all(has_condition)).then_some(()))
    })?;
    eventually("the cluster's own pods run", || {
        let pods = items(site, &["pods", "-n", "kube-system"])?;
        Ok((pods.len() > 2 * n_nodes && pods.iter().all(has_condition)).then_some(()))
    })
}

/// The members of etcd, such as `node-1: started, voter`.
pub(crate) fn etcd_members(site: &Site) -> anyhow::Result<Vec<String>> {
    let list = "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt
        --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key member list";
    let list: Vec<&str> = list.split_whitespace().collect();
    let said = on_control_plane(site, &list)?;
    // 8e9e05c52164694d, started, node-1, https://192.168.8.11:2380, https://192.168.8.11:2379, false
    let member = |line: &str| {
        let words: Vec<&str> = line.split(", ").collect();
        let [_, state, name, .., is_learner] = words[..] else {
            return line.to_owned();
        };
        let vote = if is_learner == "false" { "voter" } else { "learner" };
        format!("{name}: {state}, {vote}")
    };
    Ok(said.lines().map(member).collect())
}

/// The codes of what `why` says of a node, the likeliest first.
pub(crate) fn causes(site: &Site, node: &str) -> anyhow::Result<Vec<String>> {
    let (said, _) = site.farosctl(&["why", node, "--output", "json"])?;
    let told: Value = serde_json::from_str(&said)?;
    let all = told["causes"].as_array().context("there are no causes")?;
    let codes = all.iter().filter_map(|own| own["code"].as_str());
    Ok(codes.map(str::to_owned).collect())
}

pub(crate) fn first_cause(site: &Site, node: &str) -> anyhow::Result<String> {
    let first = causes(site, node)?.into_iter().next();
    first.context("there is no cause")
}
