//! A site becomes a cluster: real kubeadm, etcd, kubelets and containerd on native nodes, by what the bastion gives.
//!
//! Long, and asked for by name: `make cluster`.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use faros_conformance::{
    Site, root,
    story::{retry, word},
};
use faros_lab::web;
use faros_model::event::EventKind;
use serde_json::{Value, json};

/// The nodes of the control plane, and the worker.
const CONTROL: [&str; 3] = ["node-1", "node-2", "node-3"];
const WORKER: &str = "node-4";
const ZONE: &str = "harbour-7.edge.example.com";
/// How long any one thing may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(12);

/// Figures, for whoever runs the test.
#[expect(clippy::print_stdout, reason = "a test that is run for its figures too")]
fn tell(text: &str) {
    println!("{text}");
}

/// `kubectl` as the cluster's administrator, on a node of the control plane.
fn kubectl(site: &Site, node: &str, words: &[&str]) -> anyhow::Result<String> {
    let own = [
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "--request-timeout=10s",
    ];
    site.lab.native(node).run(&[&own[..], words].concat())
}

fn object(site: &Site, words: &[&str]) -> anyhow::Result<Value> {
    let text = kubectl(site, "node-2", &[words, &["--output=json"]].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// Waits until `is_so`; its errors may be what is waited out.
fn eventually<T>(what: &str, mut is_so: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
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

/// A bastion with all that nodes need.
fn bastion(name: &str) -> anyhow::Result<Site> {
    let site = Site::up_with(name, &root().join("examples/cluster.yaml"))?;
    let (said, code) = site.farosctl(&["content", "build", "kubernetes"])?;
    ensure!(code == 0, "{said}");
    Ok(site)
}

fn start(site: &mut Site, node: &str) -> anyhow::Result<()> {
    site.lab.start_native(node, &mut |_| ())
}

fn is_ready(site: &Site, node: &str) -> anyhow::Result<Option<()>> {
    let row = retry(|| site.lab.node(node))?;
    Ok((row.phase.as_str() == "ready").then_some(()))
}

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_site_becomes_a_cluster_and_outlives_one_of_its_control_planes() -> anyhow::Result<()> {
    let mut site = bastion("t-cluster")?;
    let begun = Instant::now();
    // The worker comes first, and has to wait.
    for node in [WORKER, "node-1", "node-2", "node-3"] {
        start(&mut site, node)?;
    }
    for node in ["node-1", "node-2", "node-3", WORKER] {
        eventually(&format!("{node} is ready"), || is_ready(&site, node))?;
        tell(&format!(
            "{node} was ready after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
    }
    tell(&kubectl(&site, "node-2", &["get", "nodes", "-o", "wide"])?);
    are_as_the_site_file_has_them(&site)?;
    runs_its_own_parts(&site)?;
    tell(&format!(
        "all of the cluster's own pods ran after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    pods_answer(&mut site)?;
    tokens_are_of_no_use_to_others(&mut site)?;
    a_control_plane_dies(&mut site)
}

fn are_as_the_site_file_has_them(site: &Site) -> anyhow::Result<()> {
    let list = eventually("nodes are furnished", || {
        let list = object(site, &["get", "nodes"])?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
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

/// The cluster's own pods run, and every image of theirs came from the bastion.
fn runs_its_own_parts(site: &Site) -> anyhow::Result<()> {
    let pods = eventually("the cluster's own pods run", || {
        let list = object(site, &["get", "pods", "-n", "kube-system"])?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let runs = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            let mut all = conditions.into_iter().flatten();
            all.any(|own| own["type"] == "Ready" && own["status"] == "True")
        };
        Ok((items.len() >= 18 && items.iter().all(runs)).then_some(items))
    })?;
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
        apply(site, &web::pod(&format!("web-{node}"), node))?;
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
    let said = eventually("a pod asks for a name", || {
        kubectl(site, "node-2", &asks).map(Some)
    })?;
    ensure!(said.contains("172.30.0.1\n"), "{said}");
    Ok(())
}

fn apply(site: &Site, object: &str) -> anyhow::Result<()> {
    let path = PathBuf::from("/var/tmp/object.json");
    fs::write(site.lab.native("node-2").path("/var/tmp/object.json"), object)?;
    eventually("the API takes the object", || {
        kubectl(site, "node-2", &["apply", "-f", &path.display().to_string()]).map(Some)
    })?;
    Ok(())
}

/// Nothing is given to another machine, nor to the node's own without its secret; a token is withdrawn when its node
/// has joined.
fn tokens_are_of_no_use_to_others(site: &mut Site) -> anyhow::Result<()> {
    let ca = site.lab.native("node-1").path("/etc/faros/site-ca.crt");
    let ca = fs::read_to_string(ca)?;
    let secret = fs::read_to_string(site.lab.native(WORKER).path("/etc/faros/join.secret"))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ca.crt");
    fs::write(&file, ca)?;
    let url = format!("https://registry.{ZONE}:5000/join/{WORKER}");
    let file = file.display().to_string();
    let resolve = format!("registry.{ZONE}:5000:192.168.8.1");
    let ask = [
        "curl",
        "-sS",
        "-m",
        "10",
        "--cacert",
        &file,
        "--resolve",
        &resolve,
        "-w",
        " %{http_code}",
    ];
    let said = site.run("client:lan", &[&ask[..], &["-d", &secret, &url]].concat())?;
    ensure!(
        said.ends_with("403"),
        "another machine, with the node's own secret: {said}"
    );
    let words = format!("curl -sS -m 10 --cacert /etc/faros/site-ca.crt -d wrong -w ' %{{http_code}}' {url}");
    let said = site.lab.native(WORKER).run(&["sh", "-c", &words])?;
    ensure!(said.ends_with("403"), "the node, with another secret: {said}");
    let refused = site
        .events()?
        .into_iter()
        .filter(|event| event.kind == EventKind::JoinRefused);
    let reasons: Vec<String> = refused.map(|event| word(&event, "reason").to_owned()).collect();
    for reason in ["wrong-address", "wrong-secret"] {
        ensure!(reasons.iter().any(|own| own == reason), "{reason}: {reasons:?}");
    }
    eventually("all tokens are withdrawn", || {
        let names = kubectl(
            site,
            "node-2",
            &["get", "secrets", "-n", "kube-system", "-o", "name"],
        )?;
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

/// Stops a program when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn a_control_plane_dies(site: &mut Site) -> anyhow::Result<()> {
    let node = site.lab.native("node-2");
    let written = node.path("/var/tmp/written");
    let mut writer: Command = node.command(&["sh", "-c", WRITER])?;
    let mut writer = Running(writer.stdin(Stdio::null()).spawn()?);
    let lines = || fs::read_to_string(&written).unwrap_or_default().lines().count();
    eventually("writes go on", || Ok((lines() > 50).then_some(())))?;
    let before = lines();
    // It began the cluster, and leads whatever is led.
    site.lab.native("node-1").cut()?;
    let died = Instant::now();
    eventually("writes go on without node-1", || {
        Ok((lines() > before + 200).then_some(()))
    })?;
    tell(&format!(
        "200 writes more, {:.1} s after a control plane died",
        died.elapsed().as_secs_f64()
    ));
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
        kubectl(site, "node-2", &["get", "configmaps", "-o", "name"]).map(Some)
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
    let back = Instant::now();
    start(site, "node-1")?;
    eventually("node-1 is ready again", || is_ready(site, "node-1"))?;
    tell(&format!(
        "node-1 was ready {:.1} s after its start",
        back.elapsed().as_secs_f64()
    ));
    Ok(())
}
