//! Connections from the uplink to two web servers on the LAN: routed, by plain nftables, by ours, `HAProxy` and nginx.
//!
//! Who balances has the same two servers behind it, two nginx on hosts with the nodes' addresses. The cables carry big
//! frames, as network cards do. Of a single connection the client and the servers have a core each; who balances in a
//! process has what they leave. "Whole" is the CPU time of all that takes part: client, bastion, servers, and the
//! kernel's packet threads.

mod restart;

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Context as _;
use faros_lab::network::{BASTION_LAN, BASTION_UPLINK, UPLINK_BASTION};
use faros_model::{ids::MacAddr, site::Site};

pub(crate) use self::restart::Restart;
use crate::{
    cpu::{Apart, Cores},
    figures::{Figure, OURS, Summary, Table, Target},
    place::{Place, Program, inside, offload, said},
    sink::{self, Fetch},
    work::{Bench, Contender, Router, Work},
    wrk::Wrk,
};

const P50: Figure = Figure::less("answer, 1 connection, p50", "us");
const P99: Figure = Figure::less("answer, 1 connection, p99", "us");
const ADDED_P50: Figure = Figure::less("added to routing, p50", "us");
const ADDED_P99: Figure = Figure::less("added to routing, p99", "us");
const REQUESTS: Figure = Figure::more("requests on 32 connections", "1/s");
const CONNECTIONS: Figure = Figure::more("connections, 32 at a time", "1/s");
const THROUGHPUT: Figure = Figure::more("one transfer", "Gbit/s");
const CPU: Figure = Figure::less("CPU of the balancer's process", "s/GB");
const WHOLE: Figure = Figure::less("CPU, whole", "s/GB");

const DIRECT: &str = "routed";
const PLAIN: &str = "nftables DNAT";
const HAPROXY: &str = "haproxy";

/// The nodes of the site.
const NODES: [(&str, Ipv4Addr, MacAddr); 2] = [
    (
        "node-1",
        Ipv4Addr::new(10, 9, 0, 11),
        MacAddr([0x52, 0x54, 0, 8, 0, 1]),
    ),
    (
        "node-2",
        Ipv4Addr::new(10, 9, 0, 12),
        MacAddr([0x52, 0x54, 0, 8, 0, 2]),
    ),
];

pub(crate) struct Balancer;

impl Work for Balancer {
    fn name(&self) -> &'static str {
        "balancer"
    }

    fn router(&self) -> Router {
        Router::On
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let routed = kernel(bench, DIRECT, None)?;
        let rules = format!(
            "table ip plain {{
               chain prerouting {{
                 type nat hook prerouting priority dstnat; policy accept;
                 ip daddr {} tcp dport 80 dnat to numgen random mod 2 map {{ 0 : {}, 1 : {} }}
               }}
             }}",
            UPLINK_BASTION, NODES[0].1, NODES[1].1
        );
        let plain = kernel(bench, PLAIN, Some(&rules))?;
        let mut all = vec![routed, plain];
        all.extend(processes(bench)?);
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let to = address(bench, contender);
        let client = contender.place.uplink();
        let wrk = |connections, seconds, headers| {
            let wrk = Wrk {
                connections,
                seconds,
                headers,
            };
            wrk.run(&client, &format!("http://{to}/small"))
        };
        // Where the scheduler has two of those that take part on one core for a while, all that comes then is late; and of a
        // single transfer its whims are a tenth.
        let servers: Vec<u32> = contender.helpers.iter().flat_map(Program::processes).collect();
        let apart = Apart::from(&servers)?;
        let mut bursts = Parts::default();
        for _ in 0..if bench.quick { 1 } else { 6 } {
            bursts.add(|| {
                let one = wrk(1, 1, &[])?;
                Ok([one.microseconds(50)?, one.microseconds(99)?])
            })?;
        }
        drop(apart);
        let many = wrk(32, 1, &[])?;
        let short = wrk(32, 1, &["Connection: close"])?;

        let apart = Apart::from(&servers)?;
        let mut transfers = Parts::default();
        for _ in 0..if bench.quick { 1 } else { 5 } {
            transfers.add(|| {
                let (whole, own) = (Bench::whole_cpu(), bench.server_cpu(contender));
                let fetched = sink::inside(&client, &Fetch::new(to, "/big", 1))?;
                let (own, whole) = (
                    bench.server_cpu(contender).since(&own),
                    Bench::whole_cpu().since(&whole),
                );
                let gigabytes = fetched.gigabytes();
                Ok([
                    gigabytes * 8.0 / fetched.elapsed.as_secs_f64(),
                    own.as_secs_f64() / gigabytes,
                    whole.as_secs_f64() / gigabytes,
                ])
            })?;
        }
        drop(apart);
        let [p50, p99] = bursts.medians()?;
        let [throughput, own, whole] = transfers.medians()?;
        Ok(vec![
            (P50, p50),
            (P99, p99),
            (REQUESTS, many.rate),
            (CONNECTIONS, short.rate),
            (THROUGHPUT, throughput),
            (CPU, own),
            (WHOLE, whole),
        ])
    }

    fn finish(&self, table: &mut Table) {
        table.add_beyond(DIRECT, P50, ADDED_P50);
        table.add_beyond(DIRECT, P99, ADDED_P99);
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::ratio(WHOLE.name, PLAIN, 1.05),
                Target::ratio(THROUGHPUT.name, PLAIN, 0.95),
                Target::ratio(P50.name, PLAIN, 1.1),
                Target::ratio(P99.name, PLAIN, 1.1),
            ]
        }
    }
}

/// A run in short parts. What the machine's host takes while one connection is measured is not spread over all that comes
/// of it, as of many it is: a hundredth of a second of it is all that the slowest hundredth consists of. Parts from which
/// it took something do not count, unless it took from all.
struct Parts<const N: usize>(Vec<(bool, [f64; N])>);

impl<const N: usize> Default for Parts<N> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<const N: usize> Parts<N> {
    fn add(&mut self, part: impl FnOnce() -> anyhow::Result<[f64; N]>) -> anyhow::Result<()> {
        let before = Cores::now();
        let figures = part()?;
        self.0.push((Cores::now().stolen_since(before) == 0, figures));
        Ok(())
    }

    /// Of each figure.
    fn medians(self) -> anyhow::Result<[f64; N]> {
        let is_any_whole = self.0.iter().any(|(is_whole, _)| *is_whole);
        let count = |idx: usize| {
            let counted = self.0.iter().filter(|(is_whole, _)| *is_whole || !is_any_whole);
            Summary::of(counted.map(|(_, figures)| figures[idx]).collect()).map(|own| own.median)
        };
        let mut medians = [0.0; N];
        for (idx, median) in medians.iter_mut().enumerate() {
            *median = count(idx).context("no part was measured")?;
        }
        Ok(medians)
    }
}

/// Where clients find the servers.
fn address(bench: &Bench, contender: &Contender) -> SocketAddrV4 {
    let address = match contender.name {
        DIRECT => NODES[0].1,
        OURS | PLAIN => UPLINK_BASTION.parse().unwrap_or(Ipv4Addr::UNSPECIFIED),
        _ => bench.site.lan.addresses.ingress,
    };
    SocketAddrV4::new(address, 80)
}

/// A peer of which the kernel does the work.
fn kernel(bench: &Bench, name: &'static str, rules: Option<&str>) -> anyhow::Result<Contender> {
    let mut peer = bench.peer(name)?;
    prepare(bench, &mut peer)?;
    if let Some(rules) = rules {
        let file = peer.place.write("rules.nft", rules)?;
        said(inside(&peer.place.bastion(), &["nft", "-f", &file.to_string_lossy()]).output())?;
    }
    Ok(peer)
}

/// Ours, and those of which a process does the work.
fn processes(bench: &Bench) -> anyhow::Result<Vec<Contender>> {
    let mut ours = bench.ours()?;
    let servers = backends(bench, &ours.place)?;
    wide_open(&ours.place)?;
    let mut all = Vec::new();
    let config = haproxy(&bench.site);
    let spliced = config.replace("    mode tcp\n", "    mode tcp\n    option splice-auto\n");
    for (name, config) in [(HAPROXY, config), ("haproxy splice", spliced)] {
        let mut peer = bench.peer(name)?;
        prepare(bench, &mut peer)?;
        let file = peer.place.write("haproxy.cfg", &config)?;
        let words = ["haproxy", "-db", "-f", &file.to_string_lossy()];
        peer.programs.push(peer.place.start(&words)?);
        all.push(peer);
    }
    let mut nginx = bench.peer("nginx stream")?;
    prepare(bench, &mut nginx)?;
    let folder = nginx.place.folder().display().to_string();
    let config = format!(
        "load_module modules/ngx_stream_module.so;
         daemon off; user root; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
         events {{ worker_connections 8192; }}
         stream {{
           upstream nodes {{ server {}:80; server {}:80; }}
           server {{ listen {}:80; proxy_pass nodes; }}
         }}",
        NODES[0].1, NODES[1].1, bench.site.lan.addresses.ingress
    );
    let file = nginx.place.write("nginx.conf", &config)?;
    let words = ["nginx", "-p", "/usr/share/nginx", "-c", &file.to_string_lossy()];
    nginx.programs.push(nginx.place.start(&words)?);
    all.push(nginx);
    for peer in &mut all {
        let (client, to) = (peer.place.uplink(), address(bench, peer));
        for program in &mut peer.programs {
            program.wait_for_tcp(&client, to)?;
        }
    }
    // Whoever asks until the servers are in sees it.
    let (client, to) = (ours.place.uplink(), address(bench, &ours));
    ours.helpers = servers;
    ours.helpers[0].wait_for(&client, move || sink::once(&Fetch::new(to, "/small", 1)).is_ok())?;
    all.insert(0, ours);
    Ok(all)
}

/// Servers behind a peer, and a bastion that forwards.
fn prepare(bench: &Bench, peer: &mut Contender) -> anyhow::Result<()> {
    let place = &peer.place;
    said(inside(&place.bastion(), &["sysctl", "-qw", "net.ipv4.ip_forward=1"]).output())?;
    let lan = bench.site.lan.subnet.to_string();
    said(
        inside(
            &place.uplink(),
            &["ip", "route", "add", &lan, "via", UPLINK_BASTION],
        )
        .output(),
    )?;
    wide_open(place)?;
    let servers = backends(bench, place)?;
    peer.helpers = servers;
    Ok(())
}

/// Many connections one after the other are not to wait for ports or for places in the table of connections.
fn wide_open(place: &Place) -> anyhow::Result<()> {
    let (bastion, uplink) = (place.bastion(), place.uplink());
    for (namespace, setting) in [
        (&bastion, "net.netfilter.nf_conntrack_tcp_timeout_time_wait=2"),
        (&bastion, "net.ipv4.ip_local_port_range=1024 65535"),
        (&uplink, "net.ipv4.ip_local_port_range=1024 65535"),
    ] {
        said(inside(namespace, &["sysctl", "-qw", setting]).output())
            .with_context(|| format!("cannot set {setting}"))?;
    }
    offload(&bastion, BASTION_LAN)?;
    offload(&bastion, BASTION_UPLINK)?;
    offload(&uplink, "eth0")
}

/// The two web servers.
fn backends(bench: &Bench, place: &Place) -> anyhow::Result<Vec<Program>> {
    let root = bench.web_root()?;
    let mut servers = Vec::new();
    for (name, address, mac) in NODES {
        let namespace = place.node(name, address, mac)?;
        offload(&namespace, "eth0")?;
        let folder = place.folder().display();
        let config = format!(
            "daemon off; user root; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log crit;
             events {{ worker_connections 8192; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
               client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;
               fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
               server {{ listen 80; root {}; }}
             }}",
            root.display()
        );
        let file = place.write(&format!("{name}.conf"), &config)?;
        let words = ["nginx", "-p", "/usr/share/nginx", "-c", &file.to_string_lossy()];
        let mut server = place.start_in(&namespace, &words)?;
        server.wait_for_tcp(&namespace, SocketAddrV4::new(address, 80))?;
        servers.push(server);
    }
    Ok(servers)
}

/// What `farosctl render haproxy` prints, without a line in the log for each connection.
pub(crate) fn haproxy(site: &Site) -> String {
    let text = faros_render::haproxy(site);
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("log ") && line.trim() != "option tcplog");
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn what_the_host_took_from_does_not_count_unless_there_is_nothing_else() {
        let taken = (false, [1000.0, 1.0]);
        let parts = Parts(vec![taken, (true, [2.0, 9.0]), (true, [4.0, 7.0])]);
        assert_eq!(format!("{:?}", parts.medians().unwrap()), "[3.0, 8.0]");
        let all = Parts(vec![taken]).medians().unwrap();
        assert_eq!(format!("{all:?}"), "[1000.0, 1.0]");
        assert!(Parts::<2>::default().medians().is_err());
    }
}
