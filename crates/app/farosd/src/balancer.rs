//! The virtual IPs: holds them, asks who is well behind them, and has the kernel lead to those.
//!
//! The kernel leads every connection by itself. If this ends, everything stays as it was: addresses, slots,
//! connections. The next farosd begins with what it finds, and believes of a server that the kernel leads to that
//! it is well, until a probe says otherwise.

mod dead;
mod drain;
mod status;
mod table;
mod vips;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddrV4,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use faros_balancer::{Balancer, Effect, Evidence, Now, Probe, slots};
use faros_kernel::lan;
use faros_model::{
    api::ServiceState,
    event::EventKind,
    ids::Generation,
    plan::Service,
    site::{Distribution, Site},
};
use faros_net::{
    prober::{self, Prober},
    vip,
};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::{
    drain::{NotDrained, drain},
    status::status,
    table::Locked,
};
use self::{
    table::Table,
    vips::{Arp, Vips},
};
use crate::{
    daemon::{Intent, Shared, lock, set_state},
    notify,
};

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// What everyone in the daemon shares of balancing.
pub(crate) struct Balancing {
    core: Mutex<Balancer>,
    vips: Mutex<Vips>,
    pub(crate) table: Table,
    /// That the operator wants something else.
    nudge: Notify,
    started: Instant,
    /// Names of servers that get no new connections by the operator's will.
    drained: Mutex<BTreeSet<String>>,
}

impl Balancing {
    pub(crate) fn new(drained: BTreeSet<String>) -> Self {
        let mut core = Balancer::default();
        core.drain(drained.clone());
        Self {
            core: Mutex::new(core),
            vips: Mutex::default(),
            table: Table::new(),
            nudge: Notify::new(),
            started: Instant::now(),
            drained: Mutex::new(drained),
        }
    }

    fn now(&self) -> Now {
        Now {
            tick: self.started.elapsed(),
            at: Timestamp::now(),
        }
    }
}

/// What comes back to the loop.
enum Heard {
    Server(prober::Heard),
    Arp(Arp),
}

/// What the loop follows.
struct Followed {
    generation: Generation,
    /// Whose certificates the API's servers may have; `None` if anybody's.
    authority: Option<String>,
    prober: Result<Prober, String>,
    /// The tasks that ask servers, by service and address.
    askers: BTreeMap<(String, SocketAddrV4), mpsc::Sender<Probe>>,
}

/// Serves the virtual IPs until the daemon stops. What was set stays then.
pub(crate) async fn run(shared: Arc<Shared>) {
    let (tell, mut heard) = mpsc::unbounded_channel();
    let mut own = Loop {
        shared: Arc::clone(&shared),
        tell,
        followed: None,
        is_ended: false,
        put: None,
        held: (ServiceState::Waiting, String::new()),
        look_at: Instant::now(),
    };
    let (mut served, mut lan) = (shared.served.subscribe(), shared.lan.subscribe());
    let mut loaded = shared.balancing.table.loaded();
    let mut answers = VecDeque::new();
    loop {
        let intent = served.borrow_and_update().get(&Service::Balancer).cloned();
        lan.mark_unchanged();
        loaded.mark_unchanged();
        let (state, why, again) = own.settle(intent.as_deref(), &mut answers).await;
        if served.has_changed().unwrap_or(false) {
            continue;
        }
        let changed = set_state(&shared, Service::Balancer, state, &why);
        if let Some(health) = shared.health.get(&Service::Balancer) {
            let runs = intent.filter(|intent| intent.site.runs(Service::Balancer));
            health.serves(runs.map(|intent| intent.generation));
        }
        if changed {
            notify::status(&shared);
        }
        let again = async {
            match again {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = served.changed() => (),
            _ = lan.changed() => own.look_at = Instant::now(),
            _ = loaded.changed() => own.look_at = Instant::now(),
            () = shared.balancing.nudge.notified() => (),
            answer = heard.recv() => {
                answers.extend(answer);
                while let Ok(answer) = heard.try_recv() {
                    answers.push_back(answer);
                }
            }
            () = again => (),
        }
    }
}

/// The certificate of the authority that the API's servers are held to, in PEM: the site file's, else the one that
/// the bastion signs for its own cluster with. `None` where neither is known, or the roots are sealed.
fn api_authority(shared: &Shared, site: &Site) -> Option<String> {
    let own = || {
        let is_ours = site.cluster.distribution == Distribution::Kubeadm;
        let roots = shared.authority.held().filter(|_| is_ours)?;
        Some(roots.kubernetes.certificate_pem().to_owned())
    };
    site.balancer.api_ca.clone().or_else(own)
}

struct Loop {
    shared: Arc<Shared>,
    tell: mpsc::UnboundedSender<Heard>,
    followed: Option<Followed>,
    /// That there is nothing to give back.
    is_ended: bool,
    /// The shares by which the kernel leads.
    put: Option<AllShares>,
    /// How the virtual IPs were when they were last looked at.
    held: (ServiceState, String),
    /// When they are to be looked at next.
    look_at: Instant,
}

/// The shares of each service's backends.
type AllShares = BTreeMap<String, BTreeMap<SocketAddrV4, u32>>;

/// How it is, and after how long there is something to do.
type Settled = (ServiceState, String, Option<Duration>);

impl Loop {
    /// Does what is to be done now.
    async fn settle(&mut self, served: Option<&Intent>, answers: &mut VecDeque<Heard>) -> Settled {
        let Some(intent) = served.filter(|intent| intent.site.runs(Service::Balancer)) else {
            answers.clear();
            return match self.end().await {
                Ok(()) => (ServiceState::Off, String::new(), None),
                Err(error) => (ServiceState::Failed, format!("{error:#}"), Some(AGAIN)),
            };
        };
        let authority = api_authority(&self.shared, &intent.site);
        let is_followed = |own: &Followed| own.generation == intent.generation && own.authority == authority;
        if !self.followed.as_ref().is_some_and(is_followed)
            && let Err(error) = self.follow(intent, authority).await
        {
            return (ServiceState::Failed, format!("{error:#}"), Some(AGAIN));
        }
        let shared = Arc::clone(&self.shared);
        for answer in answers.drain(..) {
            match answer {
                Heard::Server(prober::Heard::Answer(probe, evidence, is_held)) => {
                    self.hear(&probe, &evidence, is_held);
                }
                Heard::Server(prober::Heard::Lost(probe, lost)) => {
                    let now = shared.balancing.now();
                    lock(&shared.balancing.core).lost(now, &probe, lost);
                }
                Heard::Arp(arp) => {
                    lock(&shared.balancing.vips).heard(&shared, arp);
                    self.look_at = Instant::now();
                }
            }
        }
        // Its time may come while nobody answers.
        let settled = lock(&shared.balancing.core).settle(shared.balancing.now());
        if let Some(effect) = settled {
            self.tell(effect);
        }
        if let Err(why) = self.ask() {
            return (ServiceState::Failed, why, None);
        }
        if let Err(error) = self.put().await {
            let error = anyhow::Error::new(error);
            return (ServiceState::Failed, format!("{error:#}"), Some(AGAIN));
        }
        if self.look_at <= Instant::now() {
            let (state, why, again) = self.hold(&intent.site).await;
            self.held = (state, why);
            self.look_at = Instant::now() + again;
        }
        let now = shared.balancing.now();
        let next = lock(&shared.balancing.core).next(now);
        let next = next.map(|at| at.saturating_sub(now.tick));
        let look = self.look_at.saturating_duration_since(Instant::now());
        let (state, why) = self.held.clone();
        (state, why, Some(next.map_or(look, |next| next.min(look))))
    }

    /// Takes up a generation, or another authority.
    async fn follow(&mut self, intent: &Intent, authority: Option<String>) -> anyhow::Result<()> {
        let site = &intent.site;
        let balancing = &self.shared.balancing;
        let held = balancing.table.lock().await?.slots().clone();
        let services = faros_balancer::services(site);
        lock(&balancing.core).follow(balancing.now(), services, &held);
        let name = format!("api.{}", site.zone());
        let prober = Prober::new(&name, authority.as_deref());
        self.followed = Some(Followed {
            generation: intent.generation,
            authority,
            prober: prober.map_err(|error| error.to_string()),
            askers: BTreeMap::new(),
        });
        (self.put, self.look_at, self.is_ended) = (None, Instant::now(), false);
        Ok(())
    }

    /// Gives everything back, once.
    async fn end(&mut self) -> anyhow::Result<()> {
        if self.is_ended {
            return Ok(());
        }
        let balancing = &self.shared.balancing;
        faros_kernel::vips::release().await?;
        lock(&balancing.vips).clear();
        lock(&balancing.core).follow(balancing.now(), vec![], &table::AllSlots::new());
        if self.followed.is_some() {
            let mut table = balancing.table.lock().await?;
            table.put(table::AllSlots::new()).await?;
        }
        (self.followed, self.put, self.is_ended) = (None, None, true);
        Ok(())
    }

    fn hear(&mut self, probe: &Probe, evidence: &Evidence, is_held: bool) {
        let shared = Arc::clone(&self.shared);
        let now = shared.balancing.now();
        let mut core = lock(&shared.balancing.core);
        let mut effects = core.hear(now, probe, evidence, is_held);
        effects.extend(core.settle(now));
        drop(core);
        if let (Some(counted), Evidence::Bad(fault)) = (shared.counted.get(&Service::Balancer), evidence) {
            counted.counter(fault.label()).add(1);
        }
        for effect in effects {
            self.tell(effect);
        }
    }

    fn tell(&self, effect: Effect) {
        let shared = &self.shared;
        match effect {
            Effect::Up {
                service,
                backend,
                address,
                why,
            } => {
                tracing::info!(service, backend, why, "a server came in");
                let detail =
                    json!({ "service": service, "backend": backend, "address": address, "reason": why });
                shared.tell(EventKind::BackendUp, detail);
            }
            Effect::Down {
                service,
                backend,
                address,
                why,
                left,
            } => {
                tracing::warn!(service, backend, why, left, "a server is out");
                let detail = json!({
                    "service": service, "backend": backend, "address": address, "reason": why, "left": left,
                });
                shared.tell(EventKind::BackendDown, detail);
            }
            Effect::GiveUp { transport, address } => {
                let shared = Arc::clone(shared);
                tokio::task::spawn_blocking(move || dead::end_connections(&shared, transport, address));
            }
            Effect::Retired { why } => {
                tracing::info!(why, "the bootstrap machine is let go");
                shared.tell(EventKind::BootstrapRetired, json!({ "reason": why }));
            }
        }
    }

    /// Asks whoever is to be asked now.
    fn ask(&mut self) -> Result<(), String> {
        let Some(followed) = &mut self.followed else {
            return Ok(());
        };
        let prober = followed.prober.clone()?;
        let balancing = &self.shared.balancing;
        for probe in lock(&balancing.core).due(balancing.now()) {
            let key = (probe.service.clone(), probe.address);
            let asker = followed.askers.entry(key).or_insert_with(|| {
                // A server is asked again only when it has answered: there is never more than one.
                let (asker, questions) = mpsc::channel(1);
                let (prober, tell) = (prober.clone(), self.tell.clone());
                tokio::spawn(async move {
                    // The loop may have ended.
                    let tell = |heard| drop(tell.send(Heard::Server(heard)));
                    prober.keep_asking(questions, tell).await;
                });
                asker
            });
            if let Err(error) = asker.try_send(probe) {
                tracing::error!(%error, "a server is not asked");
            }
        }
        Ok(())
    }

    /// Has the kernel lead to who is in.
    async fn put(&mut self) -> Result<(), faros_kernel::nft::Nft> {
        let balancing = &self.shared.balancing;
        let shares = lock(&balancing.core).shares(balancing.now());
        if self.put.as_ref() == Some(&shares) {
            return Ok(());
        }
        self.put = None;
        let slots = shares
            .iter()
            .map(|(service, shares)| (service.clone(), slots(shares)));
        balancing.table.lock().await?.put(slots.collect()).await?;
        self.put = Some(shares);
        Ok(())
    }

    /// Has the LAN's interface hold the virtual IPs that nobody else uses.
    async fn hold(&self, site: &Site) -> (ServiceState, String, Duration) {
        let shared = &self.shared;
        let wanted = faros_balancer::virtual_addresses(site);
        let known = shared.lan.borrow().clone();
        // As it is now, and not as it was when it was last told of.
        let Some(lan) = known.and_then(|lan| lan::look(&lan.name)) else {
            lock(&shared.balancing.vips).without_interface(&wanted);
            return (ServiceState::Waiting, shared.why_no_lan(), AGAIN);
        };
        let step = lock(&shared.balancing.vips).step(&wanted, &lan);
        let link = vips::link(&lan);
        if step.is_stale {
            if let Err(error) = faros_kernel::vips::hold(&lan, &step.take, &wanted).await {
                let error = anyhow::Error::new(error);
                return (ServiceState::Failed, format!("{error:#}"), AGAIN);
            }
            if let Err(error) = vip::announce(&link, &step.take) {
                tracing::warn!(%error, "cannot announce the virtual IPs");
            }
            lock(&shared.balancing.vips).took(shared, &step.take, &lan);
        }
        if !step.ask.is_empty() {
            let tell = self.tell.clone();
            tokio::spawn(async move {
                let found = vip::who_has(&link, &step.ask).await;
                // The loop may have ended.
                let _ = tell.send(Heard::Arp(Arp {
                    asked: step.ask,
                    found: found.map_err(|error| error.to_string()),
                }));
            });
        }
        let loaded = shared.balancing.table.loaded().borrow().clone();
        let is_loaded = |own: &faros_balancer::Service| loaded.contains(&own.name);
        let (state, why) = match lock(&shared.balancing.vips).state() {
            (ServiceState::Ready, _) if !faros_balancer::services(site).iter().all(is_loaded) => {
                let why = "the router's rules are not in the kernel yet".to_owned();
                (ServiceState::Waiting, why)
            }
            state => state,
        };
        (state, why, step.again)
    }
}
