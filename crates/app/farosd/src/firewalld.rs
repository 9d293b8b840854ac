//! firewalld, where the host runs it: it is told all that is to pass, beside our own table.
//!
//! Who starts, stops or reloads firewalld, or changes our zones, is heard on the system bus; then all is looked at
//! again. A host without the bus, or without firewalld, has our table alone.

use std::time::Duration;

use faros_firewall::{Firewalld, Interfaces};
use faros_firewalld::{Bus, Held};
use faros_model::{api::ServiceState, plan::Service};

use crate::{
    daemon::{Intent, Shared},
    router::{self, State},
};

/// How often it is looked whether there is a bus by now.
const LOOK: Duration = Duration::from_secs(30);

/// What comes within this is one change: a reload tells of many.
const REST: Duration = Duration::from_millis(200);

/// What is known of firewalld.
#[derive(Default)]
pub(crate) struct Beside {
    bus: Option<Bus>,
    held: Option<(String, Firewalld)>,
    is_removed: bool,
}

impl Beside {
    /// Has firewalld hold what `intent` wants, after our table does: how the router is then.
    pub(crate) async fn settle(&mut self, shared: &Shared, intent: Option<&Intent>, state: State) -> State {
        if self.bus.is_none() {
            // Without a bus there is no firewalld.
            self.bus = Bus::connect(&shared.options.system_bus).await.ok();
        }
        if let Some(bus) = &mut self.bus {
            // Whatever was told is seen by now.
            bus.forget();
        }
        let routed = intent.filter(|intent| intent.site.runs(Service::Router));
        let result = match (routed, state.0) {
            (Some(intent), ServiceState::Ready | ServiceState::Waiting) => self.hold(shared, intent).await,
            (None, ServiceState::Off) => self.remove().await.map(|()| None),
            _ => return state,
        };
        let held_by = |who: String| {
            // What is wrong comes first.
            let says = [state.1.clone(), who].into_iter().filter(|text| !text.is_empty());
            (ServiceState::Ready, says.collect::<Vec<String>>().join("; "))
        };
        match (result, state.0) {
            (Ok(Some(version)), ServiceState::Ready) => {
                held_by(format!("by nftables, through firewalld {version}"))
            }
            (Ok(None), ServiceState::Ready) => held_by("by nftables".to_owned()),
            (Ok(_), _) => state,
            (Err(error), _) => {
                if matches!(error.downcast_ref(), Some(faros_firewalld::Error::Bus(_))) {
                    self.bus = None;
                }
                (ServiceState::Failed, format!("{error:#}"))
            }
        }
    }

    /// Ends when firewalld may not hold what it did, or may run by now.
    pub(crate) async fn changed(&mut self) {
        let Some(bus) = &mut self.bus else {
            return tokio::time::sleep(LOOK).await;
        };
        if bus.changed().await.is_err() {
            tracing::warn!("the system bus is gone, and with it firewalld");
            self.bus = None;
        }
        self.is_removed = false;
        tokio::time::sleep(REST).await;
    }

    /// The version of the firewalld that holds it; `None` if none runs.
    async fn hold(&mut self, shared: &Shared, intent: &Intent) -> anyhow::Result<Option<String>> {
        self.is_removed = false;
        let lan = shared.lan_interface().unwrap_or_default();
        let (Some(bus), Some(uplink)) = (&self.bus, shared.uplink_interface_of(&intent.site)) else {
            return Ok(None);
        };
        let wanted = Firewalld::compile(&intent.site, &Interfaces::new(&lan, &uplink)?);
        let Some(Held { version, found }) = faros_firewalld::hold(bus, &wanted).await? else {
            if let Some((version, _)) = self.held.take() {
                tracing::warn!(version, "firewalld is gone; our own table holds the rules alone");
            }
            return Ok(None);
        };
        match &self.held {
            Some((own, before)) if *before == wanted && *own == version => {
                if !found.is_empty() {
                    router::repaired(shared, "firewalld", &found);
                }
            }
            _ => tracing::info!(version, changed = found.len(), "firewalld has the site's zones"),
        }
        self.held = Some((version.clone(), wanted));
        Ok(Some(version))
    }

    async fn remove(&mut self) -> anyhow::Result<()> {
        let Some(bus) = &self.bus else { return Ok(()) };
        if !self.is_removed && faros_firewalld::remove(bus).await? == Some(true) {
            tracing::info!("the site's zones are taken away from firewalld");
        }
        (self.held, self.is_removed) = (None, true);
        Ok(())
    }
}
