//! The power comes back: a thousand nodes boot, and want their disks opened, all at once.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use faros_bench::load::{self, Came, Load};
use faros_conformance::Site;
use faros_model::api::NodeStatus;

const NODES: usize = 1000;
const CROWD: &str = "client:crowd";
const BYSTANDER: &str = "client:bystander";

fn site_file(policy: &str) -> String {
    let mut text = format!(
        "apiVersion: faros.dev/v1alpha1
kind: Site
metadata: {{name: crowd}}
spec:
  domain: edge.example.com
  sshAuthorizedKeys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample00 ops@example.com
  uplink: {{interface: uplink0}}
  lan: {{interfaces: [lan0], subnet: 10.8.0.0/20}}
  dns: {{forwarders: [9.9.9.9]}}
  unlock: {{policy: {policy}}}
  nodeDefaults: {{installDisk: /dev/vda, roles: [worker]}}
  nodes:\n"
    );
    for n in 1..=NODES {
        let mac = format!("52:54:00:10:{:02x}:{:02x}", n / 256, n % 256);
        // Writing to a `String` cannot fail.
        let roles = if n == 1 {
            ", roles: [control-plane, worker]"
        } else {
            ""
        };
        let _ = writeln!(text, "    - {{name: node-{n}, bootMac: \"{mac}\"{roles}}}");
    }
    text
}

/// One host that has the addresses of all nodes, and takes what is sent to their MACs.
fn gather(site: &mut Site, folder: &Path, nodes: &[NodeStatus]) -> anyhow::Result<()> {
    let (mut own, mut known) = (String::new(), String::new());
    for node in nodes {
        let _ = writeln!(own, "address add {}/20 dev eth0", node.address);
        let _ = writeln!(
            known,
            "neigh replace {} lladdr {} nud permanent dev lan0",
            node.address, node.boot_mac
        );
    }
    for (host, file, batch) in [(CROWD, "own", own), ("bastion", "known", known)] {
        let path = folder.join(file);
        fs::write(&path, batch)?;
        site.run(host, &["ip", "-batch", &path.display().to_string()])?;
    }
    let take = "ip link set eth0 promisc on
        mac=$(cat /sys/class/net/eth0/address)
        nft add table netdev take
        nft add chain netdev take in '{ type filter hook ingress device eth0 priority 0; }'
        nft add rule netdev take in ether daddr and ff:ff:ff:ff:00:00 == 52:54:00:10:00:00 ether daddr set $mac meta pkttype set host";
    site.run(CROWD, &["bash", "-euc", take]).map(drop)
}

/// What the crowd asks for, all at once or some at a time.
fn ask(
    site: &mut Site,
    from: &[Ipv4Addr],
    port: u16,
    request: Vec<u8>,
    at_once: usize,
) -> anyhow::Result<Came> {
    let (_, host) = site.lab.host(CROWD)?;
    let load = Load {
        to: SocketAddrV4::new(site.lab.status().bastion_address, port),
        from: from.to_vec(),
        request,
        clients: at_once,
        requests: from.len(),
    };
    load::inside(&host.namespace, load)
}

/// What somebody else on the LAN saw of the bastion's other services until the storm was over.
#[derive(Debug, Default)]
struct Bystander {
    asked: usize,
    slowest_name: Duration,
    slowest_lease: Duration,
    failed: Vec<String>,
}

fn bystand(
    site: &mut Site,
    storm: thread::JoinHandle<anyhow::Result<Came>>,
) -> anyhow::Result<(Came, Bystander)> {
    let server = format!("@{}", site.lab.status().bastion_address);
    let name = [
        "dig",
        "+short",
        "+tries=1",
        "+time=3",
        &server,
        "node-7.crowd.edge.example.com",
    ];
    let mut saw = Bystander::default();
    while !storm.is_finished() || saw.asked < 4 {
        saw.asked += 1;
        let begun = Instant::now();
        if let Err(error) = site.run(BYSTANDER, &name) {
            saw.failed.push(error.to_string());
        }
        saw.slowest_name = saw.slowest_name.max(begun.elapsed());
        let begun = Instant::now();
        if let Err(error) = site.lease(BYSTANDER) {
            saw.failed.push(error.to_string());
        }
        saw.slowest_lease = saw.slowest_lease.max(begun.elapsed());
    }
    let came = storm
        .join()
        .map_err(|_| anyhow::anyhow!("the storm panicked"))??;
    Ok((came, saw))
}

#[test]
#[expect(clippy::print_stderr, reason = "figures, for whoever runs it by hand")]
fn a_thousand_nodes_unlock_at_once_while_everything_else_goes_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("site.yaml");
    fs::write(&file, site_file("boot-session"))?;
    let mut site = Site::up_with("t-storm", &file)?;
    let (said, _) = site.farosctl(&["nodes", "--output", "json"])?;
    let nodes: Vec<NodeStatus> = serde_json::from_str(&said)?;
    assert_eq!(nodes.len(), NODES);
    gather(&mut site, folder.path(), &nodes)?;
    site.run(BYSTANDER, &["dhclient", "-4", "-1", "eth0"])?;
    let addresses: Vec<Ipv4Addr> = nodes.iter().map(|node| node.address).collect();
    let all: BTreeMap<u16, usize> = [(200, NODES)].into();

    // Each binds its disk, and then boots from it.
    let came = ask(&mut site, &addresses, 8082, load::get("/adv"), 32)?;
    assert_eq!(came.statuses, all, "{:?}", came.failed);
    for node in &nodes {
        let report = load::post(&format!("/report/{}", node.name), r#"{"report":"booting"}"#);
        let came = ask(&mut site, &[node.address], 8080, report, 1)?;
        assert_eq!(came.statuses.keys().next(), Some(&204), "{:?}", came.failed);
    }
    let bastion = site.lab.status().bastion_address;
    let script = format!(
        "curl -sf --interface {} http://{bastion}:8082/adv | jose fmt -j- -Og payload -SyOg keys -AUo- > /run/keys
         jose jwk use -i /run/keys -r -u deriveKey -o- | jose jwk thp -i- -a S256
         echo; jose jwk gen -i '{{\"alg\":\"ECMR\"}}' | jose jwk pub -i-",
        addresses[0]
    );
    let said = site.run(CROWD, &["bash", "-euo", "pipefail", "-c", &script])?;
    let mut lines = said.lines().filter(|line| !line.is_empty());
    let key = lines.next().context("no key")?;
    let request = load::post(&format!("/rec/{key}"), lines.next().context("no point")?);

    for policy in ["boot-session", "anyone"] {
        if policy != "boot-session" {
            fs::write(&file, site_file(policy))?;
            site.lab.apply(&file)?;
        }
        let load = Load {
            to: SocketAddrV4::new(bastion, 8082),
            from: addresses.clone(),
            request: request.clone(),
            clients: NODES,
            requests: NODES,
        };
        let (_, host) = site.lab.host(CROWD)?;
        let storm = thread::spawn(move || load::inside(&host.namespace, load));
        let (came, saw) = bystand(&mut site, storm)?;
        eprintln!(
            "{policy}: {NODES} in {:?}, half within {:?}, 99 of 100 within {:?}; meanwhile {saw:?}",
            came.elapsed,
            came.percentile(50),
            came.percentile(99)
        );
        assert_eq!(came.statuses, all, "{:?}", came.failed);
        assert!(saw.failed.is_empty(), "{saw:?}");
    }
    let (said, _) = site.farosctl(&["unlock", "ledger", "--output", "json"])?;
    assert_eq!(said.matches("\"recovered\"").count(), NODES);
    site.kill_and_start()?;
    let (said, _) = site.farosctl(&["unlock", "ledger", "--output", "json"])?;
    assert_eq!(
        said.matches("\"recovered\"").count(),
        NODES,
        "after a crash: {said:.300}"
    );
    Ok(())
}
