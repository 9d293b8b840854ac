//! Tells systemd how the daemon is, if systemd started it (`sd_notify(3)`); otherwise nothing.

use std::{sync::Arc, time::Duration};

use faros_model::api::{ServiceState, Status};
use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::daemon::Shared;

/// It answers on its socket.
pub(crate) fn ready(shared: &Shared) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(&shared.status()))]);
}

/// It was told to stop.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows, anew.
pub(crate) fn status(shared: &Shared) {
    tell(&[NotifyState::Status(&line(&shared.status()))]);
}

/// Says that it lives, as often as systemd asked for; never if it did not ask.
pub(crate) async fn watchdog(shared: Arc<Shared>) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else {
        return;
    };
    let mut ticks = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => tell(&[NotifyState::Watchdog]),
            () = shared.stop.cancelled() => return,
        }
    }
}

/// The bastion in a line.
fn line(status: &Status) -> String {
    let (Some(site), Some(generation)) = (&status.site, status.generation) else {
        return "no site yet; waits for `farosctl apply`".to_owned();
    };
    let troubled = status.services.iter().filter_map(|own| {
        let word = match own.state {
            ServiceState::Ready | ServiceState::Off => return None,
            ServiceState::Waiting => "waits",
            ServiceState::Failed => "failed",
        };
        Some(format!("; {} {word}: {}", own.service.as_str(), own.reason))
    });
    format!(
        "site {site}, generation {generation}{}",
        troubled.collect::<String>()
    )
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}
