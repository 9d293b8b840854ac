//! Recoveries of disk keys: the unlock service against Debian's `tangd` under socket activation.
//!
//! Both are asked the same question: a key that `jose` made, over a connection of its own for each, as clevis does.
//! `tangd` is started by `systemd-socket-activate --accept --inetd`, once for each connection, as its own
//! `tangd.socket` has it. Ours is told to help anyone, which is what `tangd` does.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddrV4, thread, time::Duration};

use anyhow::{Context as _, ensure};
use faros_bench::load::{self, Load};
use faros_model::ports::UNLOCK;

use crate::{
    figures::{Figure, OURS, Target},
    place::{inside, said},
    work::{Bench, Contender, Work},
};

const PEER: &str = "tangd";
const CPU: Figure = Figure::less("CPU of a recovery, 8 clients", "ms");
const RATE_1: Figure = Figure::more("recoveries, 1 client", "1/s");
const RATE_8: Figure = Figure::more("recoveries, 8 clients", "1/s");
const P50: Figure = Figure::less("recovery, 8 clients, p50", "ms");
const P99: Figure = Figure::less("recovery, 8 clients, p99", "ms");

/// The requests by contender: a key is its server's own.
#[derive(Default)]
pub(crate) struct Tang(RefCell<BTreeMap<&'static str, Vec<u8>>>);

impl Work for Tang {
    fn name(&self) -> &'static str {
        "tang"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ours = bench.ours()?;
        let mut all = vec![ours, tangd(bench)?];
        for contender in &mut all {
            let (client, to) = (contender.place.client()?, server(contender));
            for program in &mut contender.programs {
                program.wait_for_tcp(&client, to)?;
            }
            let request = request(&client, to)?;
            self.0.borrow_mut().insert(contender.name, request);
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let requests = match (contender.name == OURS, bench.quick) {
            (true, false) => 800,
            (true, true) => 300,
            (false, false) => 200,
            (false, true) => 80,
        };
        let load = Load {
            to: server(contender),
            from: vec![],
            request: self.0.borrow().get(contender.name).context("no request")?.clone(),
            clients: 1,
            requests,
        };
        let client = contender.place.client()?;
        let came = |clients| -> anyhow::Result<load::Came> {
            let came = load::inside(
                &client,
                Load {
                    clients,
                    ..load.clone()
                },
            )?;
            let helped = came.statuses.get(&200);
            ensure!(
                helped == Some(&requests),
                "not all were helped: {:?} {:?}",
                came.statuses,
                came.failed
            );
            Ok(came)
        };
        let one = came(1)?;
        let before = bench.server_cpu(contender);
        let eight = came(8)?;
        // The last children have to be waited for, and the last events recorded.
        thread::sleep(Duration::from_millis(500));
        let spent = bench.server_cpu(contender).since(&before);
        let milliseconds = |hundredths| eight.percentile(hundredths).as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let cpu = spent.as_secs_f64() * 1000.0 / requests as f64;
        Ok(vec![
            (CPU, cpu),
            (RATE_1, one.rate()),
            (RATE_8, eight.rate()),
            (P50, milliseconds(50)),
            (P99, milliseconds(99)),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        // Ten times as many recoveries for a second of CPU.
        const { &[Target::ratio(CPU.name, PEER, 0.1)] }
    }
}

/// `tangd` as Debian has it started: once for each connection.
pub(crate) fn tangd(bench: &Bench) -> anyhow::Result<Contender> {
    let mut peer = bench.peer(PEER)?;
    let keys = peer.place.folder().join("keys");
    std::fs::create_dir_all(&keys)?;
    let keys = keys.to_string_lossy().into_owned();
    said(
        std::process::Command::new("/usr/libexec/tangd-keygen")
            .arg(&keys)
            .output(),
    )?;
    let to = server(&peer).to_string();
    let program = "/usr/libexec/tangd";
    let words = [
        "systemd-socket-activate",
        "--accept",
        "--inetd",
        "--listen",
        &to,
        program,
        &keys,
    ];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

fn server(contender: &Contender) -> SocketAddrV4 {
    SocketAddrV4::new(contender.place.address, UNLOCK)
}

/// Learns the key of a server, and makes the question for it.
pub(crate) fn request(client: &str, to: SocketAddrV4) -> anyhow::Result<Vec<u8>> {
    let script = format!(
        "set -euo pipefail
         keys=$(curl -sf http://{to}/adv | jose fmt -j- -Og payload -SyOg keys -AUo-)
         echo \"$keys\" | jose jwk use -i- -r -u deriveKey -o- | jose jwk thp -i- -a S256
         echo
         jose jwk gen -i '{{\"alg\":\"ECMR\"}}' | jose jwk pub -i-"
    );
    let text = said(inside(client, &["bash", "-c", &script]).output())?;
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let (Some(key), Some(body)) = (lines.next(), lines.next()) else {
        anyhow::bail!("jose said: {text}");
    };
    Ok(load::post(&format!("/rec/{key}"), body))
}
