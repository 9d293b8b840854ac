//! Questions for names: as many as are wanted, and one now and then.

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
use faros_model::site::Site;

use crate::dns::config;

/// Between two questions of who only now and then has one.
const NOW_AND_THEN: Duration = Duration::from_millis(3);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Questions, and whom they are for.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    to: SocketAddrV4,
    questions: Arc<Vec<Vec<u8>>>,
}

impl Names {
    pub(crate) fn of(site: &Site, to: SocketAddrV4) -> Self {
        let questions = Arc::new(questions(&config::Names::of(site).questions()));
        Self { to, questions }
    }

    /// Asks until told to stop: how long all but one answer in a hundred took at most, in milliseconds.
    pub(crate) fn now_and_then(&self, stop: &AtomicBool) -> anyhow::Result<f64> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(self.to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut took = Vec::new();
        for question in self.questions.iter().cycle() {
            if stop.load(Ordering::Relaxed) && !took.is_empty() {
                break;
            }
            let begun = Instant::now();
            socket.send(question)?;
            // What is not answered took as long as it was waited for, at least; a late answer is another one's.
            let mut answer = [0; 2048];
            while socket.recv(&mut answer).is_ok() && answer[..2] != question[..2] {}
            took.push(begun.elapsed());
            thread::sleep(NOW_AND_THEN);
        }
        took.sort();
        let rank = (took.len() * 99).div_ceil(100).max(1);
        Ok(took[rank - 1].as_secs_f64() * 1e3)
    }
}

/// Questions that come at a rate, and do not wait for answers.
#[derive(Debug, Clone)]
pub(crate) struct Flood {
    pub(crate) names: Names,
    /// A second.
    pub(crate) rate: f64,
    pub(crate) lasts: Duration,
}

impl Flood {
    /// How many are answered a second, until it is over or told to stop.
    pub(crate) fn until(&self, stop: &AtomicBool) -> anyhow::Result<f64> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(self.names.to)?;
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
        let mut questions = self.names.questions.iter().cycle();
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
fn questions(texts: &str) -> Vec<Vec<u8>> {
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
