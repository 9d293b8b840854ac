//! What is left when twice as much comes as can be done: of the work itself, and of another service.
//!
//! Work of each kind comes faster and faster until not all of it is done in time; the most that was done is the rate.
//! Then that rate and twice of it come in turn, whether or not anything is answered, while somebody else asks for a name
//! every few milliseconds. Client and server share the machine, so what a client takes to ask twice as much is not the
//! server's.

pub(crate) mod flood;

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use faros_bench::load::{self, Load, at_rate, enter};
use faros_lab::daemon;
use faros_model::ports::{DNS, NETBOOT_HTTP, UNLOCK};

use self::flood::{Flood, Names};
use crate::{
    dhcp,
    figures::{Figure, Summary, Target},
    footprint::pss_mib,
    http, storm, tang,
    work::{Bench, Contender, Work},
};

const NAMES: Figure = Figure::more("own names at twice the rate, of those at the rate", "");
const LEASES: Figure = Figure::more("exchanges at twice the rate, of those at the rate", "");
const FILES: Figure = Figure::more("small files at twice the rate, of those at the rate", "");
const KEYS: Figure = Figure::more("recoveries at twice the rate, of those at the rate", "");
const LOADERS: Figure = Figure::more("loaders by TFTP at twice the rate, of those at the rate", "");
const NAME: Figure = Figure::less("a name, p99, alone", "ms");
const NAME_IN_LEASES: Figure = Figure::less("a name, p99, in twice the exchanges", "ms");
const NAME_IN_FILES: Figure = Figure::less("a name, p99, in twice the files", "ms");
const NAME_IN_KEYS: Figure = Figure::less("a name, p99, in twice the recoveries", "ms");
const NAME_IN_LOADERS: Figure = Figure::less("a name, p99, in twice the loaders", "ms");
const KEY: Figure = Figure::less("a recovery, p50, alone", "ms");
const KEY_IN_NAMES: Figure = Figure::less("a recovery, p50, in twice the names", "ms");
const KEY_IN_NAMES_P99: Figure = Figure::less("a recovery, p99, in twice the names", "ms");
const MEMORY: Figure = Figure::less("memory (PSS) after it", "MiB");

/// How often the rate and twice of it come in turn: one that is measured alone may have a bad second.
const TURNS: usize = 3;
/// Between two of them: what is still on its way would be in the way.
const REST: Duration = Duration::from_millis(500);
/// How long one of those that come may take until it gives up.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Overload;

impl Work for Overload {
    fn name(&self) -> &'static str {
        "overload"
    }

    fn is_long(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let client = contender.place.client()?;
        let bastion = contender.place.address;
        let lasts = Duration::from_secs(if bench.quick { 1 } else { 2 });
        let names = Names::of(&bench.site, SocketAddrV4::new(bastion, DNS));
        let alone = beside(&client, &names, || {
            thread::sleep(lasts);
            Ok(())
        })?;
        let mut figures = vec![(NAME, alone.1)];

        let unlock = SocketAddrV4::new(bastion, UNLOCK);
        let recovery = tang::request(&client, unlock)?;
        figures.extend(in_names(&client, &names, lasts, &recovery, unlock)?);

        dhcp::acquaint(&client, bastion)?;
        let exchanges = |rate| dhcp::finished(&client, bastion, rate);
        let rate = peak((600.0, 1.5), 0.9, exchanges)?;
        let (left, name) = left(&client, &names, rate, exchanges)?;
        figures.extend([(LEASES, left), (NAME_IN_LEASES, name)]);

        let web = SocketAddrV4::new(bastion, NETBOOT_HTTP);
        let small = load::get(&http::add(
            bench,
            &bench.web_root()?.join("small"),
            "bench/small",
        )?);
        let file = move |n| ask(n, web, small.clone());
        let key = move |n| ask(n, unlock, recovery.clone());
        let loader = move |n| async move { storm::loader(machine(n), bastion).await };
        let (left, name) = twice(&client, &names, (500.0, lasts), file)?;
        figures.extend([(FILES, left), (NAME_IN_FILES, name)]);
        let (left, name) = twice(&client, &names, (200.0, lasts), key)?;
        figures.extend([(KEYS, left), (NAME_IN_KEYS, name)]);
        // Each is some fifty questions and answers, of which all that are under way have a share: it takes a while
        // until as many end as begin.
        let (left, name) = twice(&client, &names, (100.0, Duration::from_secs(5)), loader)?;
        figures.extend([(LOADERS, left), (NAME_IN_LOADERS, name)]);

        let pid = daemon::pid(bench.lab.folder()).context("farosd does not run")?;
        figures.push((MEMORY, pss_mib(pid)?));
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(NAMES.name, 0.9),
                Target::value(LEASES.name, 0.9),
                Target::value(FILES.name, 0.9),
                Target::value(KEYS.name, 0.9),
                Target::value(LOADERS.name, 0.9),
                Target::value(MEMORY.name, 32.0),
            ]
        }
    }
}

/// Whoever is the `n`th to ask: five hundred in turn.
pub(crate) fn machine(n: usize) -> Ipv4Addr {
    let n = u16::try_from(n % 500).unwrap_or_default();
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 66, 1)) + u32::from(n))
}

/// One question over HTTP that is to go well.
pub(crate) async fn ask(n: usize, to: SocketAddrV4, request: Vec<u8>) -> anyhow::Result<()> {
    let answer = tokio::time::timeout(PATIENCE, storm::fetch(machine(n), to, &request)).await??;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "refused");
    Ok(())
}

/// What is left of a work when twice as much comes as can be done, and how long a name takes meanwhile.
fn twice<F>(
    client: &str,
    names: &Names,
    (first, lasts): (f64, Duration),
    one: impl Fn(usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<(f64, f64)>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let done = |rate| Ok(at_rate(client, rate, lasts, one.clone())?.rate());
    let peak = peak((first, 1.5), 0.9, done)?;
    left(client, names, peak, done)
}

/// The most that is done when it comes faster by a `step` each time, until less than a `share` of it is done in time.
fn peak(
    (first, step): (f64, f64),
    share: f64,
    done: impl Fn(f64) -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    let (mut rate, mut peak) = (first, 0.0_f64);
    loop {
        let done = done(rate)?;
        peak = peak.max(done);
        if done < share * rate {
            ensure!(peak > 0.0, "nothing is done at any rate");
            return Ok(peak);
        }
        rate *= step;
    }
}

/// What is done at twice a rate, of what is done at the rate; and how long a name takes at twice the rate.
fn left(
    client: &str,
    names: &Names,
    rate: f64,
    done: impl Fn(f64) -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, f64)> {
    let (at, twice) = in_turn(|| done(rate), || beside(client, names, || done(2.0 * rate)))?;
    let (twice, names): (Vec<_>, Vec<_>) = twice.into_iter().unzip();
    Ok((median(twice)? / median(at)?, median(names)?))
}

/// What comes of the rate and of twice the rate.
fn in_turn<T>(
    at: impl Fn() -> anyhow::Result<f64>,
    twice: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<f64>, Vec<T>)> {
    let turns = (0..TURNS).map(|_| {
        thread::sleep(REST);
        let at = at()?;
        thread::sleep(REST);
        Ok((at, twice()?))
    });
    turns.collect()
}

fn median(values: Vec<f64>) -> anyhow::Result<f64> {
    Ok(Summary::of(values).context("nothing was measured")?.median)
}

/// How long the answer to a name takes while other work goes on: all but one in a hundred, in milliseconds.
fn beside<T>(
    client: &str,
    names: &Names,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, f64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (told, inside, names) = (Arc::clone(&stop), client.to_owned(), names.clone());
    let asking = thread::spawn(move || enter(&inside, move || names.now_and_then(&told)));
    let done = work();
    stop.store(true, Ordering::Relaxed);
    let took = asking
        .join()
        .map_err(|_| anyhow::anyhow!("the client panicked"))??;
    Ok((done?, took))
}

/// Names at twice their rate, and recoveries beside them.
fn in_names(
    client: &str,
    names: &Names,
    lasts: Duration,
    recovery: &[u8],
    unlock: SocketAddrV4,
) -> anyhow::Result<Vec<(Figure, f64)>> {
    let flood = |rate, lasts| Flood {
        names: names.clone(),
        rate,
        lasts,
    };
    let put_on = |rate| {
        let flood = flood(rate, lasts);
        enter(client, move || flood.until(&AtomicBool::new(false)))
    };
    let peak = peak((10_000.0, 1.4), 0.95, put_on)?;
    let (at, twice) = in_turn(|| put_on(peak), || put_on(2.0 * peak))?;
    let left = median(twice)? / median(at)?;

    let load = Load {
        to: unlock,
        from: vec![],
        request: recovery.to_owned(),
        clients: 1,
        requests: 100 * usize::try_from(lasts.as_secs())?,
    };
    let alone = helped(load::inside(client, load.clone())?)?;
    let flood = flood(2.0 * peak, Duration::from_mins(1));
    let (stop, inside) = (Arc::new(AtomicBool::new(false)), client.to_owned());
    let told = Arc::clone(&stop);
    let flooding = thread::spawn(move || enter(&inside, move || flood.until(&told)));
    let beside = load::inside(client, load);
    stop.store(true, Ordering::Relaxed);
    flooding
        .join()
        .map_err(|_| anyhow::anyhow!("the flood panicked"))??;
    let beside = helped(beside?)?;
    let milliseconds = |came: &load::Came, hundredths| came.percentile(hundredths).as_secs_f64() * 1e3;
    Ok(vec![
        (NAMES, left),
        (KEY, milliseconds(&alone, 50)),
        (KEY_IN_NAMES, milliseconds(&beside, 50)),
        (KEY_IN_NAMES_P99, milliseconds(&beside, 99)),
    ])
}

/// What came, if everybody was helped.
fn helped(came: load::Came) -> anyhow::Result<load::Came> {
    let all_well = came.statuses.keys().eq(&[200]);
    ensure!(
        came.failed.is_empty() && all_well,
        "not all were helped: {:?} {:?}",
        came.statuses,
        came.failed
    );
    Ok(came)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_beyond_the_rate_that_goes_well() -> anyhow::Result<()> {
        let done = |rate: f64| Ok(rate.min(1000.0));
        assert!((peak((500.0, 1.5), 0.9, done)? - 1000.0).abs() < 1e-9);
        assert!(peak((500.0, 1.5), 0.9, |_| Ok(0.0)).is_err());
        Ok(())
    }
}
