//! What follows from a sighting: whose it is, what it changes, and which events are made of it.
//!
//! Nobody is kept from sending: what may be anyone's is recorded within bounds, and alarms always.

use faros_model::{
    event::{EventKind, Phase},
    ids::{HostName, MacAddr, SessionId},
    sighting::Sighting,
    site::Site,
};
use serde_json::{Map, Value};

use super::{Draft, NodeRecord, Tracker};
use crate::{
    discovered::News,
    evidence::{self, Evidence, Speaker, ends_transfer, is_a_wish, is_an_alarm},
    identity::{Identity, identity},
    life::Life,
    whose::{Whose, whose},
};

impl Tracker {
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
        // Of one for whom there is no room nobody could tell whether it was discovered before.
        let discovered = (news == Some(News::First)).then(|| {
            let mut detail = Map::new();
            detail.insert("mac".to_owned(), mac.to_string().into());
            detail.extend(sighting.detail.clone());
            Draft {
                at: sighting.at,
                node: None,
                session: None,
                kind: EventKind::MachineDiscovered,
                detail,
            }
        });
        let seen = draft(sighting, None, None);
        self.bounded(std::iter::once(seen).chain(discovered).collect(), true)
    }

    /// What may be recorded of `drafts`, if someone who may be anyone caused them. Alarms may always.
    fn bounded(&mut self, mut drafts: Vec<Draft>, by_anyone: bool) -> Vec<Draft> {
        drafts.retain(|draft| !by_anyone || is_an_alarm(draft.kind) || self.strangers.may_record(draft.at));
        drafts
    }
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
