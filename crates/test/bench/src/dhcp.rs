//! Addresses: exchanges of four messages from a wide pool, against ISC dhcpd, Kea and dnsmasq.
//!
//! Debian's `perfdhcp` must be content with each of them, and asks for renewals; but it takes more than a core for what
//! one can answer, so floods are put on by less. Clients that were there before come at a rate that is raised by a seventh
//! until one exchange in a hundred is not finished within a second, or fewer are finished than come; the last rate that
//! went well counts, and the server's CPU time at that rate. Ours and dhcpd have every lease on disk before they promise
//! it; Kea appends without waiting for the disk, dnsmasq writes its file anew. What the disk does by itself is measured in
//! the same rounds, because it is not the same from hour to hour.

mod flood;
pub(crate) mod message;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use self::flood::{CLIENTS, flood};
use crate::{
    figures::{Figure, Target},
    place::inside,
    work::{Bench, Contender, Work},
};

const RATE: Figure = Figure::more("exchanges", "1/s");
const CPU: Figure = Figure::less("CPU of an exchange", "us");
const RENEWED: Figure = Figure::more("renewals beside exchanges, of 150", "1/s");
const RENEWAL_CPU: Figure = Figure::less("CPU of an exchange and a renewal", "us");

const DHCPD: &str = "isc dhcpd";
const KEA: &str = "kea";
/// The least that is durable.
const STUB: &str = "group commit";
/// What the disk does, with no server before it.
const DISK: &str = "fdatasync alone";
const SYNCS: Figure = Figure::more("lines synced one by one", "1/s");

/// Renewals come at a rate that every server takes.
const RENEWALS: f64 = 150.0;

/// The rate that is tried first.
const FIRST: f64 = 1000.0;
/// Between two rates that are tried: to find about where the most is, and where that is known.
const WIDE: f64 = 1.7;
const FINE: f64 = 1.15;
const SECOND: Duration = Duration::from_secs(1);
/// More than that is not tried.
const MOST: f64 = 40_000.0;

/// The rate that each was last seen to take.
#[derive(Default)]
pub(crate) struct Dhcp(RefCell<BTreeMap<&'static str, f64>>);

impl Work for Dhcp {
    fn name(&self) -> &'static str {
        "dhcp"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ours = bench.ours()?;
        for folder in [bench.lab.status().state_dir, ours.place.folder().to_owned()] {
            let kind = rustix::fs::statfs(&folder)?.f_type;
            // linux/magic.h
            ensure!(
                kind != 0x0102_1994,
                "{} is in memory, where nothing is durable",
                folder.display()
            );
        }
        let disk = bench.peer(DISK)?;
        let mut all = vec![
            ours,
            dhcpd(bench)?,
            kea(bench)?,
            dnsmasq(bench)?,
            stub(bench)?,
            disk,
        ];
        for contender in &mut all {
            let client = contender.place.client()?;
            for program in &mut contender.programs {
                let inside = client.clone();
                // They answer only who asks for an address.
                program.wait_for(&client, move || {
                    exchange(&inside, strangers(10.0, 1)).is_ok_and(|came| came.finished > 0.0)
                })?;
            }
            if contender.name != DISK {
                acquaint(&client, contender.place.address)?;
            }
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        if contender.name == DISK {
            return Ok(vec![(SYNCS, synced(contender.place.folder(), 2 * SECOND)?)]);
        }
        let (client, server) = (contender.place.client()?, contender.place.address);
        let held = self.0.borrow().get(contender.name).copied();
        // What went well before; the first time from the bottom, in wide and short steps.
        let (mut rate, step, lasts) =
            held.map_or((FIRST, WIDE, SECOND * 3 / 4), |held| (held, FINE, 2 * SECOND));
        let mut best: Option<(f64, f64, f64)> = None;
        let mut too_much = MOST;
        loop {
            let before = bench.server_cpu(contender);
            let came = flood(&client, server, rate, lasts)?;
            let spent = bench.server_cpu(contender).since(&before);
            if came.went_well() {
                let cpu = spent.as_secs_f64() * 1e6 / f64::from(came.finished);
                best = Some((rate, came.rate, cpu));
            } else {
                too_much = too_much.min(rate);
                // What is still on its way would be in the way.
                thread::sleep(SECOND);
            }
            let Some((held, ..)) = best else {
                ensure!(rate > 20.0, "no rate goes well: at {rate:.0} {came:?}");
                rate /= step;
                continue;
            };
            rate = held * step;
            if rate > 0.99 * too_much {
                break;
            }
        }
        let (rate, done, cpu) = best.context("no rate goes well")?;
        self.0.borrow_mut().insert(contender.name, rate);
        let mut figures = vec![(RATE, done), (CPU, cpu)];
        if contender.name != STUB {
            let seconds = if held.is_some() { 2 } else { 1 };
            let before = bench.server_cpu(contender);
            let came = exchange(
                &client,
                Clients {
                    renewals: RENEWALS,
                    ..strangers(RENEWALS, seconds)
                },
            )?;
            let spent = bench.server_cpu(contender).since(&before);
            ensure!(
                came.finished > 0.0,
                "no exchange is finished beside renewals: {came:?}"
            );
            figures.push((RENEWED, came.renewed / f64::from(seconds)));
            figures.push((RENEWAL_CPU, spent.as_secs_f64() * 1e6 / came.finished));
        }
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::ratio(RATE.name, DHCPD, 7.0),
                Target::ratio(RATE.name, STUB, 0.85),
                Target::ratio(CPU.name, KEA, 0.5),
            ]
        }
    }
}

/// How often a second the disk has a line more for good, each waited for: what a server does that syncs each lease.
fn synced(folder: &Path, lasts: Duration) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("lines"))?;
    let (begun, mut n_synced) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        file.write_all(&[b'.'; 128])?;
        file.sync_data()?;
        n_synced += 1;
    }
    Ok(f64::from(n_synced) / begun.elapsed().as_secs_f64())
}

/// Has the server know all clients before anything counts. To be new is another matter: farosd looks for half a second
/// whether anyone has the address.
pub(crate) fn acquaint(client: &str, server: Ipv4Addr) -> anyhow::Result<()> {
    let rate = f64::from(CLIENTS) / 2.0;
    for _ in 0..5 {
        if flood(client, server, rate, 2 * SECOND)?.finished >= CLIENTS {
            return Ok(());
        }
    }
    anyhow::bail!("not all of {CLIENTS} clients got an address")
}

/// How many a second are finished while clients that it knows come at a rate.
pub(crate) fn finished(client: &str, server: Ipv4Addr, rate: f64) -> anyhow::Result<f64> {
    Ok(flood(client, server, rate, SECOND)?.rate)
}

/// Clients that come at a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clients<'a> {
    /// How many there are; who comes again has the same address.
    pub(crate) count: u32,
    /// The MAC of the first of them, if it matters.
    pub(crate) first: Option<&'a str>,
    /// A second.
    pub(crate) rate: f64,
    pub(crate) seconds: u32,
    /// So many others, that came before, renew what they have meanwhile; a second.
    pub(crate) renewals: f64,
}

/// Others each time, for as long as there are any, at a rate.
const fn strangers(rate: f64, seconds: u32) -> Clients<'static> {
    Clients {
        count: 20_000,
        first: None,
        rate,
        seconds,
        renewals: 0.0,
    }
}

/// What comes of it when they do.
pub(crate) fn exchange(client: &str, clients: Clients<'_>) -> anyhow::Result<Came> {
    let [rate, renewals] = [clients.rate, clients.renewals].map(|rate| format!("{rate:.0}"));
    let [count, seconds] = [clients.count, clients.seconds].map(|n| n.to_string());
    let first = clients.first.map(|mac| format!("mac={mac}"));
    let mut words = vec![
        "perfdhcp", "-4", "-l", "eth0", "-r", &rate, "-R", &count, "-p", &seconds, "-W", "1000000",
    ];
    if renewals != "0" {
        words.extend(["-f", &renewals]);
    }
    if let Some(first) = &first {
        words.extend(["-b", first]);
    }
    // It ends with 3 if anything was lost.
    let output = inside(client, &words).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("perfdhcp said: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// What `perfdhcp` tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Came {
    pub(crate) finished: f64,
    pub(crate) renewed: f64,
}

fn parse(text: &str) -> Option<Came> {
    let number = |line: &str| line.split_whitespace().next()?.parse::<f64>().ok();
    let of = |exchange: &str, key: &str| {
        let mut lines = text.lines();
        lines.find(|line| line.trim_end_matches('*').ends_with(exchange))?;
        number(lines.find_map(|line| line.strip_prefix(key))?)
    };
    let request = "REQUEST-ACK";
    Some(Came {
        finished: of(request, "received packets: ")?,
        renewed: of("REQUEST-ACK (renewal)", "received packets: ").unwrap_or(0.0),
    })
}

/// A server that does nothing but keep leases.
fn stub(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer(STUB)?;
    let (own, first) = (peer.place.address, bench.site.lan.dynamic_range.first());
    let leases = peer.place.write("leases", "")?;
    let words = [
        "dhcp",
        &own.to_string(),
        &first.to_string(),
        &leases.to_string_lossy(),
    ];
    peer.programs.push(peer.place.start_control(&words)?);
    Ok(peer)
}

/// Each lease on disk before it is promised: by default dhcpd would give one that is younger than a fourth of its time
/// again without writing it.
pub(crate) fn dhcpd(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer(DHCPD)?;
    let (lan, place) = (&bench.site.lan, &peer.place);
    let config = format!(
        "authoritative; ping-check false; dhcp-cache-threshold 0; default-lease-time 43200; max-lease-time 43200;
         subnet {} netmask {} {{
           range {} {};
           option routers {address}; option domain-name-servers {address}; option ntp-servers {address};
           option domain-name \"{}\";
         }}\n",
        lan.subnet.network(),
        lan.subnet.netmask(),
        lan.dynamic_range.first(),
        lan.dynamic_range.last(),
        bench.site.zone(),
        address = place.address,
    );
    let config = place.write("dhcpd.conf", &config)?;
    let leases = place.write("dhcpd.leases", "")?;
    let words = [
        "dhcpd",
        "-f",
        "-4",
        "--no-pid",
        "-cf",
        &config.to_string_lossy(),
        "-lf",
        &leases.to_string_lossy(),
        faros_lab::network::BASTION_LAN,
    ];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

fn kea(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer(KEA)?;
    let (lan, folder) = (&bench.site.lan, peer.place.folder().display());
    let option = |name: &str, data: &str| serde_json::json!({ "name": name, "data": data });
    let address = peer.place.address.to_string();
    let config = serde_json::json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": [faros_lab::network::BASTION_LAN] },
        "lease-database": { "type": "memfile", "persist": true, "name": format!("{folder}/kea.csv") },
        "valid-lifetime": 43200,
        "option-data": [
            option("routers", &address),
            option("domain-name-servers", &address),
            option("ntp-servers", &address),
            option("domain-name", bench.site.zone().as_str()),
        ],
        "subnet4": [{
            "subnet": lan.subnet.to_string(),
            "pools": [{ "pool": format!("{} - {}", lan.dynamic_range.first(), lan.dynamic_range.last()) }],
        }],
        "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }],
    }});
    let file = peer.place.write("kea.json", &config.to_string())?;
    // Its folders for numbers and locks are not this bastion's own otherwise.
    let (pid, locks) = (
        format!("KEA_PIDFILE_DIR={folder}"),
        format!("KEA_LOCKFILE_DIR={folder}"),
    );
    let words = ["env", &pid, &locks, "kea-dhcp4", "-c", &file.to_string_lossy()];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

fn dnsmasq(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer("dnsmasq dhcp")?;
    let (lan, place) = (&bench.site.lan, &peer.place);
    let config = format!(
        "port=0\nuser=root\npid-file=\nno-ping\ndhcp-authoritative\nquiet-dhcp\ndhcp-lease-max=40000\n\
         dhcp-leasefile={}\ndhcp-range={},{},12h\ndhcp-option=option:ntp-server,{}\ndomain={}\n",
        place.folder().join("dnsmasq.leases").display(),
        lan.dynamic_range.first(),
        lan.dynamic_range.last(),
        place.address,
        bench.site.zone(),
    );
    let file = place.write("dnsmasq.conf", &config)?;
    let config = format!("--conf-file={}", file.display());
    let words = ["dnsmasq", "--keep-in-foreground", &config];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perfdhcp_says_is_understood() {
        let text = "Running: perfdhcp -4 -l eth0 -r 300
***Rate statistics***
Rate: 299.5 4-way exchanges/second, expected rate: 300

***Statistics for: DISCOVER-OFFER***
sent packets: 600
received packets: 598
drops: 2
***Statistics for: REQUEST-ACK***
sent packets: 598
received packets: 597
drops: 1
";
        let came = Came {
            finished: 597.0,
            renewed: 0.0,
        };
        assert_eq!(parse(text), Some(came));
        assert_eq!(parse("Interface eth0 does not exist"), None);
    }
}
