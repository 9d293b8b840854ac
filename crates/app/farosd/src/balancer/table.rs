//! What the balancer has in the router's table: which backend each slot belongs to.
//!
//! The router loads the table whole, seldom; the balancer changes elements of it, often. Both hold this lock
//! meanwhile, so a load takes over what the balancer wants, and a change of elements meets the table that it is
//! meant for. What the kernel held before farosd started is where the balancer begins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use faros_balancer::Slots;
use faros_firewall::{FAMILY, Listing, Live, Ruleset, TABLE};
use faros_kernel::nft;
use tokio::sync::{Mutex, MutexGuard, watch};

/// The slots of each service.
pub(crate) type AllSlots = BTreeMap<String, Slots>;

/// The table, as far as the balancer is concerned.
pub(crate) struct Table {
    kept: Mutex<Kept>,
    /// The services that the table in the kernel has maps for.
    loaded: watch::Sender<BTreeSet<String>>,
}

#[derive(Default)]
struct Kept {
    is_read: bool,
    /// What the maps are to hold.
    wanted: AllSlots,
    /// What they hold, as far as that is known.
    held: AllSlots,
    /// The processes by which we changed the table, the newest last.
    own: VecDeque<u32>,
    /// The table as it was found, and the kernel's number of the transaction before that look.
    found: Option<(u32, Listing)>,
}

/// So many of our own processes are remembered: the kernel tells of them within moments.
const OWN: usize = 256;

/// The table, with nobody else at it.
pub(crate) struct Locked<'a> {
    kept: MutexGuard<'a, Kept>,
    loaded: &'a watch::Sender<BTreeSet<String>>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            loaded: watch::Sender::default(),
        }
    }

    /// Which services the table has maps for, and when that changes.
    pub(crate) fn loaded(&self) -> watch::Receiver<BTreeSet<String>> {
        self.loaded.subscribe()
    }

    pub(crate) async fn lock(&self) -> Result<Locked<'_>, nft::Nft> {
        let mut kept = self.kept.lock().await;
        if !kept.is_read {
            let before = nft::generation().ok();
            let text = nft::list(FAMILY, TABLE).await?;
            let found = text.as_deref().map(Listing::parse).unwrap_or_default();
            kept.wanted.clone_from(found.slots());
            kept.held.clone_from(found.slots());
            kept.is_read = true;
            kept.found = before.map(|before| (before, found));
        }
        Ok(Locked {
            kept,
            loaded: &self.loaded,
        })
    }
}

impl Locked<'_> {
    /// The table as it was found at the start, once, if no transaction came after the one of this number.
    pub(crate) fn take_found(&mut self, seen: u32) -> Option<Listing> {
        let (before, found) = self.kept.found.take()?;
        (before == seen).then_some(found)
    }

    /// What the maps are to hold.
    pub(crate) fn slots(&self) -> &AllSlots {
        &self.kept.wanted
    }

    /// Takes note that it was we who changed the table by this process.
    pub(crate) fn applied(&mut self, pid: u32) {
        let own = &mut self.kept.own;
        own.push_back(pid);
        if own.len() > OWN {
            own.pop_front();
        }
    }

    /// Whether it was we who changed the table by this process.
    pub(crate) fn is_own(&self, pid: u32) -> bool {
        self.kept.own.contains(&pid)
    }

    /// What a load takes over, with these counters.
    pub(crate) fn with(&self, counted: &BTreeMap<String, (u64, u64)>) -> Live {
        Live {
            slots: self.kept.wanted.clone(),
            counted: counted.clone(),
        }
    }

    /// Takes note that the kernel has this table now, with what [`Self::with`] said.
    pub(crate) fn is_loaded(&mut self, rules: &Ruleset) {
        self.kept.held = self.kept.wanted.clone();
        let services = rules.balanced.iter().map(|own| own.service.clone());
        self.tell(services.collect());
    }

    /// Takes note that there is no table.
    pub(crate) fn is_gone(&mut self) {
        self.kept.held.clear();
        self.tell(BTreeSet::new());
    }

    fn tell(&self, services: BTreeSet<String>) {
        self.loaded.send_if_modified(|own| {
            let changed = *own != services;
            *own = services;
            changed
        });
    }

    /// Has the maps hold these slots from now on. A service that has no map yet gets its slots with the table.
    pub(crate) async fn put(&mut self, slots: AllSlots) -> Result<(), nft::Nft> {
        self.kept.wanted = slots;
        let loaded = self.loaded.borrow().clone();
        let mut wanted = self.kept.wanted.clone();
        wanted.retain(|service, _| loaded.contains(service));
        let change = faros_firewall::update(&self.kept.held, &wanted);
        if change.is_empty() {
            return Ok(());
        }
        let done = nft::apply(&change).await.map(|pid| self.applied(pid));
        if done.is_err() {
            // Somebody changed them. The next try begins with what there is.
            let text = nft::list(FAMILY, TABLE).await?;
            let found = text.as_deref().map(Listing::parse).unwrap_or_default();
            self.kept.held.clone_from(found.slots());
            return done;
        }
        self.kept.held = wanted;
        Ok(())
    }
}
