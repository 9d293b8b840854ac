//! The tracker: sightings in, events and phases out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use faros_model::{
    api::{Discovered, NodeStatus, Transfer},
    event::{Event, EventKind, Phase},
    ids::{HostName, MacAddr, SessionId},
    lease::Lease,
    sighting::Sighting,
    site::Site,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    discovered::{News, Strangers},
    evidence::{self, Evidence, Speaker, ends_transfer, is_a_wish, is_an_alarm},
    identity::{Identity, identity},
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

    /// Says whose a sighting is and what follows from it: the events to record, in their order.
    pub fn observe(&mut self, site: Option<&Site>, sighting: Sighting) -> Vec<Draft> {
        let address = sighting.address;
        if let (EventKind::DhcpAck, Some(address), Some(mac)) = (sighting.kind, address, sighting.mac) {
            self.leased.learn(address, mac);
        }
        if let (true, Some(address)) = (ends_transfer(sighting.kind), address) {
            self.transfers.remove(&address);
        }
        match whose(site, &self.leased, sighting.mac, address) {
            Whose::Node(node) => self.observe_node(node, sighting),
            Whose::Host(host) => vec![draft(sighting, Some(host), None)],
            Whose::Stranger(mac) => self.observe_stranger(mac, sighting),
            Whose::Nobody => self.bounded(vec![draft(sighting, None, None)], address.is_some()),
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

    fn observe_node(&mut self, node: HostName, sighting: Sighting) -> Vec<Draft> {
        let at = sighting.at;
        let record = self.nodes.entry(node.clone()).or_insert_with(|| NodeRecord {
            node: node.clone(),
            life: Life::Expected,
            firmware: None,
            uuid: None,
            is_overdue: false,
            last_event: None,
        });
        let identity = identity(&mut record.uuid, &sighting);
        let evidence = match &identity {
            Identity::Other { why, .. } => Evidence::Impostor(why.clone()),
            Identity::Unsaid | Identity::Known => Evidence::of(&sighting),
        };
        let was_closed = record.life.is_closed();
        let from = record.life.phase();
        let session_before = record.life.boot().map(|boot| boot.session);
        record.life = std::mem::take(&mut record.life).step(
            at,
            &evidence,
            self.next_session,
            identity == Identity::Known,
        );
        let session = record.life.boot().map(|boot| boot.session);
        let opened = session != session_before;
        if opened {
            self.next_session = SessionId(self.next_session.0 + 1);
        }
        // A loader that the firmware fetched announces its own architecture, which need not be the firmware's.
        let announces = match evidence {
            Evidence::Speaks(Speaker::Firmware) => true,
            Evidence::Speaks(Speaker::Loader) => opened || record.firmware.is_none(),
            _ => false,
        };
        if announces {
            record.firmware = evidence::firmware(&sighting.detail).or_else(|| record.firmware.take());
        }
        self.gone.remove(&node);
        self.changed.insert(node.clone());
        let to = record.life.phase();
        let belongs = record.life.session_at(at);
        if from != to || opened {
            record.is_overdue = false;
        }
        let alarm = match identity {
            Identity::Other { detail, .. } if !was_closed => Some(Draft {
                at,
                node: Some(node.clone()),
                session,
                kind: EventKind::IdentityConflict,
                detail,
            }),
            Identity::Other { .. } | Identity::Unsaid | Identity::Known => None,
        };
        let change = (from != to || opened).then(|| Draft {
            at,
            node: Some(node.clone()),
            session,
            kind: EventKind::PhaseChanged,
            detail: phase_detail(from, to, &sighting, &record.life),
        });
        let seen = draft(sighting, Some(node), belongs);
        std::iter::once(seen).chain(alarm).chain(change).collect()
    }

    fn observe_stranger(&mut self, mac: MacAddr, sighting: Sighting) -> Vec<Draft> {
        let news = if is_a_wish(sighting.kind) {
            let address = match sighting.kind {
                EventKind::DhcpAck | EventKind::DhcpInform => sighting.address,
                _ => None,
            };
            Some(self.strangers.saw(sighting.at, mac, address, &sighting.detail))
        } else {
            None
        };
        let mut drafts = vec![];
        if news == Some(News::First) && sighting.kind != EventKind::MachineDiscovered {
            let mut detail = Map::new();
            detail.insert("mac".to_owned(), mac.to_string().into());
            detail.extend(sighting.detail.clone());
            drafts.push(Draft {
                at: sighting.at,
                node: None,
                session: None,
                kind: EventKind::MachineDiscovered,
                detail,
            });
        }
        // Of one for whom there is no room nobody could tell whether it was.
        let told_before = sighting.kind == EventKind::MachineDiscovered
            && matches!(news, Some(News::Again | News::Crowded));
        if !told_before {
            drafts.insert(0, draft(sighting, None, None));
        }
        self.bounded(drafts, true)
    }

    /// What may be recorded of `drafts`, if someone who may be anyone caused them. Alarms may always.
    fn bounded(&mut self, mut drafts: Vec<Draft>, by_anyone: bool) -> Vec<Draft> {
        drafts.retain(|draft| !by_anyone || is_an_alarm(draft.kind) || self.strangers.may_record(draft.at));
        drafts
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

fn draft(sighting: Sighting, node: Option<HostName>, session: Option<SessionId>) -> Draft {
    Draft {
        at: sighting.at,
        node,
        session,
        kind: sighting.kind,
        detail: sighting.detail,
    }
}

fn phase_detail(from: Phase, to: Phase, sighting: &Sighting, life: &Life) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("from".to_owned(), from.as_str().into());
    detail.insert("to".to_owned(), to.as_str().into());
    let what = ["action", "report", "name", "vendorClass"]
        .into_iter()
        .find_map(|key| sighting.detail.get(key).and_then(Value::as_str));
    let evidence = match what {
        Some(what) => format!("{} ({what})", sighting.kind),
        None => sighting.kind.as_str().to_owned(),
    };
    detail.insert("evidence".to_owned(), evidence.into());
    if !life.why().is_empty() {
        detail.insert("reason".to_owned(), life.why().into());
    }
    detail
}
