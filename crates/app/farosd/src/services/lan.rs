//! Keeps the LAN's interface as the site has it: joined where there are several, watched, with the bastion's address
//! and with none that an earlier site gave.
//!
//! No part waits for it to be bound: what runs is told of the interface when it is there.

use std::net::Ipv4Addr;

use faros_firewall::BadInterface;
use faros_kernel::{
    lan::{self, Interface},
    own::{self, Given, Owner},
};
use faros_model::net::Subnet;
use tokio::task::JoinHandle;

use super::Services;
use crate::router::BRIDGE;

/// The interface, the address that it should have, and where that is.
type Lan = (String, Ipv4Addr, Subnet);

/// What the LAN's interface should be, and who watches it.
#[derive(Default)]
pub(super) struct Watched {
    wanted: Option<Result<Lan, BadInterface>>,
    watcher: Option<JoinHandle<()>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl Services {
    /// Has the interface of the current intent watched. A new one is looked at at once, so that what starts
    /// on it starts ready.
    pub(super) async fn watch_lan(&mut self) {
        let wanted = self.shared.newest().and_then(|intent| {
            if let Some(both) = self.shared.interface_for_both(&intent.site) {
                return Some(Err(both));
            }
            let lan = &intent.site.lan;
            Some(Ok((
                self.shared.lan_interface()?,
                lan.addresses.bastion,
                lan.subnet,
            )))
        });
        if self.lan.wanted == wanted {
            return;
        }
        self.lan = Watched {
            wanted: wanted.clone(),
            watcher: None,
        };
        let wanted = match wanted {
            Some(Ok(wanted)) => wanted,
            other => {
                if let Some(Err(both)) = other {
                    // It would lead the world onto the LAN.
                    tracing::error!("nothing is served on the LAN: {both}");
                }
                self.shared.lan.send_replace(None);
                take_old(None).await;
                return remove_bridge().await;
            }
        };
        if wanted.0 == BRIDGE {
            self.make_bridge().await;
        } else {
            remove_bridge().await;
        }
        let found = first_look(&wanted).await;
        // The new address is there before the old one goes.
        take_old(found.as_ref().map(|own| Given {
            index: own.index,
            address: wanted.1,
            prefix: wanted.2.prefix(),
        }))
        .await;
        // What the old one took with it comes back.
        self.shared.lan.send_replace(first_look(&wanted).await);
        let watched = lan::watch(move || Some(wanted.clone()), self.shared.lan.clone());
        self.lan.watcher = Some(tokio::spawn(watched));
    }

    /// Joins the LAN's interfaces, so that there is a LAN to be looked at.
    async fn make_bridge(&self) {
        let Some(intent) = self.shared.newest() else {
            return;
        };
        let lan = &intent.site.lan;
        if let Err(error) = faros_kernel::router::ensure_bridge(BRIDGE, &lan.interfaces, lan.mtu).await {
            let error = anyhow::Error::new(error);
            tracing::error!("the LAN's interfaces cannot be joined: {error:#}");
        }
    }
}

/// Has what an earlier site joined be interfaces of their own again.
async fn remove_bridge() {
    if let Err(error) = faros_kernel::router::remove_bridge(BRIDGE).await {
        let error = anyhow::Error::new(error);
        tracing::error!("the LAN's interfaces stay joined: {error:#}");
    }
}

/// The interface, made ready if it is there; whoever watches it tells why it cannot be.
async fn first_look((name, address, subnet): &Lan) -> Option<Interface> {
    let found = lan::look(name)?;
    if !found.has(*address, *subnet) {
        lan::ensure(&found, *address, *subnet, Owner::Lan).await.ok()?;
    }
    lan::look(name)
}

/// Takes away what an earlier site gave the LAN's interface.
async fn take_old(wanted: Option<Given>) {
    match own::take_addresses(Owner::Lan, wanted).await {
        Ok(taken) if taken.is_empty() => (),
        Ok(taken) => tracing::info!(?taken, "addresses of the LAN that are no longer wanted are gone"),
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::error!("an old address of the LAN stays: {error:#}");
        }
    }
}
