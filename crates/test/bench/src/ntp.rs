//! Answers to NTP clients, against Debian's chronyd and a bare echo.
//!
//! Each client asks so often at once as farosd answers without slowing it down, and there are so many that none is
//! back before it may be: an address is what is slowed down.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::ensure;
use faros_bench::load::enter;
use faros_model::ports::NTP;

use crate::{
    figures::{Figure, Target},
    work::{Bench, Contender, Work},
};

const RATE: Figure = Figure::more("answers", "1/s");
const CPU: Figure = Figure::less("CPU of an answer", "us");

/// What one client asks at once; farosd answers 64.
const QUESTIONS: usize = 60;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The number of the next client, for each contender.
#[derive(Default)]
pub(crate) struct Ntp(RefCell<BTreeMap<&'static str, u16>>);

impl Work for Ntp {
    fn name(&self) -> &'static str {
        "ntp"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let mut echo = bench.peer("udp echo")?;
        let to = SocketAddrV4::new(echo.place.address, NTP).to_string();
        echo.programs.push(echo.place.start_control(&["udp-echo", &to])?);
        let mut all = vec![bench.ours()?, chronyd(bench)?, echo];
        for contender in &mut all {
            let (namespace, to) = (
                contender.place.client()?,
                SocketAddrV4::new(contender.place.address, NTP),
            );
            for program in &mut contender.programs {
                program.wait_for(&namespace, move || ask(to, 0..1, 1).is_ok())?;
            }
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let clients = if bench.quick { 500 } else { 2000 };
        // There are 14,000, of which farosd remembers 4096.
        let mut next = self.0.borrow_mut();
        let next = next.entry(contender.name).or_default();
        let first = *next % (14_000 - clients);
        *next = first + clients;
        let to = SocketAddrV4::new(contender.place.address, NTP);
        let namespace = contender.place.client()?;
        let before = bench.server_cpu(contender);
        let came = enter(&namespace, move || ask(to, first..first + clients, QUESTIONS))?;
        let spent = bench.server_cpu(contender).since(&before);
        let answers = f64::from(came.answers);
        Ok(vec![
            (RATE, answers / came.elapsed.as_secs_f64()),
            (CPU, spent.as_secs_f64() * 1e6 / answers),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::ratio(CPU.name, "udp echo", 1.1),
                Target::ratio(CPU.name, "chronyd", 1.0),
            ]
        }
    }
}

pub(crate) fn chronyd(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer("chronyd")?;
    let pid_file = peer.place.folder().join("chronyd.pid");
    let config = format!(
        "allow\nlocal stratum 10\nbindaddress {}\ncmdport 0\nbindcmdaddress /\nuser root\npidfile {}\n",
        peer.place.address,
        pid_file.display()
    );
    let config = peer.place.write("chrony.conf", &config)?;
    // It leaves the clock alone.
    let words = ["chronyd", "-x", "-d", "-f", &config.to_string_lossy()];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

/// What came of asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    pub(crate) answers: u32,
    /// Until the last of them.
    elapsed: Duration,
}

/// Has clients ask one after the other.
///
/// # Errors
/// If one of them is not answered.
pub(crate) fn ask(to: SocketAddrV4, clients: std::ops::Range<u16>, questions: usize) -> anyhow::Result<Came> {
    let (begun, mut n_answers) = (Instant::now(), 0);
    let mut before: Option<UdpSocket> = None;
    for client in clients {
        let [high, low] = client.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(10, 9, 65 + high, low), 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        // Version 4, mode client; the time that it was sent at is to come back.
        let mut question = [0; 48];
        question[0] = 0x23;
        for n in 0..questions {
            question[40..].copy_from_slice(&(n as u64 + 1).to_be_bytes());
            socket.send(&question)?;
        }
        // The server has something to do while answers are read.
        if let Some(before) = before.replace(socket) {
            n_answers += answers(&before, questions)?;
        }
    }
    n_answers += before.map_or(Ok(0), |last| answers(&last, questions))?;
    Ok(Came {
        answers: n_answers,
        elapsed: begun.elapsed(),
    })
}

/// Reads what is answered to so many questions, and counts it.
fn answers(socket: &UdpSocket, questions: usize) -> anyhow::Result<u32> {
    let (mut answer, mut n_answers) = ([0; 128], 0);
    for n in 0..questions {
        let length = socket
            .recv(&mut answer)
            .map_err(|error| anyhow::anyhow!("{n} of {questions} answers: {error}"))?;
        // A kiss-o'-death has stratum 0; an echo is the question.
        ensure!(
            length == 48 && (answer[1] > 0 || answer[0] == 0x23),
            "no answer, but {:02x?}",
            &answer[..length.min(16)]
        );
        n_answers += 1;
    }
    Ok(n_answers)
}
