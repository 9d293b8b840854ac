//! What the router leaves behind when it is switched off, when the machine is to be as it was, and when a site that was
//! on trial is taken back.

use faros_firewall::{FAMILY, TABLE};
use faros_kernel::{
    nft,
    own::{self, Owner},
    router,
};
use faros_model::{api::ServiceState, plan::Service, site::Site};

use super::{BRIDGE, Router, State};
use crate::daemon::Shared;

impl Router {
    /// Leaves the machine as it was before the first apply.
    pub(super) async fn remove_all(&mut self, shared: &Shared, site: Option<&Site>) -> anyhow::Result<State> {
        own::take_addresses(Owner::Lan, None).await?;
        router::remove_bridge(BRIDGE).await?;
        let sites: Vec<&Site> = site.into_iter().collect();
        self.remove(shared, &sites).await
    }

    pub(super) async fn remove(&mut self, shared: &Shared, sites: &[&Site]) -> anyhow::Result<State> {
        if self.is_removed {
            return Ok((ServiceState::Off, String::new()));
        }
        // Forwarding ends before the rules: nothing passes that they have not seen.
        let of_sites = sites.iter().flat_map(|site| settings_of(shared, site));
        let held = self.watched.as_ref().map(|watched| watched.settings.clone());
        // Whoever never was a router has nothing to take back, and the host's own settings stay.
        let had = held.is_some() || nft::list(FAMILY, TABLE).await?.is_some();
        for setting in held.into_iter().flatten().chain(of_sites).filter(|_| had) {
            setting.reset();
        }
        let mut live = shared.balancing.table.lock().await?;
        live.is_gone();
        if nft::list(FAMILY, TABLE).await?.is_some() {
            live.applied(nft::apply(&faros_firewall::delete()).await?);
            tracing::info!("the firewall's rules are taken away");
        }
        drop(live);
        own::take_routes(None).await?;
        own::take_addresses(Owner::Uplink, None).await?;
        (self.held, self.watched, self.is_removed) = (None, None, true);
        Ok((ServiceState::Off, String::new()))
    }
}

/// The settings of the router of a site on this machine's interfaces.
fn settings_of(shared: &Shared, site: &Site) -> Vec<router::Setting> {
    let own = || {
        let uplink = shared.uplink_interface_of(site)?;
        Some(router::settings(&shared.lan_interface_of(site)?, &uplink))
    };
    own().unwrap_or_default()
}

/// Takes back what a site that was on trial set on interfaces that are none of the router's.
pub(super) fn reset_leftover(shared: &Shared, leftover: Option<&Site>, site: &Site) {
    let Some(leftover) = leftover.filter(|leftover| leftover.runs(Service::Router)) else {
        return;
    };
    let own = settings_of(shared, site);
    let is_own = |setting: &router::Setting| own.iter().any(|own| own.interface == setting.interface);
    for setting in settings_of(shared, leftover) {
        if !is_own(&setting) {
            setting.reset();
        }
    }
}
