//! The tracker: sightings in, events and phases out.
//!
//! What it remembers and what it hands out are here; what follows from a sighting is a part of its own.

mod observe;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use faros_model::{
    api::{Discovered, NodeStatus, Transfer},
    event::{Event, EventKind, Phase},
    ids::{HostName, MacAddr, SessionId},
    lease::Lease,
    site::Site,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    discovered::Strangers,
    life::Life,
    whose::{Addresses, Whose, whose},
};

/// So many transfers under way are followed; there are no more nodes than that on one switch.
const MAX_TRANSFERS: usize = 1024;

/// What is remembered of one node from one run of the daemon to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Which node.
    pub node: HostName,
    /// Where it is in its life.
    pub life: Life,
    /// What its firmware announced, such as `bios` or `uefi-x86_64`.
    pub firmware: Option<String>,
    /// The SMBIOS UUID of the machine that is this node, until it is armed anew.
    #[serde(default)]
    pub uuid: Option<String>,
    /// Whether it was told that the present phase takes too long.
    #[serde(default)]
    pub is_overdue: bool,
    /// The last event about it.
    pub last_event: Option<Event>,
}

/// An event that has no number yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// When it was seen.
    pub at: Timestamp,
    /// The node or host it is about.
    pub node: Option<HostName>,
    /// The boot session it belongs to.
    pub session: Option<SessionId>,
    /// What happened.
    pub kind: EventKind,
    /// Facts about it.
    pub detail: Map<String, Value>,
}

impl Draft {
    /// The event, as number `seq`.
    pub fn numbered(self, seq: u64) -> Event {
        Event {
            seq,
            at: self.at,
            node: self.node,
            session: self.session,
            kind: self.kind,
            detail: self.detail,
        }
    }
}

/// What changed since it was last asked for, for whoever keeps it on disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Nodes that changed.
    pub nodes: Vec<NodeRecord>,
    /// Nodes that are no longer in the site.
    pub gone: Vec<HostName>,
    /// Unknown machines that changed.
    pub discovered: Vec<Discovered>,
    /// Machines that were unknown, and are forgotten or stand in the site file now.
    pub forgotten: Vec<MacAddr>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Follows every machine on the LAN.
#[derive(Debug)]
pub struct Tracker {
    nodes: BTreeMap<HostName, NodeRecord>,
    next_session: SessionId,
    strangers: Strangers,
    leased: Addresses,
    transfers: HashMap<Ipv4Addr, Transfer>,
    changed: BTreeSet<HostName>,
    gone: BTreeSet<HostName>,
}

impl Tracker {
    /// A tracker that goes on from what an earlier one handed out.
    pub fn new(nodes: Vec<NodeRecord>, discovered: Vec<Discovered>, next_session: SessionId) -> Self {
        let mut leased = Addresses::default();
        for machine in &discovered {
            if let Some(address) = machine.address {
                leased.learn(address, machine.mac);
            }
        }
        Self {
            nodes: nodes
                .into_iter()
                .map(|record| (record.node.clone(), record))
                .collect(),
            next_session,
            strangers: Strangers::remember(discovered),
            leased,
            transfers: HashMap::new(),
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Learns who has which address from the leases that are on disk.
    pub fn learn_leases(&mut self, leases: &[Lease]) {
        for lease in leases {
            self.leased.learn(lease.address, lease.mac);
        }
    }

    /// Takes note of an event that was numbered, whoever drafted it.
    pub fn recorded(&mut self, event: &Event) {
        if let Some(record) = event.node.as_ref().and_then(|node| self.nodes.get_mut(node)) {
            record.last_event = Some(event.clone());
            self.changed.insert(record.node.clone());
        }
    }

    /// Takes note of how far a transfer is. Kept in memory only.
    pub fn progress(&mut self, address: Ipv4Addr, name: &str, bytes: u64, of: u64) {
        if self.transfers.len() >= MAX_TRANSFERS && !self.transfers.contains_key(&address) {
            return;
        }
        let name = name.to_owned();
        self.transfers.insert(address, Transfer { name, bytes, of });
    }

    /// Forgets nodes that are no longer in the site, and unknown machines that are in it now.
    pub fn follow(&mut self, site: &Site) {
        let stays = |node: &HostName| site.nodes.contains_key(node);
        let gone: Vec<HostName> = self.nodes.keys().filter(|node| !stays(node)).cloned().collect();
        for node in gone {
            self.nodes.remove(&node);
            self.changed.remove(&node);
            self.gone.insert(node);
        }
        let nobody = Addresses::default();
        self.strangers
            .forget(|mac| !matches!(whose(Some(site), &nobody, Some(mac), None), Whose::Stranger(_)));
    }

    /// All nodes of the site, as the API shows them.
    pub fn nodes(&self, site: &Site, armed: impl Fn(&HostName) -> bool) -> Vec<NodeStatus> {
        let status = |node: &faros_model::site::Node| {
            let record = self.nodes.get(&node.name);
            let life = record.map(|record| &record.life);
            let boot = life.and_then(Life::boot);
            NodeStatus {
                name: node.name.clone(),
                boot_mac: node.boot_mac,
                address: node.address,
                roles: node.roles.clone(),
                phase: life.map_or(Phase::Expected, Life::phase),
                since: boot.map(|boot| boot.since),
                reason: life.map_or("", Life::why).to_owned(),
                armed: armed(&node.name),
                session: boot.map(|boot| boot.session),
                firmware: record.and_then(|record| record.firmware.clone()),
                last_event: record.and_then(|record| record.last_event.clone()),
                transfer: self.transfer_to(site, node),
            }
        };
        site.nodes.values().map(status).collect()
    }

    /// Machines that are not in the site file, by MAC.
    pub fn discovered(&self) -> Vec<Discovered> {
        self.strangers.all().cloned().collect()
    }

    /// How many events about unknown machines were not recorded, because there were too many.
    pub const fn muted(&self) -> u64 {
        self.strangers.muted()
    }

    /// The id that the next boot session gets.
    pub const fn next_session(&self) -> SessionId {
        self.next_session
    }

    /// What changed since this was last asked, to be kept on disk.
    pub fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let nodes = changed.iter().filter_map(|node| self.nodes.get(node).cloned());
        let nodes = nodes.collect();
        let (discovered, forgotten) = self.strangers.take_changes();
        Changes {
            nodes,
            gone: std::mem::take(&mut self.gone).into_iter().collect(),
            discovered,
            forgotten,
        }
    }

    /// Forgets which machine the node was: the operator says that the next one to boot is it. `true` if its boot was
    /// closed, because that was not clear.
    pub fn expect_any_machine(&mut self, node: &HostName) -> bool {
        let Some(record) = self.nodes.get_mut(node) else {
            return false;
        };
        let was_closed = record.life.is_closed();
        record.uuid = None;
        record.life = std::mem::take(&mut record.life).reopened();
        self.changed.insert(node.clone());
        was_closed
    }

    /// Where a node is in its life.
    pub fn life(&self, node: &HostName) -> Option<&Life> {
        self.nodes.get(node).map(|record| &record.life)
    }

    /// When the next phase will be overdue; `None` if none can be.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let running = self.nodes.values().filter(|record| !record.is_overdue);
        running.filter_map(|record| due(&record.life)).min()
    }

    /// Tells of phases that take too long, once each.
    pub fn on_timer(&mut self, now: Timestamp) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for record in self.nodes.values_mut().filter(|record| !record.is_overdue) {
            let (Some(due), Some(boot), Some(limit)) =
                (due(&record.life), record.life.boot(), record.life.limit())
            else {
                continue;
            };
            if now < due {
                continue;
            }
            record.is_overdue = true;
            self.changed.insert(record.node.clone());
            let mut detail = Map::new();
            detail.insert("phase".to_owned(), record.life.phase().as_str().into());
            detail.insert(
                "seconds".to_owned(),
                now.duration_since(boot.since).as_secs().into(),
            );
            detail.insert("limit".to_owned(), limit.as_secs().into());
            drafts.push(Draft {
                at: now,
                node: Some(record.node.clone()),
                session: Some(boot.session),
                kind: EventKind::PhaseOverdue,
                detail,
            });
        }
        drafts
    }

    /// Whether a sign of life of this node says something new, which makes it an event.
    pub fn is_news(&self, node: &HostName) -> bool {
        !matches!(
            self.life(node),
            Some(Life::Unlocked(_) | Life::Joined(_) | Life::Ready(_))
        )
    }

    /// What is being sent to a node, at its own address or at one it was leased for another of its interfaces.
    fn transfer_to(&self, site: &Site, node: &faros_model::site::Node) -> Option<Transfer> {
        let own = self.transfers.get(&node.address);
        let leased = || {
            let is_its = |address: Ipv4Addr| {
                let whose = whose(Some(site), &self.leased, None, Some(address));
                whose == Whose::Node(node.name.clone())
            };
            let found = self.transfers.iter().find(|(address, _)| is_its(**address));
            found.map(|(_, transfer)| transfer)
        };
        own.or_else(leased).cloned()
    }
}

/// When the present phase takes too long: after its limit, or when the machine was silent for as long.
fn due(life: &Life) -> Option<Timestamp> {
    let since = life.boot()?.since;
    since.checked_add(life.limit()?).ok()
}
