//! Runs the time service on the bastion's LAN address, and measures the site's sources.
//!
//! Clients are answered by one thread that reads the clock's standing where it stands ([`answering`]); measuring, judging
//! and putting the clock right is [`keeping`]. Both see the clock through [`HostClock`], so that a test has a clock of
//! its own and this machine's is never touched.

mod answering;
mod keeping;

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
};

use faros_model::{api::TimeStatus, ports::NTP};
use faros_ntp::{Clock, Correction, Keeper, KernelClock, Tables};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::answering::Answers;
use crate::{
    service::{BindError, Health},
    socket,
    stamp::Stamped,
};

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
        let answers = Answers {
            tables: tables.clone(),
            clock: clock.subscribe(),
            host: Arc::clone(&host),
            health,
        };
        let started = udp.into_std().and_then(|socket| answers.start(socket));
        let answering = match started {
            Ok(answering) => answering,
            Err(error) => return tracing::error!(%error, "cannot answer NTP"),
        };
        let keeping = keeping::Keeping {
            host,
            clock,
            told: told.clone(),
            source_port,
        };
        tokio::select! {
            () = stop.cancelled() => (),
            () = answering.ended() => (),
            () = keeping.run(tables) => (),
        }
        // The port is free when this has ended.
        answering.end();
        answering.ended().await;
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

#[cfg(test)]
mod tests;
