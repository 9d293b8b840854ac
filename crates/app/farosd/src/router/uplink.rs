//! What the site file says that the uplink has: an address, and the way out.

use std::time::Instant;

use faros_kernel::{
    fights::Told,
    lan,
    own::{self, Given, Owner},
    router,
};
use faros_model::site::{Site, UplinkAddressing};

use super::{Router, repaired, sight::Watched};
use crate::daemon::Shared;

impl Router {
    /// Gives the uplink what the site file says that it has.
    pub(super) async fn ensure_own(
        &mut self,
        shared: &Shared,
        site: &Site,
        watched: &Watched,
    ) -> Result<(), router::Route> {
        let UplinkAddressing::Static {
            address,
            subnet,
            gateway,
        } = &site.uplink.addressing
        else {
            return Ok(());
        };
        let sight = watched.look();
        let is_lost = sight.uplink.as_ref().is_some_and(|own| own.is_up && !own.has_own);
        let had = |before: &Watched| {
            let own = before.sight.uplink.as_ref();
            before.uplink == watched.uplink
                && before.addressing == watched.addressing
                && own.is_some_and(|own| own.is_up && own.has_own)
        };
        let what = format!("the address and the way out of {}", watched.uplink);
        let now = Instant::now();
        if is_lost && !self.fights.may(&what, now) {
            return Ok(());
        }
        if let Some(found) = lan::look(&watched.uplink) {
            router::ensure_uplink(&found, *address, *subnet, *gateway).await?;
        }
        if is_lost
            && self.watched.as_ref().is_some_and(had)
            && self.fights.repaired(&what, now) == Told::Repair
        {
            repaired(shared, "uplink", &[format!("{what} were gone")]);
        }
        Ok(())
    }

    /// Takes away what an earlier site gave an uplink, once for each site.
    pub(super) async fn take_old(&self, site: &Site, uplink: &str) -> anyhow::Result<()> {
        let is_same =
            |before: &Watched| before.uplink == uplink && before.addressing == site.uplink.addressing;
        if self.watched.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let wanted = match &site.uplink.addressing {
            UplinkAddressing::Static {
                address,
                subnet,
                gateway,
            } => lan::look(uplink).map(|found| {
                let given = Given {
                    index: found.index,
                    address: *address,
                    prefix: subnet.prefix(),
                };
                (given, gateway.map(|gateway| (found.index, gateway)))
            }),
            UplinkAddressing::Dhcp | UplinkAddressing::Host => None,
        };
        own::take_routes(wanted.and_then(|(_, way)| way)).await?;
        let taken = own::take_addresses(Owner::Uplink, wanted.map(|(given, _)| given)).await?;
        if !taken.is_empty() {
            tracing::info!(
                ?taken,
                "addresses of the uplink that are no longer wanted are gone"
            );
        }
        Ok(())
    }
}
