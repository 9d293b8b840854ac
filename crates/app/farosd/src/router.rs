//! The way in and out: has the kernel hold what the site says, and notices when it does not.
//!
//! The kernel carries every packet, so nothing here is in anyone's way: what was set stays when farosd ends,
//! and is set again, unchanged for all that flows, when it starts. Only a site file that switches the router
//! off takes the rules away.

mod removal;
mod rules;
mod sight;
mod trouble;
mod uplink;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use faros_firewall::{Interfaces, Ruleset, TABLE};
use faros_kernel::{
    changes::{Author, Changes},
    fights::{Fights, Told},
    host, lan, nft, router,
};
use faros_model::{api::ServiceState, event::EventKind, plan::Service, site::Site};
use serde_json::json;

use self::{
    removal::reset_leftover,
    rules::Held,
    sight::{Sight, Watched},
};
use crate::{
    daemon::{Intent, Shared, lock, set_state},
    firewalld::Beside,
    notify,
};

/// The bridge over the LAN's interfaces, where there are several.
pub(crate) const BRIDGE: &str = "faros-lan";

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// How often the kernel is asked whether all is as it was, though it told of no change.
const LOOK: Duration = Duration::from_mins(1);

/// The same where the kernel tells nothing.
const LOOK_BLIND: Duration = Duration::from_secs(1);

/// The most differences that one event lists.
const TOLD: usize = 8;

/// How the router is.
pub(crate) type State = (ServiceState, String);

/// Keeps the kernel in line with the site until the daemon stops. What was set stays then.
pub(crate) async fn run(shared: Arc<Shared>) {
    let (mut router, mut firewalld) = (Router::default(), Beside::default());
    // From before the first look on, so that no change falls in between.
    let mut kernel = match Changes::of_links_and(TABLE) {
        Ok(changes) => Some(changes),
        Err(error) => {
            tracing::warn!(%error, "the kernel tells nothing of changes; it is asked every second");
            None
        }
    };
    let (mut served, mut lan) = (shared.served.subscribe(), shared.lan.subscribe());
    loop {
        let intent = served.borrow_and_update().get(&Service::Router).cloned();
        lan.mark_unchanged();
        let (state, why) = match router.settle(&shared, intent.as_deref()).await {
            (ServiceState::Ready, _) if shared.lan.borrow().is_none() => {
                let name = shared.lan_interface().unwrap_or_default();
                let why =
                    format!("the LAN's interface {name} is not there, or has not the bastion's address");
                (ServiceState::Waiting, why)
            }
            state => state,
        };
        let (state, why) = firewalld.settle(&shared, intent.as_deref(), (state, why)).await;
        if served.has_changed().unwrap_or(false) {
            // It is ready for what is wanted now, and not for what was.
            continue;
        }
        let changed = set_state(&shared, Service::Router, state, &why);
        if let Some(health) = shared.health.get(&Service::Router) {
            let runs = intent.filter(|intent| intent.site.runs(Service::Router));
            health.serves(runs.map(|intent| intent.generation));
        }
        if changed {
            notify::status(&shared);
        }
        let again = async {
            match state {
                ServiceState::Ready | ServiceState::Off => std::future::pending().await,
                ServiceState::Waiting | ServiceState::Failed => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = served.changed() => (),
            _ = lan.changed() => (),
            () = router.trouble(kernel.as_mut()) => (),
            () = firewalld.changed() => (),
            () = again => (),
        }
    }
}

/// What is known of the kernel.
#[derive(Default)]
struct Router {
    held: Option<Held>,
    watched: Option<Watched>,
    /// That the rules were taken away because the site file switches the router off.
    is_removed: bool,
    /// What is wrong and not ours to change, and the chains of others among it.
    troubles: Vec<String>,
    droppers: Vec<String>,
    /// What is changed again as soon as it is right.
    fights: Fights,
    /// Who changed the table since it was right.
    authors: Vec<Author>,
    /// The names of those who fight over it.
    fighters: BTreeSet<String>,
}

impl Router {
    /// Puts into the kernel what `served` wants and the kernel does not hold.
    async fn settle(&mut self, shared: &Shared, served: Option<&Intent>) -> State {
        // What was taken back while farosd did not run, or before anything was accepted, leaves nothing behind.
        let leftover = lock(&shared.leftover).clone();
        let result = match served {
            Some(intent) if intent.site.runs(Service::Router) => {
                self.is_removed = false;
                reset_leftover(shared, leftover.as_ref(), &intent.site);
                self.route(shared, &intent.site).await
            }
            Some(intent) => {
                let sites: Vec<&Site> = leftover.iter().chain([&intent.site]).collect();
                self.remove(shared, &sites).await
            }
            None if leftover.is_some() || self.watched.is_some() => {
                self.remove_all(shared, leftover.as_ref()).await
            }
            None => Ok((ServiceState::Off, String::new())),
        };
        if result.is_ok() {
            // Else it is tried again.
            *lock(&shared.leftover) = None;
        }
        result.unwrap_or_else(|error| (ServiceState::Failed, format!("{error:#}")))
    }

    async fn route(&mut self, shared: &Shared, site: &Site) -> anyhow::Result<State> {
        if let Some(both) = shared.interface_for_both(site) {
            return Err(both.into());
        }
        let lan = shared.lan_interface().unwrap_or_default();
        let Some(uplink) = shared.uplink_interface_of(site) else {
            let why = "there is no interface with the uplink's MAC".to_owned();
            return Ok((ServiceState::Waiting, why));
        };
        let interfaces = Interfaces::new(&lan, &uplink)?;
        let parts = match lan.as_str() {
            BRIDGE => site.lan.interfaces.clone(),
            _ => vec![],
        };
        let mut watched = Watched {
            addressing: site.uplink.addressing.clone(),
            settings: router::settings(&lan, &uplink),
            parts,
            uplink,
            sight: Sight::default(),
        };
        if lan == BRIDGE {
            router::ensure_bridge(BRIDGE, &site.lan.interfaces, site.lan.mtu).await?;
        }
        // Rules before forwarding: nothing passes that they have not seen.
        let interfaces = interfaces.with_bridge(watched.bridge_macs());
        let rules = Ruleset::compile(site, &interfaces);
        self.fights.look();
        // Others' chains are looked at meanwhile: each takes a process and its time.
        let (held, droppers) = tokio::join!(self.hold(shared, &rules), trouble::droppers());
        held?;
        let was_set = |setting: &router::Setting| {
            let before = self.watched.as_ref();
            let idx = before.and_then(|before| before.settings.iter().position(|own| own == setting));
            idx.zip(before)
                .is_some_and(|(idx, before)| before.sight.is_set[idx])
        };
        let mut found = Vec::new();
        for setting in &watched.settings {
            let router::Setting {
                interface,
                name,
                value,
            } = setting;
            let what = format!("{name} of {interface}");
            let now = Instant::now();
            if !setting.is_set() && self.fights.may(&what, now) && setting.set()? && was_set(setting) {
                match self.fights.repaired(&what, now) {
                    Told::Repair => found.push(format!("{what} was not {value}")),
                    Told::Fight => (),
                }
            }
        }
        if !found.is_empty() {
            repaired(shared, "setting", &found);
        }
        self.ensure_own(shared, site, &watched).await?;
        // The new address is there before the old one goes, and whatever the old one took with it comes back.
        self.take_old(site, &watched.uplink).await?;
        self.ensure_own(shared, site, &watched).await?;
        watched.sight = watched.look();
        self.droppers = droppers;
        let mut troubles = trouble::troubles(site, lan::look(&watched.uplink).as_ref(), &self.droppers);
        troubles.extend(self.fought());
        if troubles != self.troubles {
            for found in &troubles {
                tracing::warn!(found, "the router is in trouble");
            }
            shared.tell(EventKind::RouterTrouble, json!({ "found": troubles }));
        }
        self.troubles = troubles;
        let state = match &watched.sight.uplink {
            Some(own) if !own.has_own => {
                let why = format!(
                    "the uplink's interface {} has not the address and the way out of the site file",
                    watched.uplink
                );
                (ServiceState::Waiting, why)
            }
            // It may be right for moments, and nobody can rely on it.
            Some(_) if self.fights.over(Instant::now()).contains(&rules::WHAT) => {
                (ServiceState::Waiting, self.troubles.join("; "))
            }
            // It does what it can, and somebody has to know.
            Some(_) => (ServiceState::Ready, self.troubles.join("; ")),
            None => {
                let why = format!("the uplink's interface {} is not there", watched.uplink);
                (ServiceState::Waiting, why)
            }
        };
        // An interface that is no longer the router's is as it was.
        let left = self.watched.iter().flat_map(|before| &before.settings);
        for setting in left.filter(|own| watched.settings.iter().all(|now| now.interface != own.interface)) {
            setting.reset();
        }
        self.watched = Some(watched);
        Ok(state)
    }

    /// What is fought over, in words.
    fn fought(&mut self) -> Vec<String> {
        let over = self.fights.over(Instant::now());
        if !over.contains(&rules::WHAT) {
            self.fighters.clear();
        }
        let who: Vec<&str> = self.fighters.iter().map(String::as_str).collect();
        over.into_iter()
            .map(|what| trouble::fight(what, if what == rules::WHAT { &who } else { &[] }))
            .collect()
    }

    /// Ends when the kernel may not hold what it did, or an interface came or went.
    async fn trouble(&mut self, mut changes: Option<&mut Changes>) {
        let (Some(held), Some(watched)) = (&self.held, &self.watched) else {
            return std::future::pending().await;
        };
        let due = self.fights.next();
        loop {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let look = if changes.is_some() { LOOK } else { LOOK_BLIND };
            let look = left.map_or(look, |left| left.min(look));
            let told = match &mut changes {
                Some(changes) => {
                    let told = tokio::time::timeout(look, changes.next()).await.ok();
                    self.authors.extend(changes.authors());
                    told
                }
                None => {
                    tokio::time::sleep(look).await;
                    None
                }
            };
            if due.is_some_and(|due| due <= Instant::now()) {
                return;
            }
            // Our own transactions are told, too; after them it is the number that was seen.
            let may_differ = told.is_none_or(|told| told.table);
            let is_same = !may_differ || nft::generation().is_ok_and(|now| now == held.seen);
            if !is_same || watched.look() != watched.sight {
                return;
            }
            if told.is_none() && trouble::droppers().await != self.droppers {
                return;
            }
        }
    }
}

/// What of this host bears on a site's uplink.
pub(crate) fn notes(shared: &Shared, site: &Site) -> Vec<String> {
    if !site.runs(Service::Router) {
        return vec![];
    }
    let note = shared
        .uplink_interface_of(site)
        .and_then(|name| trouble::note(site, &name, host::manager_of(&name)));
    note.into_iter().collect()
}

pub(crate) fn repaired(shared: &Shared, what: &str, found: &[String]) {
    tracing::warn!(
        what,
        found = found.join("; "),
        "changed behind our back; repaired"
    );
    let rest = found.len().saturating_sub(TOLD);
    let detail = json!({ "what": what, "found": &found[..found.len().min(TOLD)], "more": rest });
    shared.tell(EventKind::RouterRepaired, detail);
}
