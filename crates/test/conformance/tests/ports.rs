//! The matrix of ports against what is there: real probes at filters that are made from it, and the verdicts of the
//! programs that read them.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};
use sha2::{Digest as _, Sha256};

const NODE: &str = "client:node=52:54:00:08:00:01";
const NODE_ADDRESS: &str = "192.168.8.11";
const OTHER_NODE: &str = "client:other=52:54:00:08:00:02";
const PRINTER: &str = "client:printer=52:54:00:08:03:01";
const STRANGER: &str = "client:stranger";

/// The namespace of a pod on the node.
const POD: &str = "faros-t-ports-pod";

/// A server that answers on each of the ports that it is told, over TCP and UDP.
const ANSWERS: &str = "
import selectors, socket, sys
ready = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    tcp = socket.create_server(('0.0.0.0', port))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('0.0.0.0', port))
    ready.register(tcp, selectors.EVENT_READ, lambda own: own.accept()[0].close())
    ready.register(udp, selectors.EVENT_READ, lambda own: own.sendto(b'heard', own.recvfrom(99)[1]))
print('ready', flush=True)
while True:
    for key, _ in ready.select():
        key.data(key.fileobj)";

/// Children that end with the test.
#[derive(Default)]
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
        drop(ip(&format!("netns del {POD}")));
    }
}

/// A site with a cluster: its nodes have filters.
fn cluster(name: &str) -> anyhow::Result<Site> {
    Site::up_with(name, &root().join("examples/three-nodes.yaml"))
}

fn ip(words: &str) -> anyhow::Result<()> {
    let said = Command::new("ip")
        .args(words.split(' '))
        .output()
        .context("cannot run ip")?;
    ensure!(
        said.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    Ok(())
}

/// Has a host answer on ports; returns when it does.
fn answer(site: &mut Site, children: &mut Children, host: &str, ports: &[u16]) -> anyhow::Result<()> {
    let namespace = site.lab.host(host)?.1.namespace;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace, "python3", "-c", ANSWERS]);
    command.args(ports.iter().map(u16::to_string));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().context("it has an output")?;
    children.0.push(child);
    let mut said = [0; 6];
    std::io::Read::read_exact(&mut out, &mut said).context("the server of the test did not start")?;
    Ok(())
}

/// A port of the node, its protocol, and whether it is open.
type Probe = (u16, &'static str, bool);

/// Fails unless all ports answer somebody, or do not, as they should. What should not is not waited for long.
fn expect(site: &mut Site, from: &str, to: &str, probes: &[Probe]) -> anyhow::Result<()> {
    let script = probes.iter().map(|(port, protocol, open)| {
        let patience = if *open { 10 } else { 1 };
        match *protocol {
            "tcp" => format!("(nc -n -z -w {patience} {to} {port} && echo tcp/{port}) &\n"),
            _ => format!(
                "(echo hello | nc -n -u -w {patience} -W 1 {to} {port} | grep -q heard && echo udp/{port}) &\n"
            ),
        }
    });
    let script = script.collect::<String>() + "wait";
    let said = site.said(from, &["sh", "-c", &script])?;
    let heard: Vec<&str> = said.lines().collect();
    for (port, protocol, open) in probes {
        let is_open = heard.contains(&format!("{protocol}/{port}").as_str());
        ensure!(
            is_open == *open,
            "{port}/{protocol} of {to} from {from}: open is {is_open}"
        );
    }
    Ok(())
}

/// Gives each host the address that is its own.
fn addresses(site: &mut Site, hosts: &[&str]) -> anyhow::Result<()> {
    for host in hosts {
        site.run(host, &["dhclient", "-4", "-1", "eth0"])?;
    }
    Ok(())
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
    let mut children = Children::default();
    addresses(&mut site, &[NODE, OTHER_NODE, PRINTER, STRANGER])?;
    let mut ports: Vec<u16> = EXPECTED.iter().map(|(port, ..)| *port).collect();
    ports.dedup();
    answer(&mut site, &mut children, NODE, &ports)?;
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

/// The ports that nmap was answered on, be it that nobody listens.
fn passing(said: &str) -> Vec<u16> {
    let ports = said.lines().filter_map(|line| line.split("Ports: ").nth(1));
    let ports = ports.flat_map(|ports| ports.split('\t').next().unwrap_or_default().split(", "));
    let mut passing: Vec<u16> = ports
        .filter_map(|port| {
            let mut fields = port.trim().split('/');
            let (number, state) = (fields.next()?, fields.next()?);
            matches!(state, "open" | "closed").then(|| number.parse().ok())?
        })
        .collect();
    passing.sort_unstable();
    passing
}

#[test]
fn pods_pass_and_whoever_says_on_the_wire_that_he_is_a_pod_does_not() -> anyhow::Result<()> {
    let mut site = cluster("t-ports-pods")?;
    let mut children = Children::default();
    addresses(&mut site, &[NODE, STRANGER])?;
    answer(&mut site, &mut children, NODE, &[9999])?;
    filter(&mut site)?;
    // What a failed run left behind.
    drop(ip(&format!("netns del {POD}")));
    let node = site.lab.host(NODE)?.1.namespace;
    for words in [
        format!("netns add {POD}"),
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

#[test]
fn verify_finds_who_listens_where_the_matrix_has_nobody() -> anyhow::Result<()> {
    let mut site = cluster("t-ports-verify")?;
    let mut children = Children::default();
    let findings = |site: &Site| -> anyhow::Result<(Vec<String>, i32)> {
        let (said, code) = site.farosctl(&["ports", "verify", "--output", "json"])?;
        let said: serde_json::Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let findings = said["findings"].as_array().context("a list of findings")?;
        let line = |own: &serde_json::Value| {
            let field = |key: &str| own[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", field("on"), field("kind"), field("port"))
        };
        Ok((findings.iter().map(line).collect(), code))
    };
    ensure!(findings(&site)? == (vec![], 0), "{:?}", findings(&site)?);

    answer(&mut site, &mut children, "bastion", &[7777])?;
    addresses(&mut site, &[NODE])?;
    let report = r#"{"report":"started","filtered":false,"listens":["tcp 0.0.0.0:22","udp 127.0.0.53%lo:53","tcp *:8000"]}"#;
    site.run(
        NODE,
        &[
            "curl",
            "-sf",
            "-d",
            report,
            "http://192.168.8.1:8080/report/node-1",
        ],
    )?;
    // What else it tells hides nothing: more than is looked at first.
    let chatter = r#"{"report":"installing"}"#;
    let url = "http://192.168.8.1:8080/report/node-1?[1-1100]";
    site.run(NODE, &["curl", "-sf", "-o", "/dev/null", "-d", chatter, url])?;
    let events = site.events()?;
    let told = events.iter().filter(|event| event.kind.as_str() == "node-report");
    ensure!(told.count() > 1000, "it is not told");
    let expected = [
        "bastion unexpected-listener tcp/7777",
        "bastion unexpected-listener udp/7777",
        "node-1 unexpected-listener tcp/8000",
        "node-1 unfiltered ",
    ];
    let found = findings(&site)?;
    ensure!(found == (expected.map(str::to_owned).to_vec(), 3), "{found:?}");

    // The filter in the kernel: as it was loaded, or not; of this site, or not. A life sign tells if it is another.
    let (site_file, _) = site.farosctl(&["show", "--file"])?;
    let loaded = faros_site::load(&site_file).map_err(|_| anyhow::anyhow!("{site_file}"))?;
    let node = loaded
        .site
        .nodes
        .values()
        .find(|node| node.name.as_str() == "node-1");
    let rules = node
        .and_then(|node| faros_render::node_filter(&loaded.site, node))
        .context("a filter")?;
    let bytes = Sha256::digest(rules);
    let digest = bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    for (report, changed, digest, finding) in [
        ("started", false, "00", Some("node-1 outdated-filter ")),
        ("alive", false, digest.as_str(), None),
        ("alive", true, digest.as_str(), Some("node-1 changed-filter ")),
    ] {
        let said = serde_json::json!({
            "report": report, "filtered": true, "filterChanged": changed, "filter": digest, "listens": [],
        });
        let url = "http://192.168.8.1:8080/report/node-1";
        site.run(NODE, &["curl", "-sf", "-d", &said.to_string(), url])?;
        let found = findings(&site)?.0;
        let of_node: Vec<&String> = found.iter().filter(|own| own.starts_with("node-1")).collect();
        ensure!(of_node == finding.as_slice(), "{report} {changed}: {found:?}");
    }
    Ok(())
}

/// What `farosctl ports` says of an example.
fn ports(site: &Site, example: &str, role: &str, output: &str) -> anyhow::Result<String> {
    let file = root().join(format!("examples/{example}.yaml"));
    let words = ["ports", "--role", role, "--output", output];
    let file = file.to_str().context("a path that is text")?;
    let (said, code) = site.farosctl(&[&words[..], &[file]].concat())?;
    ensure!(code == 0, "{said}");
    Ok(said)
}

/// What firewalld says of a folder of its settings.
fn firewalld(folder: &std::path::Path) -> anyhow::Result<(bool, String)> {
    let said = Command::new("firewall-offline-cmd")
        .arg("--system-config")
        .arg(folder)
        .arg("--check-config")
        .output()
        .context("install the Debian package firewalld")?;
    let text = [said.stdout, said.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    // A rule that it does not understand is worth a warning to it, and no more.
    Ok((said.status.success() && !text.contains("INVALID"), text))
}

#[test]
fn other_programs_accept_the_filters_of_every_role_of_every_example() -> anyhow::Result<()> {
    let site = cluster("t-ports-others")?;
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("zones"))?;
    fs::write(folder.path().join("firewalld.conf"), "DefaultZone=public\n")?;
    let (zone, rules) = (
        folder.path().join("zones/faros.xml"),
        folder.path().join("node.nft"),
    );
    for example in ["smallest", "branch-office", "everything", "three-nodes"] {
        for role in ["control-plane", "worker", "meta-worker", "frontend", "arbiter"] {
            fs::write(&rules, ports(&site, example, role, "nft")?)?;
            let said = Command::new("unshare")
                .args(["-n", "nft", "-c", "-f"])
                .arg(&rules)
                .output()?;
            ensure!(
                said.status.success(),
                "{example} {role}: {}",
                String::from_utf8_lossy(&said.stderr)
            );
            fs::write(&zone, ports(&site, example, role, "firewalld")?)?;
            let (is_right, said) = firewalld(folder.path())?;
            ensure!(is_right, "{example} {role}: {said}");
        }
        let script = folder.path().join("groups.sh");
        fs::write(&script, ports(&site, example, "worker", "openstack")?)?;
        let said = Command::new("sh").arg("-n").arg(&script).output()?;
        ensure!(
            said.status.success(),
            "{example}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    // It does look at the zone.
    fs::write(
        &zone,
        fs::read_to_string(&zone)?.replace("port=\"22\"", "port=\"ssh-or-so\""),
    )?;
    let (is_right, said) = firewalld(folder.path())?;
    ensure!(!is_right, "firewalld takes anything: {said}");
    Ok(())
}
