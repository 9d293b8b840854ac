//! Runs the time service on the bastion's LAN address, and measures the site's sources.
//!
//! Clients are answered by one task that reads the clock's standing where it stands; measuring, judging and
//! putting the clock right is [`keeping`]. Both see the clock through [`HostClock`], so that a test has a clock of
//! its own and this machine's is never touched.

mod keeping;

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
};

use faros_model::{api::TimeStatus, ports::NTP};
use faros_ntp::{Clock, Correction, Keeper, KernelClock, Outcome, Server, Tables};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    service::{BindError, Health},
    socket,
    stamp::Stamped,
};

/// Most packets that are answered before other work gets its turn.
const BATCH: usize = 128;

/// The clock of the host: read, judged, and put right.
pub trait HostClock: Send + Sync {
    /// What it shows.
    fn now(&self) -> Timestamp;
    /// What the kernel knows of it.
    fn kernel(&self) -> KernelClock;
    /// Who keeps it.
    fn keeper(&self) -> Keeper;
    /// Puts it right.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn correct(&self, correction: Correction) -> std::io::Result<()>;
}

/// The time service.
pub struct Ntp {
    udp: Stamped,
    tables: watch::Receiver<Arc<Tables>>,
    host: Arc<dyn HostClock>,
    told: watch::Sender<Option<TimeStatus>>,
    health: Health,
    /// Where the sources answer: 123, except in tests.
    source_port: u16,
}

impl std::fmt::Debug for Ntp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ntp")
            .field("udp", &self.udp)
            .finish_non_exhaustive()
    }
}

impl Ntp {
    /// Takes the port. How the clock stands is told on `told` once it runs.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub fn bind(
        address: Ipv4Addr,
        tables: watch::Receiver<Arc<Tables>>,
        host: Arc<dyn HostClock>,
        told: watch::Sender<Option<TimeStatus>>,
        health: Health,
    ) -> Result<Self, BindError> {
        Self::bind_at(SocketAddrV4::new(address, NTP), NTP, tables, host, told, health)
    }

    fn bind_at(
        address: SocketAddrV4,
        source_port: u16,
        tables: watch::Receiver<Arc<Tables>>,
        host: Arc<dyn HostClock>,
        told: watch::Sender<Option<TimeStatus>>,
        health: Health,
    ) -> Result<Self, BindError> {
        let udp = Stamped::new(socket::udp(address)?).map_err(|source| BindError {
            protocol: "udp",
            address,
            source,
        })?;
        Ok(Self {
            udp,
            tables,
            host,
            told,
            health,
            source_port,
        })
    }

    /// Serves until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            udp,
            tables,
            host,
            told,
            health,
            source_port,
        } = self;
        let clock = watch::Sender::new(Clock::UNKNOWN);
        let answers = answer(udp, tables.clone(), clock.subscribe(), Arc::clone(&host), health);
        let keeping = keeping::Keeping {
            host,
            clock,
            told: told.clone(),
            source_port,
        };
        tokio::select! {
            () = stop.cancelled() => (),
            () = answers => (),
            () = keeping.run(tables) => (),
        }
        told.send_replace(None);
    }
}

/// When a datagram came in, by the host's clock: the kernel's time is as long ago as the system's clock says.
fn received(host: &dyn HostClock, stamp: Option<Timestamp>) -> Timestamp {
    let ago = stamp.map(|stamp| Timestamp::now().duration_since(stamp));
    let now = host.now();
    // A clock that was set in between makes nonsense of it.
    match ago.filter(|ago| !ago.is_negative() && ago.as_secs() == 0) {
        Some(ago) => now.checked_sub(ago).unwrap_or(now),
        None => now,
    }
}

async fn answer(
    mut udp: Stamped,
    mut tables: watch::Receiver<Arc<Tables>>,
    mut clock: watch::Receiver<Clock>,
    host: Arc<dyn HostClock>,
    health: Health,
) {
    let mut buffer = [0; 1024];
    let (answered, slowed) = (health.counter("ntp_answered"), health.counter("ntp_slowed"));
    let own = Arc::clone(&tables.borrow_and_update());
    let mut server = Server::new(own.lan, own.bastion);
    let mut standing = *clock.borrow_and_update();
    loop {
        if udp.socket().readable().await.is_err() {
            continue;
        }
        if tables.has_changed().unwrap_or(false) {
            server.serve(&tables.borrow_and_update());
        }
        if clock.has_changed().unwrap_or(false) {
            standing = *clock.borrow_and_update();
        }
        let mut is_empty = false;
        for _ in 0..BATCH {
            let Ok((length, from, stamp)) = udp.try_recv(&mut buffer) else {
                is_empty = true;
                break;
            };
            let came = received(&*host, stamp);
            match server.respond(&buffer[..length], *from.ip(), came, &standing, host.now()) {
                Outcome::Answered(bytes) => {
                    answered.add(1);
                    // A full send queue loses the answer, as the network may.
                    let _ = udp.socket().try_send_to(&bytes, from.into());
                }
                Outcome::Slowed(bytes) => {
                    slowed.add(1);
                    let _ = udp.socket().try_send_to(&bytes, from.into());
                }
                Outcome::Silent(why) => health.counter(why.label()).add(1),
            }
        }
        // Others have their turn, however fast packets come. Who has to wait for packets gives it to them anyway.
        if !is_empty {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests;
