//! What is left when twice as much comes as can be done: of the work itself, and of another service.
//!
//! Questions and discoveries come at twice the rate that went well just before, whether or not they are answered.

use std::{
    net::{SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use faros_bench::load::{self, Load, enter};
use faros_lab::daemon;
use faros_model::ports::{DNS, UNLOCK};

use crate::{
    dhcp,
    dns::config::Names,
    figures::{Figure, Target},
    footprint::pss_mib,
    tang,
    work::{Bench, Contender, Work},
};

const NAMES: Figure = Figure::more("own names at twice the rate, of those at the rate", "");
const LEASES: Figure = Figure::more("exchanges at twice the rate, of those at the rate", "");
const ALONE: Figure = Figure::less("recovery of a key, p50, alone", "ms");
const BESIDE: Figure = Figure::less("recovery of a key, p50, in a flood of names", "ms");
const BESIDE_P99: Figure = Figure::less("recovery of a key, p99, in a flood of names", "ms");
const MEMORY: Figure = Figure::less("memory (PSS) after it", "MiB");

pub(crate) struct Overload;

impl Work for Overload {
    fn name(&self) -> &'static str {
        "overload"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        Ok(vec![bench.ours()?])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let client = contender.place.client()?;
        let seconds = if bench.quick { 1 } else { 3 };
        let to = SocketAddrV4::new(contender.place.address, DNS);
        let questions = questions(&Names::of(&bench.site));
        let flood = |rate| {
            let flood = Flood {
                to,
                questions: questions.clone(),
                rate,
                lasts: Duration::from_secs(seconds),
            };
            enter(&client, move || flood.put_on())
        };
        // The rate at which all but a few are answered.
        let (mut rate, mut peak) = (10_000.0, 0.0_f64);
        loop {
            let answered = flood(rate)?;
            peak = peak.max(answered);
            if answered < 0.98 * rate {
                break;
            }
            rate *= 1.4;
        }
        let overloaded = flood(2.0 * peak)?;

        let unlock = SocketAddrV4::new(contender.place.address, UNLOCK);
        let load = Load {
            to: unlock,
            from: vec![],
            request: tang::request(&client, unlock)?,
            clients: 1,
            requests: if bench.quick { 100 } else { 400 },
        };
        let alone = load::inside(&client, load.clone())?;
        let flood = Flood {
            to,
            questions,
            rate: peak / 2.0,
            lasts: Duration::from_mins(1),
        };
        let (stop, inside) = (Arc::new(AtomicBool::new(false)), client.clone());
        let told = Arc::clone(&stop);
        let flooding = thread::spawn(move || enter(&inside, move || flood.until(&told)));
        let beside = load::inside(&client, load);
        stop.store(true, Ordering::Relaxed);
        flooding
            .join()
            .map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        let beside = beside?;
        let milliseconds = |came: &load::Came, hundredths| came.percentile(hundredths).as_secs_f64() * 1e3;

        let leases = dhcp::at_twice_the_rate(&client)?;
        let pid = daemon::pid(bench.lab.folder()).context("farosd does not run")?;
        Ok(vec![
            (NAMES, overloaded / peak),
            (LEASES, leases),
            (ALONE, milliseconds(&alone, 50)),
            (BESIDE, milliseconds(&beside, 50)),
            (BESIDE_P99, milliseconds(&beside, 99)),
            (MEMORY, pss_mib(pid)?),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(NAMES.name, 0.9),
                Target::value(LEASES.name, 0.9),
                Target::value(MEMORY.name, 32.0),
            ]
        }
    }
}

/// Questions that come at a rate, and do not wait for answers.
#[derive(Clone)]
struct Flood {
    to: SocketAddrV4,
    questions: Vec<Vec<u8>>,
    /// A second.
    rate: f64,
    lasts: Duration,
}

impl Flood {
    /// How many are answered a second.
    fn put_on(&self) -> anyhow::Result<f64> {
        self.until(&AtomicBool::new(false))
    }

    fn until(&self, stop: &AtomicBool) -> anyhow::Result<f64> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(self.to)?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        let answers = socket.try_clone()?;
        let counting = thread::spawn(move || {
            let (mut buffer, mut n_answers) = ([0; 2048], 0_u32);
            while answers.recv(&mut buffer).is_ok() {
                n_answers += 1;
            }
            n_answers
        });
        let begun = Instant::now();
        let mut questions = self.questions.iter().cycle();
        let mut sent = 0.0;
        while begun.elapsed() < self.lasts && !stop.load(Ordering::Relaxed) {
            let due = begun.elapsed().as_secs_f64() * self.rate;
            while sent < due {
                let question = questions.next().context("no questions")?;
                // A full queue loses it, as the network may.
                let _ = socket.send(question);
                sent += 1.0;
            }
            thread::sleep(Duration::from_micros(500));
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let answered = counting
            .join()
            .map_err(|_| anyhow::anyhow!("the client panicked"))?;
        Ok(f64::from(answered) / elapsed)
    }
}

/// The questions on the wire (RFC 1035 section 4), each with a number of its own.
fn questions(names: &Names) -> Vec<Vec<u8>> {
    let texts = names.questions();
    let lines = texts.lines().filter_map(|line| line.strip_suffix(" A"));
    (0_u16..)
        .zip(lines)
        .map(|(id, name)| {
            let [high, low] = id.to_be_bytes();
            let mut bytes = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.trim_end_matches('.').split('.') {
                bytes.push(u8::try_from(label.len()).unwrap_or(0));
                bytes.extend(label.bytes());
            }
            bytes.extend([0, 0, 1, 0, 1]);
            bytes
        })
        .collect()
}
