//! How the cost grows with the site (nodes, of which each has names, a reservation and a config; names alone), and with
//! use (leases that are held, history that is kept).
//!
//! A start is over when the last service was ready, by farosd's own events.

use std::{
    fmt::Write as _,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, ensure};
use faros_lab::{Lab, daemon};

use crate::{
    cpu::Spent,
    dhcp::{self, Clients},
    figures::Figure,
    footprint::{pss_mib, until_ready},
    place::{Place, inside, said},
    storm,
    work::{Bench, Contender, Router, Work},
};

/// What is measured of one size.
struct Size {
    start: Figure,
    memory: Figure,
    apply: Figure,
    /// An own name, an exchange, or a look at the history.
    one: Option<Figure>,
}

const NODES: [(usize, Size); 3] = [
    (
        4,
        Size {
            start: Figure::less("start, 4 nodes", "ms"),
            memory: Figure::less("memory (PSS), 4 nodes", "MiB"),
            apply: Figure::less("apply with nothing to do, 4 nodes", "ms"),
            one: None,
        },
    ),
    (
        40,
        Size {
            start: Figure::less("start, 40 nodes", "ms"),
            memory: Figure::less("memory (PSS), 40 nodes", "MiB"),
            apply: Figure::less("apply with nothing to do, 40 nodes", "ms"),
            one: None,
        },
    ),
    (
        400,
        Size {
            start: Figure::less("start, 400 nodes", "ms"),
            memory: Figure::less("memory (PSS), 400 nodes", "MiB"),
            apply: Figure::less("apply with nothing to do, 400 nodes", "ms"),
            one: None,
        },
    ),
];

const NAMES: [(usize, Size); 2] = [
    (
        10,
        Size {
            start: Figure::less("start, 10 names", "ms"),
            memory: Figure::less("memory (PSS), 10 names", "MiB"),
            apply: Figure::less("apply with nothing to do, 10 names", "ms"),
            one: Some(Figure::less("CPU of a name, 10 names", "us")),
        },
    ),
    (
        5000,
        Size {
            start: Figure::less("start, 5,000 names", "ms"),
            memory: Figure::less("memory (PSS), 5,000 names", "MiB"),
            apply: Figure::less("apply with nothing to do, 5,000 names", "ms"),
            one: Some(Figure::less("CPU of a name, 5,000 names", "us")),
        },
    ),
];

pub(crate) struct WithSite;

impl Work for WithSite {
    fn name(&self) -> &'static str {
        "growth with the site"
    }

    fn is_long(&self) -> bool {
        true
    }

    fn is_in_quick(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let lab = &bench.lab;
        let place = &contender.place;
        let mut figures = Vec::new();
        let plain = std::fs::read_to_string(bench.site_file(Router::On)?)?;
        let (head, rest) = plain.split_once("  nodes:\n").context("the site has no nodes")?;
        let (_, tail) = rest.split_once("  unlock:").context("the site unlocks nothing")?;
        for (count, size) in NODES {
            let text = format!("{head}  nodes:\n{}  unlock:{tail}", nodes(count));
            let file = place.write("grown.yaml", &text)?;
            lab.apply(&file)?;
            figures.extend(size.measure(lab, || lab.apply(&file))?);
        }
        let alias = "      - {name: registry, cname: bastion}\n";
        let client = place.client()?;
        for (count, size) in NAMES {
            let records = (0..count).fold(String::new(), |text, n| {
                text + &format!("      - {{name: alias-{n}, cname: bastion}}\n")
            });
            let file = place.write("grown.yaml", &plain.replace(alias, &records))?;
            lab.apply(&file)?;
            figures.extend(size.measure(lab, || lab.apply(&file))?);
            let zone = bench.site.zone();
            let asked = (0..count).fold(String::new(), |text, n| text + &format!("alias-{n}.{zone} A\n"));
            let asked = place.write("grown.txt", &asked)?;
            let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
            let before = Spent::by(&[pid]);
            let (server, asked) = (place.address.to_string(), asked.to_string_lossy());
            let words = [
                "dnsperf", "-s", &server, "-d", &asked, "-c", "8", "-T", "1", "-q", "100", "-l", "2",
            ];
            let text = said(inside(&client, &words).output())?;
            let answered = text.lines().find_map(|line| {
                line.trim()
                    .strip_prefix("Queries completed:")?
                    .split_whitespace()
                    .next()
            });
            let answered: f64 = answered.context("dnsperf tells nothing")?.parse()?;
            let spent = Spent::by(&[pid]).since(&before);
            figures.extend(
                size.one
                    .map(|figure| (figure, spent.as_secs_f64() * 1e6 / answered)),
            );
        }
        lab.apply(&bench.site_file(Router::Off)?)?;
        Ok(figures)
    }
}
/// What the second lab is called: who held addresses before would be in the way.
pub(crate) const LAB: &str = "bench-use";
/// As much of the history as is kept.
const HISTORY: u64 = 200_000;

const TEN: Size = Size {
    start: Figure::less("start, 10 leases", "ms"),
    memory: Figure::less("memory (PSS), 10 leases", "MiB"),
    apply: Figure::less("apply with nothing to do, 10 leases", "ms"),
    one: Some(Figure::less("CPU of an exchange, 10 leases", "us")),
};
const MANY: Size = Size {
    start: Figure::less("start, 10,000 leases", "ms"),
    memory: Figure::less("memory (PSS), 10,000 leases", "MiB"),
    apply: Figure::less("apply with nothing to do, 10,000 leases", "ms"),
    one: Some(Figure::less("CPU of an exchange, 10,000 leases", "us")),
};
const FULL: Size = Size {
    start: Figure::less("start, 200,000 events", "ms"),
    memory: Figure::less("memory (PSS), 200,000 events", "MiB"),
    apply: Figure::less("apply with nothing to do, 200,000 events", "ms"),
    one: Some(Figure::less("CPU of an exchange, 200,000 events", "us")),
};
const STORY: [Figure; 2] = [
    Figure::less("timeline of a node, 10 leases", "ms"),
    Figure::less("timeline of a node, 200,000 events", "ms"),
];
const DATABASE: Figure = Figure::less("database, 200,000 events", "MiB");

/// Leases first, then history on top of them.
pub(crate) struct WithUse;

impl Work for WithUse {
    fn name(&self) -> &'static str {
        "growth with use"
    }

    fn is_long(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let file = contender.place.write("use.yaml", &storm::site_text(bench)?)?;
        let lab = Lab::up(LAB, &file)?;
        let figures = used(bench, contender, &lab, &file);
        Lab::down(LAB)?;
        figures
    }
}

fn used(
    bench: &Bench,
    contender: &Contender,
    lab: &Lab,
    file: &std::path::Path,
) -> anyhow::Result<Vec<(Figure, f64)>> {
    let place = Place::around(LAB, &bench.site, contender.place.folder())?;
    let client = place.client()?;
    let strangers = |count, rate| Clients {
        count,
        first: None,
        rate,
        seconds: 1,
        renewals: 0.0,
    };
    let measure = |size: &Size, count| -> anyhow::Result<Vec<(Figure, f64)>> {
        let mut figures = size.measure(lab, || lab.apply(file))?;
        let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
        let before = Spent::by(&[pid]);
        let came = dhcp::exchange(&client, strangers(count, 500.0))?;
        let spent = Spent::by(&[pid]).since(&before);
        figures.extend(
            size.one
                .map(|figure| (figure, spent.as_secs_f64() * 1e6 / came.finished)),
        );
        Ok(figures)
    };
    let story = || -> anyhow::Result<f64> {
        let begun = Instant::now();
        said(lab.farosctl_command()?.args(["timeline", "m-1"]).output())?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    // Every node has had an address, so that there is something to tell.
    let nodes = |rate| Clients {
        count: storm::MACHINES.into(),
        first: Some(storm::FIRST),
        ..strangers(0, rate)
    };
    dhcp::exchange(&client, nodes(300.0))?;
    let mut figures = measure(&TEN, 10)?;
    figures.push((STORY[0], story()?));

    // perfdhcp always begins with the same ones.
    for seconds in [8, 16, 32] {
        if leases(lab)? < 10_000 {
            let new = Clients {
                seconds,
                ..strangers(1_000_000, 1500.0)
            };
            dhcp::exchange(&client, new)?;
        }
    }
    ensure!(leases(lab)? >= 10_000, "there are not enough leases");
    figures.extend(measure(&MANY, 10_000)?);

    fill_history(lab, &client)?;
    figures.extend(measure(&FULL, 10_000)?);
    figures.push((STORY[1], story()?));
    figures.push((DATABASE, database_mib(lab)));
    Ok(figures)
}

/// How many leases there are.
fn leases(lab: &Lab) -> anyhow::Result<usize> {
    let text = said(
        lab.farosctl_command()?
            .args(["leases", "--output", "json"])
            .output(),
    )?;
    Ok(text.matches("\"address\"").count())
}

/// Has the nodes of a storm ask for their addresses until as much has happened as is remembered.
pub(crate) fn fill_history(lab: &Lab, client: &str) -> anyhow::Result<()> {
    let before = last_event(lab)?;
    let deadline = Instant::now() + Duration::from_mins(3);
    while last_event(lab)? < before + HISTORY {
        ensure!(Instant::now() < deadline, "the history does not fill up");
        let nodes = Clients {
            count: storm::MACHINES.into(),
            first: Some(storm::FIRST),
            rate: 1500.0,
            seconds: 4,
            renewals: 0.0,
        };
        dhcp::exchange(client, nodes)?;
    }
    Ok(())
}

/// The number of the last event.
fn last_event(lab: &Lab) -> anyhow::Result<u64> {
    let words = ["events", "--output", "json", "--limit", "1"];
    let text = said(lab.farosctl_command()?.args(words).output())?;
    let event: serde_json::Value = serde_json::from_str(&text)?;
    event["seq"].as_u64().context("an event has no number")
}

/// What the database takes on disk, its log included.
pub(crate) fn database_mib(lab: &Lab) -> f64 {
    let folder = lab.folder().state_dir();
    let mut bytes = 0;
    for name in ["faros.db", "faros.db-wal"] {
        bytes += std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

impl Size {
    /// Starts farosd anew, and applies what runs.
    fn measure(
        &self,
        lab: &Lab,
        apply: impl Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<(Figure, f64)>> {
        daemon::stop(lab.folder(), false)?;
        let begun = SystemTime::now();
        daemon::start(lab.name(), lab.folder())?;
        lab.wait_until_ready()?;
        let start = until_ready(lab, begun)?;
        let begun = Instant::now();
        apply()?;
        let apply = begun.elapsed().as_secs_f64() * 1000.0;
        let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
        Ok(vec![
            (self.start, start),
            (self.apply, apply),
            (self.memory, pss_mib(pid)?),
        ])
    }
}

/// So many nodes, of which the first three are the control plane.
fn nodes(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let roles = if n < 3 { "control-plane, worker" } else { "worker" };
        let (high, low) = (n / 200, n % 200 + 10);
        let _ = writeln!(
            text,
            "    - {{name: node-{n}, roles: [{roles}], bootMac: \"52:54:00:09:{high:02x}:{low:02x}\", address: \
             10.9.{}.{low}}}",
            high + 4
        );
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_an_address_of_its_own() {
        let text = nodes(400);
        let addresses: std::collections::BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once("address: "))
            .map(|(_, address)| address)
            .collect();
        assert_eq!(addresses.len(), 400);
    }
}
