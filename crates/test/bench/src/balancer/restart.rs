//! What becomes of connections when the balancer's process is restarted, as a service manager does.
//!
//! Some connections are kept open and asked before and after; on others a transfer is under way. Meanwhile new ones
//! are opened, one after the other.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use faros_bench::load::enter;
use faros_lab::daemon;

use super::{address, processes};
use crate::{
    figures::{Figure, OURS, Target},
    sink::{self, Fetch},
    work::{Bench, Contender, Router, Work},
};

const IDLE: usize = 200;
const BUSY: usize = 50;
const LOST_IDLE: Figure = Figure::less("open connections lost, of 200", "connections");
const LOST_BUSY: Figure = Figure::less("transfers lost, of 50", "transfers");
const REFUSED: Figure = Figure::less("new connections refused", "connections");

/// A transfer reads so much before the restart.
const FIRST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Restart;

impl Work for Restart {
    fn name(&self) -> &'static str {
        "balancer restart"
    }

    fn router(&self) -> Router {
        Router::On
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        processes(bench)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let (client, to) = (contender.place.uplink(), address(bench, contender));
        let (idle, busy) = enter(&client, move || open(to))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (told, inside) = (Arc::clone(&stop), client.clone());
        let knocking = thread::spawn(move || enter(&inside, move || Ok(knock(to, &told))));
        let restarted = restart(bench, contender);
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        let refused = knocking
            .join()
            .map_err(|_| anyhow::anyhow!("the client panicked"))??;
        restarted?;

        let lost_idle = idle.into_iter().filter_map(|mut own| ask(&mut own).err()).count();
        let lost_busy = busy.into_iter().filter_map(|own| rest(own).err()).count();
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let counts = [lost_idle as f64, lost_busy as f64, refused as f64];
        for program in &mut contender.programs {
            program.wait_for_tcp(&client, to)?;
        }
        Ok(vec![
            (LOST_IDLE, counts[0]),
            (LOST_BUSY, counts[1]),
            (REFUSED, counts[2]),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(LOST_IDLE.name, 0.0),
                Target::value(LOST_BUSY.name, 0.0),
                Target::value(REFUSED.name, 0.0),
            ]
        }
    }
}

fn restart(bench: &Bench, contender: &mut Contender) -> anyhow::Result<()> {
    if contender.name == OURS {
        let lab = &bench.lab;
        daemon::stop(lab.folder(), false)?;
        daemon::start(lab.name(), lab.folder())?;
        return lab.wait_until_ready();
    }
    contender.programs.first_mut().context("no program")?.restart()
}

/// Connections that are open, and ones on which a transfer has begun.
fn open(to: SocketAddrV4) -> anyhow::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut own = TcpStream::connect(to)?;
        own.set_read_timeout(Some(PATIENCE))?;
        ask(&mut own)?;
        idle.push(own);
    }
    let mut busy = Vec::new();
    for _ in 0..BUSY {
        let mut own = TcpStream::connect(to)?;
        own.set_read_timeout(Some(PATIENCE))?;
        // What is under way is to be in the servers, not in the client.
        rustix::net::sockopt::set_socket_recv_buffer_size(&own, 32 << 10)?;
        own.write_all(b"GET /part HTTP/1.1\r\nHost: faros\r\nConnection: close\r\n\r\n")?;
        let mut first = vec![0; FIRST];
        own.read_exact(&mut first)?;
        busy.push(own);
    }
    Ok((idle, busy))
}

/// One request on a connection that stays open.
fn ask(own: &mut TcpStream) -> anyhow::Result<()> {
    own.write_all(b"GET /small HTTP/1.1\r\nHost: faros\r\n\r\n")?;
    let mut answer = [0; 4096];
    let length = own.read(&mut answer)?;
    ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "no answer");
    Ok(())
}

/// The rest of a transfer.
fn rest(mut own: TcpStream) -> anyhow::Result<()> {
    let mut length = FIRST;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match own.read(&mut buffer)? {
            0 => break,
            n => length += n,
        }
    }
    ensure!(length > sink::PART, "{length} bytes of {}", sink::PART);
    Ok(())
}

/// Opens connections until told to stop; how many found nobody.
fn knock(to: SocketAddrV4, stop: &AtomicBool) -> usize {
    let mut refused = 0;
    while !stop.load(Ordering::Relaxed) {
        if sink::once(&Fetch::new(to, "/small", 1)).is_err() {
            refused += 1;
        }
        thread::sleep(Duration::from_millis(2));
    }
    refused
}
