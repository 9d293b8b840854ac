//! Everything at once, for long: what is held must not grow.
//!
//! All services are asked all the while, each at a rate far below what it can do, by the same few machines. First the
//! history is filled up, because until then it is meant to grow; a quick run has no time for that, and does not tell of
//! the database. Growth is from the middle third to the last one, each by its median.

use std::{
    fs,
    net::SocketAddrV4,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_bench::load::{self, at_rate, enter};
use faros_lab::daemon;
use faros_model::ports::{DNS, NETBOOT_HTTP, NTP, UNLOCK};

use crate::{
    dhcp::{self, Clients},
    figures::{Figure, Target},
    footprint::pss_mib,
    growth::{database_mib, fill_history},
    http, ntp,
    overload::{self, flood},
    storm, tang,
    work::{Bench, Contender, Work},
};

const MEMORY: Figure = Figure::less("growth of memory (PSS)", "MiB");
const DESCRIPTORS: Figure = Figure::less("growth of open descriptors", "");
const THREADS: Figure = Figure::less("growth of threads", "");
const DATABASE: Figure = Figure::less("growth of the database", "MiB");
const ANSWERS: Figure = Figure::more("answers in all", "");
const MINUTES: Figure = Figure::more("minutes", "");
const HELD: Figure = Figure::less("memory (PSS) at the end", "MiB");

pub(crate) struct Soak;

impl Work for Soak {
    fn name(&self) -> &'static str {
        "soak"
    }

    fn is_long(&self) -> bool {
        true
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ours = bench.ours()?;
        let file = ours.place.write("soak.yaml", &storm::site_text(bench)?)?;
        bench.lab.apply(&file)?;
        Ok(vec![ours])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let place = &contender.place;
        let client = place.client()?;
        let bastion = place.address;
        let file = place.folder().join("soak.yaml");
        if !bench.quick {
            fill_history(&bench.lab, &client)?;
        }
        let to = move |port| SocketAddrV4::new(bastion, port);
        let names = flood::Names::of(&bench.site, to(DNS));
        let recovery = tang::request(&client, to(UNLOCK))?;
        let part = load::get(&http::add(bench, &bench.web_root()?.join("part"), "bench/part")?);
        let clocks = Arc::new(AtomicU16::new(0));
        let pid = daemon::pid(bench.lab.folder()).context("farosd does not run")?;

        let (begun, mut answers, mut held) = (Instant::now(), 0.0, Vec::new());
        while begun.elapsed() < bench.soak {
            let (unlock, web) = (to(UNLOCK), to(NETBOOT_HTTP));
            let lasts = Duration::from_secs(2);
            let flood = flood::Flood {
                names: names.clone(),
                rate: 2000.0,
                lasts,
            };
            let inside = client.clone();
            let asking = thread::spawn(move || enter(&inside, move || flood.until(&false.into())));
            let (recovery, part) = (recovery.clone(), part.clone());
            let booted = at_rate(&client, 20.0, lasts, move |n| {
                let (recovery, part) = (recovery.clone(), part.clone());
                async move {
                    storm::loader(overload::machine(n), bastion).await?;
                    overload::ask(n, web, part).await?;
                    overload::ask(n, unlock, recovery).await
                }
            })?;
            // Strangers, which are remembered up to a number, and nodes.
            for first in [None, Some(storm::FIRST)] {
                let clients = Clients {
                    count: storm::MACHINES.into(),
                    first,
                    rate: 100.0,
                    seconds: 1,
                    renewals: 50.0,
                };
                let came = dhcp::exchange(&client, clients)?;
                ensure!(came.finished > 0.0, "nobody had an address");
                answers += came.finished + came.renewed;
            }
            let clock = clocks.fetch_add(20, Ordering::Relaxed) % 14_000;
            let told = enter(&client, move || ntp::ask(to(NTP), clock..clock + 20, 8))?;
            answers += f64::from(told.answers);
            bench.lab.apply(&file)?;
            let answered = asking
                .join()
                .map_err(|_| anyhow::anyhow!("the client panicked"))??;
            ensure!(booted.rate() > 0.0 && answered > 0.0, "nobody was answered");
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let n_booted = booted.took.len() as f64;
            // A loader, a file and a key.
            answers += n_booted * 3.0 + answered * lasts.as_secs_f64();
            held.push(Held::by(bench, pid)?);
        }
        let grown = |of: fn(&Held) -> f64| grown(&held.iter().map(of).collect::<Vec<_>>());
        let mut figures = vec![
            (MEMORY, grown(|held| held.memory)),
            (DESCRIPTORS, grown(|held| held.descriptors)),
            (THREADS, grown(|held| held.threads)),
        ];
        if !bench.quick {
            figures.push((DATABASE, grown(|held| held.database)));
        }
        figures.push((HELD, pss_mib(pid)?));
        figures.push((ANSWERS, answers));
        figures.push((MINUTES, begun.elapsed().as_secs_f64() / 60.0));
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(MEMORY.name, 0.5),
                Target::value(DESCRIPTORS.name, 0.0),
                Target::value(THREADS.name, 0.0),
                Target::value(DATABASE.name, 0.5),
                Target::value(HELD.name, 32.0),
            ]
        }
    }
}

/// What farosd holds.
struct Held {
    memory: f64,
    descriptors: f64,
    threads: f64,
    database: f64,
}

impl Held {
    fn by(bench: &Bench, pid: u32) -> anyhow::Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let count = |of: &str| anyhow::Ok(fs::read_dir(format!("/proc/{pid}/{of}"))?.count() as f64);
        Ok(Self {
            memory: pss_mib(pid)?,
            descriptors: count("fd")?,
            threads: count("task")?,
            database: database_mib(&bench.lab),
        })
    }
}

/// From the median of the middle third to that of the last one.
fn grown(values: &[f64]) -> f64 {
    let third = values.len() / 3;
    let median = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    median(&values[2 * third..]) - median(&values[third..2 * third])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_first_is_no_growth() {
        for (values, growth) in [
            (vec![1.0, 3.0, 9.0, 9.0, 8.0, 9.0, 9.5, 9.5, 9.0], 0.5),
            (vec![], 0.0),
        ] {
            assert!((grown(&values) - growth).abs() < 1e-9, "{values:?}");
        }
    }
}
