//! Runs the services: binds all that are wanted before any runs, restarts what ends, and hands each the
//! tables of the generation that it is to serve.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use faros_kernel::lan;
use faros_model::{api::ServiceState, lease::Lease, plan::Service};
use faros_net::{
    dhcp::{Dhcp, LeaseLog},
    dns::Dns,
    http::Http,
    link::LanLink,
    pages::Pages,
    service::{BindError, Health},
    tftp::Tftp,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    daemon::{Intent, Shared, lock, set_state},
    pages::Bastion,
};

/// How long after a failure binding is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// The parts that have sockets. Boot scripts, content and Ignition configs share the HTTP part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Dns,
    Http,
    Tftp,
    Dhcp,
}

impl Part {
    const ALL: [Self; 4] = [Self::Dns, Self::Http, Self::Tftp, Self::Dhcp];

    /// The services that need it.
    const fn services(self) -> &'static [Service] {
        match self {
            Self::Dns => &[Service::Dns],
            Self::Http => &[Service::Netboot, Service::Ignition],
            Self::Tftp => &[Service::Netboot],
            Self::Dhcp => &[Service::Dhcp],
        }
    }
}

/// A part that runs.
struct Running {
    address: Ipv4Addr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// All services.
pub(crate) struct Services {
    shared: Arc<Shared>,
    running: BTreeMap<Part, Running>,
    dhcp_tables: Option<watch::Sender<Arc<faros_dhcp::Tables>>>,
    dns_zones: Option<watch::Sender<Arc<faros_dns::Zones>>>,
    link: watch::Sender<Option<LanLink>>,
}

impl Services {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let link = watch::Sender::new(None);
        Self {
            shared,
            running: BTreeMap::new(),
            dhcp_tables: None,
            dns_zones: None,
            link,
        }
    }

    /// Runs until the daemon stops.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let wanted = {
            let shared = Arc::clone(&shared);
            move || {
                let site = shared.current()?;
                let name = shared.lan_interface()?;
                Some((name, site.site.lan.addresses.bastion, site.site.lan.subnet))
            }
        };
        let nudge = Arc::new(Notify::new());
        let watcher = tokio::spawn({
            let (state, nudge) = (shared.lan.clone(), Arc::clone(&nudge));
            async move { lan::watch(wanted, state, &nudge).await }
        });
        let mut lan = shared.lan.subscribe();
        let mut served = shared.served.subscribe();
        loop {
            let whole = self.settle().await;
            let again = async {
                if whole {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(AGAIN).await;
            };
            tokio::select! {
                () = shared.stop.cancelled() => break,
                _ = served.changed() => nudge.notify_one(),
                _ = lan.changed() => (),
                () = again => (),
                () = ended(&mut self.running) => tokio::time::sleep(AGAIN).await,
            }
        }
        watcher.abort();
        for (_, part) in std::mem::take(&mut self.running) {
            part.stop.cancel();
            let _ = part.task.await;
        }
    }

    /// Brings what runs in line with what is wanted; `false` if something could not be had.
    async fn settle(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let served = shared.served.borrow().clone();
        let lan = shared.lan.borrow().clone();
        let link = lan.map(|own| LanLink {
            name: own.name,
            index: own.index,
            mac: own.mac,
        });
        let is_there = link.is_some();
        self.link.send_if_modified(|own| {
            let changed = *own != link;
            *own = link;
            changed
        });

        let wanted: BTreeMap<Part, Arc<Intent>> = Part::ALL
            .into_iter()
            .filter_map(|part| Some((part, serves(&served, part)?)))
            .collect();
        for part in Part::ALL {
            let right = |running: &Running| {
                let intent = wanted.get(&part);
                intent.is_some_and(|intent| intent.site.lan.addresses.bastion == running.address)
                    && !running.task.is_finished()
            };
            if self.running.get(&part).is_some_and(|running| !right(running))
                && let Some(running) = self.running.remove(&part)
            {
                running.stop.cancel();
                let _ = running.task.await;
            }
        }
        self.publish(&wanted);
        let result = self.start(&wanted);
        for service in Service::ALL {
            let intent = served.get(&service).filter(|intent| intent.site.runs(service));
            let Some(health) = shared.health.get(&service) else {
                continue;
            };
            match (intent, &result) {
                (None, _) => {
                    health.listens(vec![]);
                    set_state(&shared, service, ServiceState::Off, "");
                }
                (Some(_), Err((part, why))) if part.services().contains(&service) => {
                    set_state(&shared, service, ServiceState::Failed, why);
                }
                (Some(_), Err((part, _))) if !self.runs(service) => {
                    let why = format!(
                        "it starts together with {}, which cannot start",
                        part.services()[0].as_str()
                    );
                    set_state(&shared, service, ServiceState::Waiting, &why);
                }
                (Some(_), _) if !is_there => {
                    let name = shared.lan_interface().unwrap_or_default();
                    let why =
                        format!("the LAN's interface {name} is not there, or has not the bastion's address");
                    set_state(&shared, service, ServiceState::Waiting, &why);
                }
                (Some(_), _) => set_state(&shared, service, ServiceState::Ready, ""),
            }
            health.serves(intent.map(|intent| intent.generation));
        }
        result.is_ok()
    }

    fn runs(&self, service: Service) -> bool {
        self.running.keys().any(|part| part.services().contains(&service))
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
    }

    /// Binds all parts that are wanted and do not run, and only then runs them.
    fn start(&mut self, wanted: &BTreeMap<Part, Arc<Intent>>) -> Result<(), (Part, String)> {
        let shared = &self.shared;
        let pages: Arc<dyn Pages> = Arc::new(Bastion(Arc::clone(shared)));
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

    fn bind(&self, part: Part, address: Ipv4Addr, pages: &Arc<dyn Pages>) -> Result<Start, String> {
        let shared = &self.shared;
        let health = |service: Service| {
            shared
                .health
                .get(&service)
                .cloned()
                .unwrap_or_else(|| Health::new(service))
        };
        let pages = Arc::clone(pages);
        match part {
            Part::Http => {
                let http =
                    Http::bind(address, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(http.run(stop))))
            }
            Part::Tftp => {
                let tftp =
                    Tftp::bind(address, pages, health(Service::Netboot)).map_err(|error| taken(&error))?;
                Ok(Box::new(|stop| Box::pin(tftp.run(stop))))
            }
            Part::Dhcp => {
                let tables = self
                    .dhcp_tables
                    .as_ref()
                    .ok_or("there are no tables")?
                    .subscribe();
                let leases = shared.store.leases().map_err(|error| error.to_string())?;
                let log = Arc::new(StoredLeases(shared.store.clone()));
                let (link, sightings) = (self.link.subscribe(), shared.sightings.clone());
                let bound = Dhcp::bind(link, tables, leases, log, sightings, health(Service::Dhcp));
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

/// A part that is bound, waiting to be run.
type Start = Box<dyn FnOnce(CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The intent that a part serves, if any of its services runs.
fn serves(served: &BTreeMap<Service, Arc<Intent>>, part: Part) -> Option<Arc<Intent>> {
    let own = part
        .services()
        .iter()
        .filter_map(|service| Some((service, served.get(service)?)));
    own.filter(|(service, intent)| intent.site.runs(**service))
        .map(|(_, intent)| Arc::clone(intent))
        .next()
}

fn listens_on(part: Part, address: Ipv4Addr) -> Vec<String> {
    use faros_model::ports::{DHCP_SERVER, DNS, NETBOOT_HTTP, TFTP};
    match part {
        Part::Dns => vec![format!("udp {address}:{DNS}"), format!("tcp {address}:{DNS}")],
        Part::Http => vec![format!("tcp {address}:{NETBOOT_HTTP}")],
        Part::Tftp => vec![format!("udp {address}:{TFTP}")],
        Part::Dhcp => vec![format!("udp 0.0.0.0:{DHCP_SERVER}, on the LAN's interface only")],
    }
}

/// Ends when one of the parts ends by itself.
async fn ended(running: &mut BTreeMap<Part, Running>) {
    if running.is_empty() {
        std::future::pending::<()>().await;
    }
    let tasks = running.values_mut().map(|running| &mut running.task);
    if let (Err(error), _, _) = futures_util::future::select_all(tasks).await {
        tracing::error!(%error, "a service ended");
    }
}

/// Why a port cannot be had, and by whom it is held.
fn taken(error: &BindError) -> String {
    let BindError {
        protocol,
        address,
        source,
    } = error;
    let what = format!("{error}: {source}");
    if source.kind() != std::io::ErrorKind::AddrInUse {
        return what;
    }
    match faros_kernel::ports::holder(protocol, *address.ip(), address.port()) {
        Some(holder) => {
            format!(
                "{what}: {} (process {}) has it; stop that service, then this one starts by itself",
                holder.command, holder.pid
            )
        }
        None => format!("{what}: another program has it"),
    }
}

/// Leases go to the store.
struct StoredLeases(faros_store::Store);

impl LeaseLog for StoredLeases {
    fn append(&self, lease: Lease, done: Box<dyn FnOnce(bool) + Send>) {
        self.0.append_lease(lease, done);
    }
}
