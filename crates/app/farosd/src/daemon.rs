//! The daemon as a whole: what it is told at its start, and the order in which it starts and ends.

mod shared;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
};

use anyhow::Context as _;
use faros_boot::Tracker;
use faros_model::{api::ServiceState, event::EventKind, plan::Service};
use faros_net::service::{Health, Sightings};
use faros_store::{OpenStore, Store};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::shared::{Intent, Shared, keep, lock, set_state};
use crate::{
    api,
    balancer::{self, Balancing},
    cluster::{self, Clustering},
    executor::{self, CutOff},
    keeper::{Keeper, UnsealBy},
    loaders, notify, recorder, router,
    services::Services,
    time::KeepClock,
    unlock::Unlock,
};

/// So many events are kept for those who follow them; who falls behind reads on in the history. There is room for all
/// of them from the start.
const FOLLOWED: usize = 512;

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) state_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) lan: Option<String>,
    pub(crate) uplink: Option<String>,
    pub(crate) loaders: PathBuf,
    pub(crate) unseal_by: UnsealBy,
    pub(crate) clock: KeepClock,
    /// D-Bus address of the system bus.
    pub(crate) system_bus: String,
}

/// A daemon that holds its state folder and has not begun to serve.
pub(crate) struct Daemon {
    shared: Arc<Shared>,
    seen: recorder::Seen,
    cut_off: Option<CutOff>,
}

impl Daemon {
    /// Opens the state folder and reads all that is remembered.
    pub(crate) fn open(options: Options) -> anyhow::Result<Self> {
        let store = Store::open(&options.state_dir).map_err(with_hint)?;
        let tracker = Tracker::new(store.lives()?, store.discovered()?, store.next_session()?);
        let (sightings, seen) = Sightings::channel(8192);
        let (settling, waiting) = mpsc::channel(16);
        let health = || {
            let own = Service::ALL.into_iter();
            own.map(|service| (service, Health::new(service))).collect()
        };
        let shared = Shared {
            unlock: Unlock::open(&store, options.unseal_by.clone())?,
            cluster: Clustering::new(store.cluster()?),
            authority: Keeper::new(store.dir(), options.unseal_by.clone()),
            options,
            started_at: Timestamp::now(),
            intent: watch::Sender::new(None),
            served: watch::Sender::new(BTreeMap::new()),
            armed: RwLock::default(),
            tracker: Mutex::new(tracker),
            events: broadcast::Sender::new(FOLLOWED),
            sightings,
            settling,
            health: health(),
            counted: health(),
            lan: watch::Sender::new(None),
            leases: Mutex::new(None),
            balancing: Balancing::new(store.drained()?),
            filters: Mutex::default(),
            time: watch::Sender::new(None),
            passing: tokio::sync::Mutex::new(()),
            applying: Arc::default(),
            apply: Mutex::new(None),
            pending: Mutex::new(None),
            leftover: Mutex::new(None),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
            store,
        };
        shared.reload_armed()?;
        let daemon = Self {
            cut_off: CutOff::find(&shared)?,
            shared: Arc::new(shared),
            seen: recorder::Seen { seen, waiting },
        };
        daemon.restore()?;
        Ok(daemon)
    }

    /// Takes up the last accepted generation.
    fn restore(&self) -> anyhow::Result<()> {
        let shared = &self.shared;
        lock(&shared.tracker).learn_leases(&shared.store.leases()?);
        let Some(latest) = shared.store.latest_generation()? else {
            return Ok(());
        };
        let row = shared.store.generation(latest.generation)?;
        let text = row
            .and_then(|row| row.site_file)
            .context("the accepted generation has no site file")?;
        let loaded = faros_site::load(&text).map_err(|problems| {
            let what = problems
                .problems
                .first()
                .map(|problem| problem.message.clone())
                .unwrap_or_default();
            anyhow::anyhow!(
                "this version of farosd refuses generation {}, which an earlier one accepted: {what}",
                latest.generation
            )
        })?;
        let intent = Arc::new(Intent {
            generation: latest.generation,
            site: loaded.site,
            warnings: loaded.warnings,
        });
        lock(&shared.tracker).follow(&intent.site);
        // Whoever asks before they are looked at the first time must not hear that they are off.
        for (service, health) in &shared.health {
            if intent.site.runs(*service) {
                health.set(ServiceState::Waiting, "it is being started");
            }
        }
        shared.serve(intent);
        Ok(())
    }

    /// Serves until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let shared = self.shared;
        let mut listener = Some(api::listen(&shared.options.socket)?);
        // It records how all others end.
        let ended = CancellationToken::new();
        let recorder = tokio::spawn(recorder::run(Arc::clone(&shared), self.seen, ended.clone()));
        let generation = shared.intent().map(|intent| intent.generation);
        shared.tell(
            EventKind::DaemonStarted,
            json!({ "version": env!("CARGO_PKG_VERSION"), "generation": generation }),
        );
        tracing::info!(
            state = %shared.options.state_dir.display(),
            generation = generation.map(|generation| generation.0),
            lan = shared.lan_interface(),
            uplink = shared.options.uplink,
            "started"
        );

        let services = tokio::spawn(Services::new(Arc::clone(&shared)).run());
        let router = tokio::spawn(router::run(Arc::clone(&shared)));
        let balancer = tokio::spawn(balancer::run(Arc::clone(&shared)));
        let cluster = tokio::spawn(cluster::run(Arc::clone(&shared)));
        let import = tokio::task::spawn_blocking({
            let shared = Arc::clone(&shared);
            move || loaders::import(&shared)
        });
        if let Some(cut_off) = self.cut_off {
            tokio::spawn(cut_off.resume(Arc::clone(&shared)));
        }
        let serve = tokio::spawn(api::serve(
            Arc::clone(&shared),
            listener.take().context("listening once")?,
        ));
        notify::ready(&shared);
        tokio::spawn(notify::watchdog(Arc::clone(&shared)));

        stop.cancelled().await;
        notify::stopping();
        shared.tell(EventKind::DaemonStopping, json!({ "reason": "signal" }));
        executor::close(&shared).await;
        // An apply under way may end its step; the rest is resumed at the next start.
        shared.stop.cancel();
        let _ = tokio::join!(services, router, balancer, cluster);
        serve.abort();
        let _ = import.await;
        ended.cancel();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), recorder).await;
        shared
            .store
            .flush()
            .await
            .context("cannot write the last events")?;
        drop(std::fs::remove_file(&shared.options.socket));
        tracing::info!("stopped");
        Ok(())
    }
}

fn with_hint(error: OpenStore) -> anyhow::Error {
    let hint = error.hint().unwrap_or_default();
    let error = anyhow::Error::new(error);
    if hint.is_empty() {
        error
    } else {
        error.context(hint)
    }
}
