//! What everyone in the daemon shares: what is wanted, what is known of the machines and of the daemon's own parts, and
//! the one way to tell of it.
//!
//! Each lock is held for moments, and for one value; what takes longer has a lock that waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use faros_boot::{Changes, Tracker};
use faros_firewall::BadInterface;
use faros_kernel::{lan::Interface, neighbors};
use faros_model::{
    api::{ApplyStatus, ServiceState, ServiceStatus, Status, TimeStatus},
    event::{Event, EventKind},
    ids::{Generation, HostName, MacAddr},
    plan::Service,
    problem::Problem,
    sighting::Sighting,
    site::{Caller, InterfaceRef, Node, Site},
};
use faros_net::{
    dhcp::Leases,
    service::{Health, Sightings},
};
use faros_store::{Store, StoreError};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Options;
use crate::{
    authority::Roots,
    balancer::Balancing,
    cluster::Clustering,
    executor::{self, Pending},
    keeper::Keeper,
    pages::FILTER,
    router::BRIDGE,
    time,
    unlock::Unlock,
};

/// The accepted intent, or the one that is being applied.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) generation: Generation,
    pub(crate) site: Site,
    pub(crate) warnings: Vec<Problem>,
}

/// What everyone in the daemon shares.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) started_at: Timestamp,
    /// The accepted intent.
    pub(crate) intent: watch::Sender<Option<Arc<Intent>>>,
    /// The intent that each service serves; differs from the accepted one only while an apply is under way.
    pub(crate) served: watch::Sender<BTreeMap<Service, Arc<Intent>>>,
    pub(crate) armed: RwLock<BTreeSet<HostName>>,
    pub(crate) tracker: Mutex<Tracker>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) sightings: Sightings,
    /// To whoever records what is seen: tell when all of it so far is recorded.
    pub(crate) settling: mpsc::Sender<oneshot::Sender<()>>,
    /// The state that each service is told to be in.
    pub(crate) health: BTreeMap<Service, Health>,
    /// What the drivers count, and what they say of themselves.
    pub(crate) counted: BTreeMap<Service, Health>,
    pub(crate) lan: watch::Sender<Option<Interface>>,
    pub(crate) leases: Mutex<Option<Leases>>,
    pub(crate) unlock: Unlock,
    pub(crate) authority: Keeper<Roots>,
    pub(crate) cluster: Clustering,
    pub(crate) balancing: Balancing,
    /// What each node last said of its packet filter.
    pub(crate) filters: Mutex<BTreeMap<HostName, [Option<Value>; FILTER.len()]>>,
    /// How the clock stands, while the time service runs.
    pub(crate) time: watch::Sender<Option<TimeStatus>>,
    /// Held while a pass is looked at and used.
    pub(crate) passing: tokio::sync::Mutex<()>,
    /// Held while an apply is under way.
    pub(crate) applying: Arc<tokio::sync::Mutex<()>>,
    pub(crate) apply: Mutex<Option<ApplyStatus>>,
    /// The apply under way, while it waits for a confirmation.
    pub(crate) pending: Mutex<Option<Pending>>,
    /// The site of which the kernel may hold something, though it was taken back.
    pub(crate) leftover: Mutex<Option<Site>>,
    /// That farosd is to stop: no apply begins, and none waits for a confirmation.
    pub(crate) closing: CancellationToken,
    pub(crate) stop: CancellationToken,
}

/// A lock whose holder panicked is still good here: every critical section leaves whole values.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// From now on all services serve this generation, whether their tables are others or not.
    pub(crate) fn serve(&self, intent: Arc<Intent>) {
        let all = Service::ALL.map(|service| (service, Arc::clone(&intent)));
        self.served.send_replace(all.into_iter().collect());
        self.intent.send_replace(Some(intent));
    }

    /// Tells something about the site itself.
    pub(crate) fn tell(&self, kind: EventKind, detail: Value) {
        self.sight(None, None, kind, detail);
    }

    /// Tells what a machine at this address did; whose it is follows from the MAC, or else from the address.
    pub(crate) fn saw(&self, from: Ipv4Addr, mac: Option<MacAddr>, kind: EventKind, detail: Value) {
        self.sight(Some(from), mac, kind, detail);
    }

    /// Tells something about a node.
    pub(crate) fn tell_of(&self, node: &Node, kind: EventKind, detail: Value) {
        self.sight(None, Some(node.boot_mac), kind, detail);
    }

    /// Tells something about the site itself, and waits until it is on disk.
    ///
    /// # Errors
    /// If it may not be there.
    pub(crate) async fn tell_for_good(&self, kind: EventKind, detail: Value) -> Result<(), StoreError> {
        let lost = || self.sightings.dropped() + self.store.lost_events();
        let before = lost();
        self.tell(kind, detail);
        self.settle().await?;
        if lost() == before {
            Ok(())
        } else {
            Err(StoreError::Busy)
        }
    }

    /// Waits until all that was told or seen so far is on disk, or was lost because there was too much of it.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        let asked = self.settling.send(tell).await;
        asked.map_err(|_| StoreError::Stopped)?;
        told.await.map_err(|_| StoreError::Stopped)?;
        self.store.flush().await
    }

    fn sight(&self, address: Option<Ipv4Addr>, mac: Option<MacAddr>, kind: EventKind, detail: Value) {
        let detail = match detail {
            Value::Object(detail) => detail,
            _ => Map::new(),
        };
        self.sightings.send(Sighting {
            at: self.sightings.now(),
            mac,
            address,
            kind,
            detail,
        });
    }

    /// The intent that a service is to serve; `None` if it is not to run.
    pub(crate) fn serves(&self, service: Service) -> Option<Arc<Intent>> {
        let served = self.served.borrow();
        let intent = served.get(&service)?;
        intent.site.runs(service).then(|| Arc::clone(intent))
    }

    /// Why DHCP has not its port, though its part runs.
    pub(crate) fn dhcp_fails(&self) -> Option<String> {
        let status = self.counted.get(&Service::Dhcp)?.status();
        match status.state {
            ServiceState::Waiting | ServiceState::Failed => Some(status.reason),
            ServiceState::Ready | ServiceState::Off => None,
        }
    }

    pub(crate) fn intent(&self) -> Option<Arc<Intent>> {
        self.intent.borrow().clone()
    }

    /// The intent that is served: the accepted one, or on the first apply the one that is on its way.
    pub(crate) fn current(&self) -> Option<Arc<Intent>> {
        self.intent()
            .or_else(|| self.served.borrow().values().next().cloned())
    }

    /// The intent that the LAN is made by: the newest that any service serves.
    pub(crate) fn newest(&self) -> Option<Arc<Intent>> {
        let served = self.served.borrow();
        let newest = served.values().max_by_key(|intent| intent.generation);
        newest.cloned().or_else(|| self.intent())
    }

    /// Why nothing is given out that cannot be taken back, while a service serves what is not accepted.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let accepted = self.intent().map(|intent| intent.generation);
        let served = self.served.borrow();
        let coming = served
            .values()
            .find(|intent| Some(intent.generation) != accepted)?;
        let generation = coming.generation;
        Some(format!(
            "a change is on trial; nodes are installed once generation {generation} is accepted or taken back"
        ))
    }

    pub(crate) fn is_armed(&self, node: &HostName) -> bool {
        self.armed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(node)
    }

    /// Why a node gets nothing more in this boot, if that is so.
    pub(crate) fn why_closed(&self, node: &HostName) -> Option<String> {
        let tracker = lock(&self.tracker);
        let life = tracker.life(node).filter(|life| life.is_closed())?;
        Some(life.why().to_owned())
    }

    /// Whoever asks from this address as a node.
    pub(crate) fn caller<'a>(&self, node: &'a Node, from: Ipv4Addr) -> Caller<'a> {
        Caller {
            node,
            from,
            mac: neighbors::mac_of(from),
            is_closed: self.why_closed(&node.name).is_some(),
        }
    }

    /// Reads anew which nodes are armed. What an apply under way arms is not, until it is accepted.
    pub(crate) fn reload_armed(&self) -> Result<(), StoreError> {
        let rows = self.store.nodes()?;
        let journal = self.store.open_journal()?;
        let coming: BTreeSet<&HostName> = journal
            .iter()
            .flat_map(|journal| executor::armed_by(&journal.entry.plan))
            .collect();
        let armed = rows
            .into_iter()
            .filter(|row| row.armed && !coming.contains(&row.name))
            .map(|row| row.name)
            .collect();
        *self.armed.write().unwrap_or_else(PoisonError::into_inner) = armed;
        Ok(())
    }

    /// The interface on the LAN: the command line's, else the site file's, or a bridge where it has several.
    pub(crate) fn lan_interface(&self) -> Option<String> {
        match self.newest() {
            Some(intent) => self.lan_interface_of(&intent.site),
            None => self.options.lan.clone(),
        }
    }

    /// The same for a site that may not be served.
    pub(crate) fn lan_interface_of(&self, site: &Site) -> Option<String> {
        let own = match site.lan.interfaces.as_slice() {
            [_, _, ..] => Some(BRIDGE.to_owned()),
            one => one.first().cloned(),
        };
        self.options.lan.clone().or(own)
    }

    /// The uplink's interface: the command line's, else the site file's.
    pub(crate) fn uplink_interface_of(&self, site: &Site) -> Option<String> {
        let own = match &site.uplink.interface {
            InterfaceRef::Name(name) => Some(name.clone()),
            InterfaceRef::Mac(mac) => faros_kernel::router::name_of(*mac),
        };
        self.options.uplink.clone().or(own)
    }

    /// The interface that would be both the LAN's, or a part of it, and the uplink's. A site file with one name for both
    /// is refused; what is left are MACs and the command line.
    pub(crate) fn interface_for_both(&self, site: &Site) -> Option<BadInterface> {
        let (lan, uplink) = (self.lan_interface_of(site)?, self.uplink_interface_of(site)?);
        let is_part = lan == BRIDGE && site.lan.interfaces.contains(&uplink);
        (is_part || lan == uplink).then_some(BadInterface::Both(uplink))
    }

    /// Why nothing can be served on the LAN, where its interface cannot be used.
    pub(crate) fn why_no_lan(&self) -> String {
        let intent = self.newest();
        if let Some(both) = intent.and_then(|intent| self.interface_for_both(&intent.site)) {
            return both.to_string();
        }
        let name = self.lan_interface().unwrap_or_default();
        format!("the LAN's interface {name} is not there, or has not the bastion's address")
    }

    pub(crate) fn status(&self) -> Status {
        let intent = self.intent();
        let seconds_left = lock(&self.pending).as_ref().map(Pending::seconds_left);
        let apply = lock(&self.apply).clone().map(|apply| ApplyStatus {
            seconds_left,
            ..apply
        });
        let statuses = Service::ALL.iter().filter_map(|service| {
            let mut status = ServiceStatus {
                counters: self.counted.get(service)?.status().counters,
                ..self.health.get(service)?.status()
            };
            // It answers, and what it answers may be that it does not know.
            if *service == Service::Ntp && status.state == ServiceState::Ready {
                status.reason = time::doubts(self.time.borrow().as_ref());
            }
            Some(status)
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            site: intent.as_ref().map(|intent| intent.site.name.clone()),
            generation: intent.as_ref().map(|intent| intent.generation),
            started_at: self.started_at,
            pid: std::process::id(),
            state_dir: self.options.state_dir.display().to_string(),
            lan_interface: self.lan_interface(),
            services: statuses.collect(),
            apply,
            warnings: intent.map(|intent| intent.warnings.clone()).unwrap_or_default(),
        }
    }
}

/// Records events together with what the boot tracker changed.
pub(crate) fn keep(shared: &Shared, events: Vec<Event>, changes: Changes) {
    // Events are for people, and for whoever compares them with the logs of other machines.
    let clock = shared.sightings.clock();
    let shown = |event: Event| Event {
        at: clock.shown(event.at),
        ..event
    };
    let events: Vec<Event> = events.into_iter().map(shown).collect();
    shared.store.record(events.clone(), changes);
    for event in events {
        // Nobody may be watching.
        let _ = shared.events.send(event);
    }
}

/// Sets the state of a service, and tells of it; whether it is another one than before.
pub(crate) fn set_state(shared: &Shared, service: Service, state: ServiceState, reason: &str) -> bool {
    let Some(health) = shared.health.get(&service) else {
        return false;
    };
    let before = health.status();
    health.set(state, reason);
    if (before.state, before.reason.as_str()) == (state, reason) {
        return false;
    }
    match state {
        ServiceState::Failed => {
            tracing::error!(service = service.as_str(), reason, "failed");
            shared.tell(
                EventKind::ServiceFailed,
                json!({ "service": service, "reason": reason }),
            );
        }
        ServiceState::Ready => {
            tracing::info!(service = service.as_str(), "ready");
            let listens = health.status().listens;
            shared.tell(
                EventKind::ServiceReady,
                json!({ "service": service, "listens": listens }),
            );
        }
        ServiceState::Waiting => tracing::warn!(service = service.as_str(), reason, "waiting"),
        ServiceState::Off => tracing::info!(service = service.as_str(), "off"),
    }
    true
}
