//! How the cost grows with the site: nodes (each has names, a reservation and a config), and leases that are held.
//!
//! A start is over when the last service was ready, by farosd's own events.

use std::{fmt::Write as _, time::Instant, time::SystemTime};

use anyhow::Context as _;
use faros_lab::daemon;

use crate::{
    figures::Figure,
    footprint::{pss_mib, until_ready},
    work::{Bench, Contender, Router, Work},
};

/// What is measured of one size.
struct Size {
    nodes: usize,
    start: Figure,
    memory: Figure,
    apply: Figure,
}

const SIZES: [Size; 3] = [
    Size {
        nodes: 4,
        start: Figure::less("start, 4 nodes", "ms"),
        memory: Figure::less("memory (PSS), 4 nodes", "MiB"),
        apply: Figure::less("apply with nothing to do, 4 nodes", "ms"),
    },
    Size {
        nodes: 40,
        start: Figure::less("start, 40 nodes", "ms"),
        memory: Figure::less("memory (PSS), 40 nodes", "MiB"),
        apply: Figure::less("apply with nothing to do, 40 nodes", "ms"),
    },
    Size {
        nodes: 400,
        start: Figure::less("start, 400 nodes", "ms"),
        memory: Figure::less("memory (PSS), 400 nodes", "MiB"),
        apply: Figure::less("apply with nothing to do, 400 nodes", "ms"),
    },
];

pub(crate) struct Nodes;

impl Work for Nodes {
    fn name(&self) -> &'static str {
        "growth"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        Ok(vec![bench.ours()?])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let lab = &bench.lab;
        let mut figures = Vec::new();
        let plain = std::fs::read_to_string(bench.site_file(Router::On)?)?;
        for size in SIZES {
            let (head, _) = plain.split_once("  nodes:\n").context("the site has no nodes")?;
            let (_, tail) = plain
                .split_once("  unlock:")
                .context("the site unlocks nothing")?;
            let text = format!("{head}  nodes:\n{}  unlock:{tail}", nodes(size.nodes));
            let file = contender.place.write("grown.yaml", &text)?;
            lab.apply(&file)?;
            daemon::stop(lab.folder(), false)?;
            let begun = SystemTime::now();
            daemon::start(lab.name(), lab.folder())?;
            lab.wait_until_ready()?;
            figures.push((size.start, until_ready(bench, begun)?));
            let begun = Instant::now();
            lab.apply(&file)?;
            figures.push((size.apply, begun.elapsed().as_secs_f64() * 1000.0));
            let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
            figures.push((size.memory, pss_mib(pid)?));
        }
        lab.apply(&bench.site_file(Router::Off)?)?;
        Ok(figures)
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
