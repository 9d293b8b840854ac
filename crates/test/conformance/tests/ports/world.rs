//! Servers that answer on ports, and hosts that try them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, Site, root};

pub(crate) const NODE: &str = "client:node=52:54:00:08:00:01";
pub(crate) const NODE_ADDRESS: &str = "192.168.8.11";
pub(crate) const OTHER_NODE: &str = "client:other=52:54:00:08:00:02";
pub(crate) const PRINTER: &str = "client:printer=52:54:00:08:03:01";
pub(crate) const STRANGER: &str = "client:stranger";

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

/// A site with a cluster: its nodes have filters.
pub(crate) fn cluster(name: &str) -> anyhow::Result<Site> {
    Site::up_with(name, &root().join("examples/three-nodes.yaml"))
}

pub(crate) fn ip(words: &str) -> anyhow::Result<()> {
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

/// Has a host answer on ports, until what is returned goes; returns when it does.
pub(crate) fn answer(site: &mut Site, host: &str, ports: &[u16]) -> anyhow::Result<Running> {
    let mut command = site.in_network(host, &["python3", "-c", ANSWERS])?;
    command.args(ports.iter().map(u16::to_string));
    let mut server = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let mut out = server.0.stdout.take().context("it has an output")?;
    let mut said = [0; 6];
    std::io::Read::read_exact(&mut out, &mut said).context("the server of the test did not start")?;
    Ok(server)
}

/// A port of the node, its protocol, and whether it is open.
pub(crate) type Probe = (u16, &'static str, bool);

/// Fails unless all ports answer somebody, or do not, as they should. What should not is not waited for long.
pub(crate) fn expect(site: &mut Site, from: &str, to: &str, probes: &[Probe]) -> anyhow::Result<()> {
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
pub(crate) fn addresses(site: &mut Site, hosts: &[&str]) -> anyhow::Result<()> {
    for host in hosts {
        site.run(host, &["dhclient", "-4", "-1", "eth0"])?;
    }
    Ok(())
}

/// The ports that nmap was answered on, be it that nobody listens.
pub(crate) fn passing(said: &str) -> Vec<u16> {
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
