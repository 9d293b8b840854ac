//! Machines that are not in the site file: remembered with all they said, and bounded in every way, because a
//! stranger may invent a new MAC for every packet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{api::Discovered, ids::MacAddr, sighting::StrangersQuota};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// So many are remembered. Whoever was silent for longest goes first, but nobody who spoke within [`SEEN_STEP`]: else
/// one that invents MACs would have all others forgotten, and the disk busy.
const MAX_MACHINES: usize = 256;

/// A machine that says nothing new is written down again after this time.
const SEEN_STEP: SignedDuration = SignedDuration::from_mins(1);

/// What a machine says about itself, among the details of a sighting.
const SAID: [&str; 7] = [
    "architecture",
    "vendorClass",
    "userClass",
    "uuid",
    "hostname",
    "clientId",
    "bootFile",
];

#[derive(Debug, Default)]
pub(crate) struct Strangers {
    machines: BTreeMap<MacAddr, Discovered>,
    changed: BTreeSet<MacAddr>,
    gone: BTreeSet<MacAddr>,
    /// Until when there is no room for another one.
    crowded: Option<Timestamp>,
    quota: StrangersQuota,
    muted: u64,
}

/// What is new about a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It was never seen before, or not for so long that it was forgotten.
    First,
    /// It was seen before.
    Again,
    /// There are too many to remember it.
    Crowded,
}

impl Strangers {
    pub(crate) fn remember(machines: Vec<Discovered>) -> Self {
        Self {
            machines: machines
                .into_iter()
                .map(|machine| (machine.mac, machine))
                .collect(),
            ..Self::default()
        }
    }

    /// Writes down what a stranger said.
    pub(crate) fn saw(
        &mut self,
        at: Timestamp,
        mac: MacAddr,
        address: Option<Ipv4Addr>,
        detail: &Map<String, Value>,
    ) -> News {
        let news = if self.machines.contains_key(&mac) {
            News::Again
        } else if self.make_room(at) {
            News::First
        } else {
            return News::Crowded;
        };
        let machine = self.machines.entry(mac).or_insert_with(|| Discovered {
            mac,
            first_seen: at,
            last_seen: at,
            address: None,
            said: Map::new(),
        });
        let mut told_news = address.is_some_and(|address| machine.address.replace(address) != Some(address));
        for (key, value) in detail {
            let is_said = SAID.contains(&key.as_str()) && !value.is_null();
            if is_said && machine.said.get(key) != Some(value) {
                machine.said.insert(key.clone(), value.clone());
                told_news = true;
            }
        }
        if news == News::First || told_news || at.duration_since(machine.last_seen) >= SEEN_STEP {
            machine.last_seen = at;
            self.changed.insert(mac);
            self.gone.remove(&mac);
        }
        news
    }

    /// Whether one more event about a stranger may be recorded.
    pub(crate) fn may_record(&mut self, at: Timestamp) -> bool {
        let may = self.quota.take(at);
        self.muted += u64::from(!may);
        may
    }

    pub(crate) const fn muted(&self) -> u64 {
        self.muted
    }

    /// Forgets those for whom `known` is true: they stand in the site file now.
    pub(crate) fn forget(&mut self, known: impl Fn(MacAddr) -> bool) {
        let adopted: Vec<MacAddr> = self.machines.keys().copied().filter(|mac| known(*mac)).collect();
        for mac in adopted {
            self.drop(mac);
        }
    }

    /// All of them, by MAC.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Discovered> {
        self.machines.values()
    }

    /// Who changed and who went, since this was last asked.
    pub(crate) fn take_changes(&mut self) -> (Vec<Discovered>, Vec<MacAddr>) {
        let changed = std::mem::take(&mut self.changed);
        let changed = changed.iter().filter_map(|mac| self.machines.get(mac).cloned());
        let changed = changed.collect();
        (changed, std::mem::take(&mut self.gone).into_iter().collect())
    }

    /// Whether there is room for one more, if need be after forgetting another one.
    fn make_room(&mut self, at: Timestamp) -> bool {
        if self.machines.len() < MAX_MACHINES {
            return true;
        }
        if self.crowded.is_some_and(|until| at < until) {
            return false;
        }
        let silent = self.machines.values().min_by_key(|machine| machine.last_seen);
        let Some((mac, last_seen)) = silent.map(|machine| (machine.mac, machine.last_seen)) else {
            return true;
        };
        // It may have spoken since, for up to one step.
        let until = last_seen + SEEN_STEP + SEEN_STEP;
        if at < until {
            self.crowded = Some(until);
            return false;
        }
        self.drop(mac);
        true
    }

    fn drop(&mut self, mac: MacAddr) {
        self.crowded = None;
        self.machines.remove(&mac);
        self.changed.remove(&mac);
        self.gone.insert(mac);
    }
}
