//! Runs the services: binds all that are wanted before any runs, restarts what ends, and hands each the
//! tables of the generation that it is to serve.
//!
//! The state that a service is told to be in is decided here alone. The parts that have the sockets count, and
//! DHCP says whether it has its port on the interface; both are read, and neither is told as it is.

mod keys;
mod lan;
mod parts;
mod running;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use faros_model::{api::ServiceState, plan::Service};
use faros_net::link::LanLink;
use tokio::sync::watch;

use self::{
    keys::{Tending, keeper_of},
    lan::Watched,
    parts::{Part, dhcp_taken, serves},
    running::{Running, ended},
};
use crate::{
    daemon::{Intent, Shared, set_state},
    keeper::Keeping,
    notify,
};

/// How long after a failure binding is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// How long after the interface changed DHCP is asked how it fares on the new one.
const SOON: Duration = Duration::from_millis(100);

/// How often and after how long it is tried again at once: a child of farosd, such as nft, has a copy of each socket
/// between being made and becoming another program, also of one that was just closed.
const HEIRS: u32 = 5;
const HEIR: Duration = Duration::from_millis(30);

/// All services.
pub(crate) struct Services {
    shared: Arc<Shared>,
    running: BTreeMap<Part, Running>,
    /// Parts that ended by themselves, and how; they rest until the next try.
    ended: BTreeMap<Part, String>,
    dhcp_tables: Option<watch::Sender<Arc<faros_dhcp::Tables>>>,
    dns_zones: Option<watch::Sender<Arc<faros_dns::Zones>>>,
    ntp_tables: Option<watch::Sender<Arc<faros_ntp::Tables>>>,
    link: watch::Sender<Option<LanLink>>,
    /// The LAN that is watched, and who watches it.
    lan: Watched,
    keys: Tending,
}

/// What to do about a service that cannot be had.
enum Next {
    /// All is as wanted.
    Rest,
    /// Try again after this long.
    Again(Duration),
}

impl Services {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            dhcp_tables: None,
            dns_zones: None,
            ntp_tables: None,
            link: watch::Sender::new(None),
            lan: Watched::default(),
            keys: Tending::default(),
        }
    }

    /// Runs until the daemon stops.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut lan = shared.lan.subscribe();
        let mut served = shared.served.subscribe();
        let mut unlock_keys = shared.unlock.keeper().keyhole().subscribe();
        let mut roots = shared.authority.keyhole().subscribe();
        loop {
            self.watch_lan().await;
            lan.mark_unchanged();
            let next = self.settle().await;
            let again = async {
                match next {
                    Next::Rest => std::future::pending().await,
                    Next::Again(after) => tokio::time::sleep(after).await,
                }
            };
            tokio::select! {
                () = shared.stop.cancelled() => break,
                _ = served.changed() => (),
                _ = lan.changed() => (),
                _ = unlock_keys.changed() => (),
                _ = roots.changed() => (),
                () = again => self.ended.clear(),
                (part, how) = ended(&mut self.running) => {
                    tracing::error!(?part, how, "a part ended by itself");
                    self.running.remove(&part);
                    self.ended.insert(part, how);
                }
            }
        }
        self.lan = Watched::default();
        for (_, part) in std::mem::take(&mut self.running) {
            part.end().await;
        }
    }

    /// Brings what runs in line with what is wanted.
    async fn settle(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let served = shared.served.borrow().clone();
        let lan = shared.lan.borrow().clone();
        let link = lan.map(|own| LanLink {
            name: own.name,
            index: own.index,
            mac: own.mac,
        });
        let is_there = link.is_some();
        let relinked = *self.link.borrow() != link;
        if relinked {
            // What it said of the interface before is not what it says of this one.
            self.has_said_nothing(Service::Dhcp);
            self.link.send_replace(link);
        }

        let wanted: BTreeMap<Part, Arc<Intent>> = Part::ALL
            .into_iter()
            .filter_map(|part| Some((part, serves(&served, part)?)))
            .collect();
        self.stop_unwanted(&wanted).await;
        self.keys.settle(&shared, &wanted);
        self.publish(&wanted);
        let mut result = self.start(&wanted);
        for _ in 0..HEIRS {
            if result.is_ok() || !self.ended.is_empty() {
                break;
            }
            tokio::time::sleep(HEIR).await;
            result = self.start(&wanted);
        }
        let dhcp_fails = shared.dhcp_fails().filter(|_| is_there && !relinked);
        let dhcp_is_silent = self.is_silent(Service::Dhcp);
        let mut changed = false;
        // Router and balancer see to themselves: what the kernel takes its time for is not to delay anyone.
        let others = |own: &Service| !matches!(own, Service::Router | Service::Balancer);
        for service in Service::ALL.into_iter().filter(others) {
            let intent = served.get(&service).filter(|intent| intent.site.runs(service));
            let Some(health) = shared.health.get(&service) else {
                continue;
            };
            let keeper = keeper_of(&shared, service);
            let closed = keeper.and_then(Keeping::closed);
            let (state, why) = match (intent, &result) {
                (None, _) => {
                    health.listens(vec![]);
                    (ServiceState::Off, String::new())
                }
                (Some(_), Err((part, why))) if part.services().contains(&service) => {
                    (ServiceState::Failed, why.clone())
                }
                (Some(_), Err((part, _))) if !self.runs(service) => {
                    let culprit = part.services()[0].as_str();
                    let why = format!("it starts together with {culprit}, which cannot start");
                    (ServiceState::Waiting, why)
                }
                (Some(_), _) if closed.is_some() => closed.unwrap_or((ServiceState::Waiting, String::new())),
                (Some(_), _) if !is_there => (ServiceState::Waiting, shared.why_no_lan()),
                (Some(_), _) => match &dhcp_fails {
                    Some(why) if service == Service::Dhcp => (ServiceState::Failed, dhcp_taken(why)),
                    // It serves, and if what it needs is not sealed, somebody has to know.
                    _ => {
                        let why = keeper.and_then(Keeping::unsealed);
                        (ServiceState::Ready, why.unwrap_or_default())
                    }
                },
            };
            changed |= set_state(&shared, service, state, &why);
            health.serves(intent.map(|intent| intent.generation));
        }
        if changed {
            notify::status(&shared);
        }
        if result.is_err() || dhcp_fails.is_some() || self.keys.fails(&shared) {
            Next::Again(AGAIN)
        } else if is_there && (relinked || dhcp_is_silent) {
            Next::Again(SOON)
        } else {
            Next::Rest
        }
    }

    fn runs(&self, service: Service) -> bool {
        self.running.keys().any(|part| part.services().contains(&service))
    }

    fn has_said_nothing(&self, service: Service) {
        if let Some(health) = self.shared.counted.get(&service) {
            health.set(ServiceState::Off, "");
        }
    }

    /// Whether a service runs that has not said yet how it fares.
    fn is_silent(&self, service: Service) -> bool {
        let own = self.shared.counted.get(&service);
        self.runs(service) && own.is_some_and(|own| own.status().state == ServiceState::Off)
    }

    /// Hands new tables to what runs already; no socket is touched.
    fn publish(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) {
        if let Some(intent) = wanted.get(&Part::Dhcp) {
            let tables = Arc::new(faros_dhcp::Tables::compile(&intent.site));
            match &self.dhcp_tables {
                Some(sender) => {
                    sender.send_if_modified(|own| {
                        let changed = *own != tables;
                        *own = Arc::clone(&tables);
                        changed
                    });
                }
                None => self.dhcp_tables = Some(watch::Sender::new(tables)),
            }
        }
        if let Some(intent) = wanted.get(&Part::Dns) {
            let zones = Arc::new(faros_dns::Zones::compile(&intent.site, intent.generation));
            match &self.dns_zones {
                Some(sender) => drop(sender.send_replace(zones)),
                None => self.dns_zones = Some(watch::Sender::new(zones)),
            }
        }
        if let Some(intent) = wanted.get(&Part::Ntp) {
            let tables = Arc::new(faros_ntp::Tables::compile(&intent.site));
            match &self.ntp_tables {
                Some(sender) => {
                    // Sources that stay are not measured anew.
                    sender.send_if_modified(|own| {
                        let changed = *own != tables;
                        *own = Arc::clone(&tables);
                        changed
                    });
                }
                None => self.ntp_tables = Some(watch::Sender::new(tables)),
            }
        }
    }
}
