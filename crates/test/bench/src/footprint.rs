//! What farosd costs by being there, all services on: memory, wake-ups, its start, an apply that has nothing to do.
//!
//! Eleven servers on four nodes stand behind the balancer and answer, as on a site that is well. The start is over when the last
//! service was ready, by farosd's own events: asking for it takes longer than it does.

mod stock;

use std::{
    cell::RefCell,
    fs,
    net::SocketAddrV4,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use faros_lab::{Lab, daemon};
use faros_model::event::{Event, EventKind};

use crate::{
    figures::{Figure, Target},
    place::Program,
    work::{Bench, Contender, Router, Work},
};

const START: Figure = Figure::less("start to all services ready", "ms");
const APPLY: Figure = Figure::less("apply with nothing to do, farosctl included", "ms");
const WRITTEN: Figure = Figure::less("written by an apply with nothing to do", "bytes");
const MEMORY: Figure = Figure::less("memory, all services (PSS)", "MiB");
const WAKES: Figure = Figure::less("idle wake-ups, all threads", "1/s");
const INSTALLED: Figure = Figure::less("farosd and farosctl on disk", "MB");

const STOCK: &str = "stock daemons";

/// After a start there is something to do for so long.
const SETTLING: Duration = Duration::from_secs(10);

/// As it is before anybody asks for anything; and the daemons that do the same.
#[derive(Default)]
pub(crate) struct Idle(RefCell<Vec<Contender>>);

impl Work for Idle {
    fn name(&self) -> &'static str {
        "footprint"
    }

    fn router(&self) -> Router {
        Router::Many
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let mut ours = bench.ours()?;
        ours.helpers = servers(bench, &ours)?;
        self.0.replace(stock::start(bench)?);
        Ok(vec![ours, bench.peer(STOCK)?])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let seconds = if bench.quick { 8 } else { 18 };
        if contender.name == STOCK {
            let all = stock::processes(&self.0.borrow())?;
            let memory: f64 = all.iter().map(|pid| pss_mib(*pid)).sum::<anyhow::Result<f64>>()?;
            return Ok(vec![(MEMORY, memory), (WAKES, wake_ups(&all, seconds)?)]);
        }
        let lab = &bench.lab;
        daemon::stop(lab.folder(), false)?;
        let begun = SystemTime::now();
        daemon::start(lab.name(), lab.folder())?;
        lab.wait_until_ready()?;
        // What the start left to do is over, and every server is in.
        thread::sleep(SETTLING);
        let start = until_ready(lab, begun)?;

        let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
        let wakes = wake_ups(&[pid], seconds)?;
        let memory = pss_mib(pid)?;
        let written = written(pid)?;
        let begun = Instant::now();
        lab.apply(&bench.site_file(Router::Many)?)?;
        let apply = milliseconds(begun);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let written = (self::written(pid)? - written) as f64;
        let mut installed = 0;
        for name in ["farosd", "farosctl"] {
            installed += fs::metadata(daemon::program(name)?)?.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
        let installed = installed as f64 / 1e6;
        Ok(vec![
            (MEMORY, memory),
            (WAKES, wakes),
            (START, start),
            (APPLY, apply),
            (WRITTEN, written),
            (INSTALLED, installed),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(MEMORY.name, 14.0),
                Target::value(WAKES.name, 3.0),
                Target::value(START.name, 200.0),
                Target::value(APPLY.name, 50.0),
                Target::value(WRITTEN.name, 0.0),
                Target::value(INSTALLED.name, 25.0),
            ]
        }
    }
}

/// As it is when all other works have been measured on it.
pub(crate) struct Loaded;

impl Work for Loaded {
    fn name(&self) -> &'static str {
        "footprint after all loads"
    }

    fn run(&self, bench: &Bench, _: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let pid = daemon::pid(bench.lab.folder()).context("farosd does not run")?;
        Ok(vec![(MEMORY, pss_mib(pid)?)])
    }

    fn targets(&self) -> &'static [Target] {
        const { &[Target::value(MEMORY.name, 32.0)] }
    }
}

/// The servers behind the balancer, on each node of the site: the API's two, and the ingress' two.
fn servers(bench: &Bench, ours: &Contender) -> anyhow::Result<Vec<Program>> {
    let place = &ours.place;
    let folder = place.folder().display();
    let site = bench.site_of(Router::Many)?;
    let (key, certificate) = bench.server_keys();
    let (key, certificate) = (key.display(), certificate.display());
    let mut servers = Vec::new();
    for node in site.nodes.values() {
        let name = &node.name;
        let namespace = place.node(name.as_str(), node.address, node.boot_mac)?;
        let config = format!(
            "daemon off; user root; worker_processes 1; pid {folder}/{name}-all.pid; error_log {folder}/{name}.log crit;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; keepalive_requests 1000000000;
               client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;
               fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
               server {{ listen 80; return 200 ok; }}
               server {{
                 listen 443 ssl; listen 6443 ssl; listen 22623 ssl;
                 ssl_certificate {certificate}; ssl_certificate_key {key};
                 return 200 ok;
               }}
             }}"
        );
        let file = place.write(&format!("{name}-all.conf"), &config)?;
        let words = ["nginx", "-p", "/usr/share/nginx", "-c", &file.to_string_lossy()];
        let mut server = place.start_in(&namespace, &words)?;
        server.wait_for_tcp(&namespace, SocketAddrV4::new(node.address, 6443))?;
        servers.push(server);
    }
    Ok(servers)
}

/// How long it took until the last service was ready, in milliseconds.
pub(crate) fn until_ready(lab: &Lab, begun: SystemTime) -> anyhow::Result<f64> {
    let output = lab.farosctl(&["events", "--output", "json", "--limit", "500"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let events: Vec<Event> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .with_context(|| format!("events are not understood: {text}"))?;
    let begun = begun.duration_since(UNIX_EPOCH)?.as_nanos();
    let since = |event: &Event| u128::try_from(event.at.as_nanosecond()).ok()?.checked_sub(begun);
    let ready = events
        .iter()
        .filter(|event| event.kind == EventKind::ServiceReady);
    let last = ready.filter_map(since).max();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 ns")]
    let last = last.context("no service was ever ready")? as f64;
    Ok(last / 1e6)
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The process' share of memory, in MiB.
pub(crate) fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: f64 = line
        .context("there is no Pss line")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib / 1024.0)
}

/// Bytes that the process had written to disks, by now.
fn written(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.context("there is no count of bytes")?.trim().parse()?)
}

/// How often the threads of processes woke up, per second.
fn wake_ups(processes: &[u32], seconds: u32) -> anyhow::Result<f64> {
    let all = || {
        processes
            .iter()
            .map(|pid| switches(*pid))
            .sum::<anyhow::Result<u64>>()
    };
    let before = all()?;
    thread::sleep(Duration::from_secs(seconds.into()));
    let after = all()?;
    ensure!(after >= before, "a thread ended while it was measured");
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let woke = (after - before) as f64;
    Ok(woke / f64::from(seconds))
}

fn switches(pid: u32) -> anyhow::Result<u64> {
    let mut all = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("status"))?;
        let own = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += own
            .context("there is no count of switches")?
            .trim()
            .parse::<u64>()?;
    }
    Ok(all)
}
