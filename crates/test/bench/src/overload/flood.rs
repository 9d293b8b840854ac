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

use anyhow::{Context as _, ensure};
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
    ///
    /// # Errors
    /// If nothing was answered at all: then there is nothing to tell.
    pub(crate) fn now_and_then(&self, stop: &AtomicBool) -> anyhow::Result<f64> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(self.to)?;
        let (mut took, mut n_answered) = (Vec::new(), 0_u32);
        for question in self.questions.iter().cycle() {
            if stop.load(Ordering::Relaxed) && !took.is_empty() {
                break;
            }
            let begun = Instant::now();
            if answered(&socket, question) {
                n_answered += 1;
                took.push(begun.elapsed());
            } else {
                // However soon it was refused: nobody was helped by that.
                took.push(begun.elapsed().max(PATIENCE));
            }
            thread::sleep(NOW_AND_THEN);
        }
        ensure!(n_answered > 0, "not one of {} names was answered", took.len());
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
    /// How many are answered a second, until it is over or told to stop; what comes later does not count.
    pub(crate) fn until(&self, stop: &AtomicBool) -> anyhow::Result<f64> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(self.names.to)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (answers, over) = (socket.try_clone()?, Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&over);
        let counting = thread::spawn(move || {
            let (mut buffer, mut n_answers) = ([0; 2048], 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                // A port that is closed for a while is an error, and no answer.
                if let Ok(length) = answers.recv(&mut buffer)
                    && helps(&buffer[..length])
                {
                    n_answers += 1;
                }
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
        over.store(true, Ordering::Relaxed);
        let answered = counting
            .join()
            .map_err(|_| anyhow::anyhow!("the client panicked"))?;
        Ok(f64::from(answered) / elapsed)
    }
}

/// Whether a question is answered in time.
fn answered(socket: &UdpSocket, question: &[u8]) -> bool {
    let (begun, mut answer) = (Instant::now(), [0; 2048]);
    if socket.send(question).is_err() {
        return false;
    }
    loop {
        // None is left of it, and nobody may wait for no time at all.
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match socket.recv(&mut answer) {
            // A late answer is another one's.
            Ok(length) if answer[..2] != question[..2] || length < 12 => (),
            Ok(length) => return helps(&answer[..length]),
            Err(_) => return false,
        }
    }
}

/// Whether it is an answer that says what is or is not there (RFC 1035 section 4.1.1), and not that one is refused.
fn helps(answer: &[u8]) -> bool {
    let [_, _, flags, code, ..] = answer else {
        return false;
    };
    flags & 0x80 != 0 && matches!(code & 0x0f, 0 | 3)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(to: SocketAddrV4) -> Names {
        let questions = Arc::new(questions("a.example. A\nb.example. A\n"));
        Names { to, questions }
    }

    fn at(socket: &UdpSocket) -> anyhow::Result<SocketAddrV4> {
        match socket.local_addr()? {
            std::net::SocketAddr::V4(at) => Ok(at),
            std::net::SocketAddr::V6(at) => anyhow::bail!("{at}"),
        }
    }

    /// Answers with these flags for as long as the test runs.
    fn server(code: u8) -> anyhow::Result<SocketAddrV4> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let to = at(&socket)?;
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                (buffer[2], buffer[3]) = (0x80, code);
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        Ok(to)
    }

    #[test]
    fn a_port_that_is_closed_answers_nothing() -> anyhow::Result<()> {
        // It is free again once its socket is gone.
        let to = at(&UdpSocket::bind("127.0.0.1:0")?)?;
        let came = names(to).now_and_then(&true.into());
        assert_eq!(
            came.map_err(|error| error.to_string()),
            Err("not one of 1 names was answered".to_owned())
        );
        let flood = Flood {
            names: names(to),
            rate: 1000.0,
            lasts: Duration::from_millis(200),
        };
        assert!(flood.until(&false.into())? < 1e-9);
        Ok(())
    }

    #[test]
    fn only_what_helps_is_an_answer() -> anyhow::Result<()> {
        for (code, is_answer) in [(0, true), (3, true), (2, false), (5, false)] {
            let names = names(server(code)?);
            assert_eq!(names.now_and_then(&true.into()).is_ok(), is_answer, "{code}");
            let flood = Flood {
                names,
                rate: 1000.0,
                lasts: Duration::from_millis(200),
            };
            assert_eq!(flood.until(&false.into())? > 0.0, is_answer, "{code}");
        }
        Ok(())
    }
}
