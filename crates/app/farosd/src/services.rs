//! Runs the services: binds all that are wanted before any runs, restarts what ends, and hands each the
//! tables of the generation that it is to serve.
//!
//! The state that a service is told to be in is decided here alone. The parts that have the sockets count, and
//! DHCP says whether it has its port on the interface; both are read, and neither is told as it is.

mod keys;
mod parts;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use faros_kernel::{
    lan::{self, Interface},
    own::{self, Given, Owner},
};
use faros_model::{
    api::ServiceState,
    net::Subnet,
    plan::Service,
    ports::{NETBOOT_HTTP, REGISTRY, UNLOCK},
};
use faros_net::{dhcp::Dhcp, dns::Dns, http::Http, link::LanLink, ntp::Ntp, service::Health, tftp::Tftp};
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use self::{
    keys::{Tending, keeper_of},
    parts::{Part, Start, StoredLeases, dhcp_taken, listens_on, serves, taken},
};
use crate::{
    authority::OwnCertificate,
    daemon::{Intent, Shared, lock, set_state},
    keeper::Keeping,
    notify,
    pages::Bastion,
    router::BRIDGE,
    secure::SecurePages,
    time::Clock,
    unlock::TangPages,
};

/// How long after a failure binding is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// How long after the interface changed DHCP is asked how it fares on the new one.
const SOON: Duration = Duration::from_millis(100);

/// How often and after how long it is tried again at once: a child of farosd, such as nft, has a copy of each socket
/// between being made and becoming another program, also of one that was just closed.
const HEIRS: u32 = 5;
const HEIR: Duration = Duration::from_millis(30);

/// A part that runs.
struct Running {
    address: Ipv4Addr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The interface, the address that it should have, and where that is.
type Lan = (String, Ipv4Addr, Subnet);

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
    lan: Option<(Lan, JoinHandle<()>)>,
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
            lan: None,
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
        if let Some((_, watcher)) = self.lan.take() {
            watcher.abort();
        }
        for (_, part) in std::mem::take(&mut self.running) {
            part.stop.cancel();
            let _ = part.task.await;
        }
    }

    /// Has the interface of the current intent watched. A new one is looked at at once, so that what starts
    /// on it starts ready.
    async fn watch_lan(&mut self) {
        let wanted = self.shared.newest().and_then(|intent| {
            let lan = &intent.site.lan;
            Some((self.shared.lan_interface()?, lan.addresses.bastion, lan.subnet))
        });
        if self.lan.as_ref().map(|(lan, _)| lan) == wanted.as_ref() {
            return;
        }
        if let Some((_, watcher)) = self.lan.take() {
            watcher.abort();
        }
        let Some(wanted) = wanted else {
            self.shared.lan.send_replace(None);
            return take_old(None).await;
        };
        if wanted.0 == BRIDGE {
            self.make_bridge().await;
        } else if let Err(error) = faros_kernel::router::remove_bridge(BRIDGE).await {
            // Its parts would still be its parts.
            let error = anyhow::Error::new(error);
            tracing::error!("the LAN's interfaces stay joined: {error:#}");
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
        let of = wanted.clone();
        let watcher = tokio::spawn(lan::watch(move || Some(of.clone()), self.shared.lan.clone()));
        self.lan = Some((wanted, watcher));
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
                (Some(_), _) if !is_there => {
                    let name = shared.lan_interface().unwrap_or_default();
                    let why =
                        format!("the LAN's interface {name} is not there, or has not the bastion's address");
                    (ServiceState::Waiting, why)
                }
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

    async fn stop_unwanted(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) {
        for part in Part::ALL {
            let address = wanted.get(&part).map(|intent| intent.site.lan.addresses.bastion);
            let stale = |running: &Running| address != Some(running.address);
            if self.running.get(&part).is_some_and(stale)
                && let Some(running) = self.running.remove(&part)
            {
                running.stop.cancel();
                let _ = running.task.await;
            }
        }
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

    /// Binds all parts that are wanted and do not run, and only then runs them.
    fn start(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) -> Result<(), (Part, String)> {
        if let Some((part, how)) = self.ended.first_key_value() {
            return Err((*part, format!("{how}; it starts again by itself")));
        }
        let pages = Arc::new(Bastion(Arc::clone(&self.shared)));
        let mut bound = Vec::new();
        for (part, intent) in wanted.iter().filter(|(part, _)| !self.running.contains_key(part)) {
            let address = intent.site.lan.addresses.bastion;
            let ready = self.bind(*part, address, &pages).map_err(|why| (*part, why))?;
            bound.push((*part, address, ready));
        }
        for (part, address, run) in bound {
            let stop = CancellationToken::new();
            let task = tokio::spawn(run(stop.clone()));
            self.running.insert(part, Running { address, stop, task });
        }
        for service in Service::ALL {
            let listens = self
                .running
                .iter()
                .filter(|(part, _)| part.services().contains(&service));
            let listens = listens.map(|(part, running)| listens_on(*part, running.address));
            if let Some(health) = self.shared.health.get(&service) {
                health.listens(listens.flatten().collect());
            }
        }
        Ok(())
    }

    fn bind(&self, part: Part, address: Ipv4Addr, pages: &Arc<Bastion>) -> Result<Start, String> {
        let shared = &self.shared;
        let health = |service: Service| {
            let own = shared.counted.get(&service).cloned();
            own.unwrap_or_else(|| Health::new(service))
        };
        let pages = Arc::clone(pages);
        match part {
            Part::Http => {
                let at = SocketAddrV4::new(address, NETBOOT_HTTP);
                let http = Http::bind(at, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(http.run(stop))))
            }
            Part::Unlock => {
                let at = SocketAddrV4::new(address, UNLOCK);
                let pages = Arc::new(TangPages(Arc::clone(shared)));
                let tang = Http::bind(at, pages, health(Service::Unlock)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(tang.run(stop))))
            }
            Part::Registry => {
                let at = SocketAddrV4::new(address, REGISTRY);
                let pages = Arc::new(SecurePages::new(Arc::clone(shared)));
                let tls = OwnCertificate::config(shared).map_err(|error| format!("{error:#}"))?;
                let https = Http::bind_tls(at, tls, pages, health(Service::Registry));
                let https = https.map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(https.run(stop))))
            }
            Part::Ntp => {
                let tables = self.ntp_tables.as_ref().ok_or("there are no tables")?.subscribe();
                let host = Arc::new(Clock::new(shared.options.clock));
                let (told, health) = (shared.time.clone(), health(Service::Ntp));
                let ntp = Ntp::bind(address, tables, host, told, health).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(ntp.run(stop))))
            }
            Part::Tftp => {
                let tftp =
                    Tftp::bind(address, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(tftp.run(stop))))
            }
            Part::Dhcp => {
                let tables = self.dhcp_tables.as_ref().ok_or("there are no tables")?;
                let leases = shared.store.leases().map_err(|error| error.to_string())?;
                let log = Arc::new(StoredLeases(shared.store.clone()));
                let (link, sightings) = (self.link.subscribe(), shared.sightings.clone());
                let health = health(Service::Dhcp);
                // What the part before it said, without a LAN, is not this one's.
                self.has_said_nothing(Service::Dhcp);
                let bound = Dhcp::bind(link, tables.subscribe(), leases, log, sightings, health);
                let (dhcp, leases) = bound.map_err(|error| taken(&error))?;
                *lock(&shared.leases) = Some(leases);
                Ok(Box::new(|stop| Box::pin(dhcp.run(stop))))
            }
            Part::Dns => {
                let zones = self.dns_zones.as_ref().ok_or("there are no zones")?.subscribe();
                let dns = Dns::bind(address, zones, health(Service::Dns)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(dns.run(stop))))
            }
        }
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

/// Ends when one of the parts ends by itself; which, and how. It must not be asked of that part again.
async fn ended(running: &mut BTreeMap<Part, Running>) -> (Part, String) {
    if running.is_empty() {
        std::future::pending::<()>().await;
    }
    let parts: Vec<Part> = running.keys().copied().collect();
    let tasks = running.values_mut().map(|running| &mut running.task);
    let (result, idx, _) = futures_util::future::select_all(tasks).await;
    (parts[idx], how_it_ended(result))
}

fn how_it_ended(result: Result<(), JoinError>) -> String {
    match result {
        Ok(()) => "it ended by itself".to_owned(),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => {
                let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
                format!("it panicked: {}", said.unwrap_or_default())
            }
            Err(_) => "it was cut off".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(task: JoinHandle<()>) -> Running {
        Running {
            address: Ipv4Addr::LOCALHOST,
            stop: CancellationToken::new(),
            task,
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_is_named_with_its_last_words_and_the_others_are_waited_for() {
        let mut parts = BTreeMap::from([
            (Part::Dns, running(tokio::spawn(std::future::pending()))),
            (
                Part::Tftp,
                running(tokio::spawn(async { panic!("out of blocks") })),
            ),
            (Part::Dhcp, running(tokio::spawn(async {}))),
        ]);
        let mut seen = BTreeMap::new();
        while parts.len() > 1 {
            let (part, how) = ended(&mut parts).await;
            parts.remove(&part);
            seen.insert(part, how);
        }
        assert_eq!(seen[&Part::Tftp], "it panicked: out of blocks");
        assert_eq!(seen[&Part::Dhcp], "it ended by itself");
        assert!(parts.contains_key(&Part::Dns));
    }
}
