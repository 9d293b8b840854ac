//! etcd, through the JSON gateway on its client port (`/v3/…`, gRPC-Gateway).
//!
//! Numbers of 64 bits are strings there, and what is zero or empty is left out. Members are listed as the asked one
//! knows them (not linearizable), so that a cluster without its majority tells still who belongs to it.

use std::net::SocketAddrV4;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use faros_cluster::etcd::{Listed, MemberId};
use hyper::Method;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::{
    KubeError,
    wire::{Answer, Wire},
};

const JSON: &str = "application/json";

/// One line of a snapshot has 32 KiB of it, in base64.
const MAX_LINE: usize = 1 << 20;

/// A client of one member of etcd.
#[derive(Clone)]
pub struct Etcd(Wire);

/// How a member is, by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdStatus {
    /// Its number.
    pub id: MemberId,
    /// The version of its program.
    pub version: String,
    /// The member that leads, as this one knows it; `None` without a majority.
    pub leader: Option<MemberId>,
    /// The newest revision it has.
    pub revision: u64,
    /// How much of the common log it has applied: of several members, the one with more has more.
    pub applied: u64,
    /// Size of its database on disk, in bytes.
    pub size: u64,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Etcd").field(&self.0.at).finish()
    }
}

impl Etcd {
    /// A client of the member at an address, which must have a certificate for that address by `authority`.
    ///
    /// # Errors
    /// The certificates are none.
    pub fn new(
        at: SocketAddrV4,
        authority: CertificateDer<'static>,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, KubeError> {
        let name = at.ip().to_string();
        Wire::new("etcd", at, &name, authority, certificate, key).map(Self)
    }

    /// Everyone who belongs to it.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn members(&self) -> Result<Vec<Listed>, KubeError> {
        let answer = self.ask("/v3/cluster/member/list", &json!({})).await?;
        let all = answer.get("members").and_then(Value::as_array);
        let all = all.into_iter().flatten();
        all.map(|own| listed(own).ok_or_else(|| self.0.unreadable(&"a member without a number")))
            .collect()
    }

    /// Whether it takes writes: it is up, it has a leader, and no alarm stops it.
    ///
    /// # Errors
    /// It does not answer, or says that it is not well.
    pub async fn health(&self) -> Result<(), KubeError> {
        let answer = self.0.ask(Method::GET, "/health", None).await?;
        if answer["health"] == "true" {
            return Ok(());
        }
        Err(KubeError::Refused {
            whom: "etcd",
            status: 503,
            message: answer["reason"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// How it is.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn status(&self) -> Result<EtcdStatus, KubeError> {
        let answer = self.ask("/v3/maintenance/status", &json!({})).await?;
        let number = |pointer| number(&answer, pointer);
        Ok(EtcdStatus {
            id: MemberId(number("/header/member_id")),
            version: answer["version"].as_str().unwrap_or_default().to_owned(),
            leader: Some(number("/leader")).filter(|id| *id != 0).map(MemberId),
            revision: number("/header/revision"),
            applied: number("/raftAppliedIndex"),
            size: number("/dbSize"),
        })
    }

    /// Takes a member away; one that is not there is away.
    ///
    /// # Errors
    /// It does not answer, or refuses: etcd itself keeps its majority too.
    pub async fn remove(&self, member: MemberId) -> Result<(), KubeError> {
        let asks = json!({ "ID": member.0.to_string() });
        match self.ask("/v3/cluster/member/remove", &asks).await {
            Ok(_) | Err(KubeError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The whole database as it is now, piece by piece, and after it its SHA-256.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn snapshot(&self) -> Result<Snapshot, KubeError> {
        let asks = json!({});
        let path = "/v3/maintenance/snapshot";
        let sent = self.0.send(Method::POST, path, Some((JSON, &asks)));
        let answer = tokio::time::timeout(crate::PATIENCE, sent)
            .await
            .map_err(|_| KubeError::Late { whom: "etcd" })??;
        Ok(Snapshot {
            answer,
            lines: Lines::default(),
        })
    }

    async fn ask(&self, path: &str, body: &Value) -> Result<Value, KubeError> {
        self.0.ask(Method::POST, path, Some((JSON, body))).await
    }
}

/// A snapshot that is being sent.
#[derive(Debug)]
pub struct Snapshot {
    answer: Answer,
    lines: Lines,
}

impl Snapshot {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// etcd breaks off, or says what cannot be read.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, KubeError> {
        let unreadable = |why: &str| KubeError::Answer {
            whom: "etcd",
            why: why.to_owned(),
        };
        loop {
            if let Some(piece) = self.lines.next().map_err(unreadable)? {
                return Ok(Some(piece));
            }
            match self.answer.piece().await? {
                Some(more) => self.lines.feed(&more),
                None if self.lines.is_empty() => return Ok(None),
                None => return Err(unreadable("the snapshot ends within a line")),
            }
        }
    }
}

/// One JSON object a line: `{"result": {"blob": "…"}}`, or `{"error": …}`.
#[derive(Debug, Default)]
struct Lines(BytesMut);

impl Lines {
    fn feed(&mut self, more: &Bytes) {
        self.0.extend_from_slice(more);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        let Some(end) = self.0.iter().position(|byte| *byte == b'\n') else {
            return if self.0.len() > MAX_LINE {
                Err("a line of the snapshot is too long")
            } else {
                Ok(None)
            };
        };
        let line = self.0.split_to(end + 1);
        let value: Value = serde_json::from_slice(&line).map_err(|_| "a line of the snapshot is no JSON")?;
        let Some(result) = value.get("result") else {
            return Err("etcd gave the snapshot up");
        };
        let blob = result.get("blob").and_then(Value::as_str).unwrap_or_default();
        let piece = STANDARD
            .decode(blob)
            .map_err(|_| "a piece of the snapshot is no base64")?;
        Ok(Some(piece))
    }
}

fn number(object: &Value, pointer: &str) -> u64 {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn listed(object: &Value) -> Option<Listed> {
    let urls = object.get("peerURLs").and_then(Value::as_array);
    Some(Listed {
        id: Some(MemberId(number(object, "/ID"))).filter(|id| id.0 != 0)?,
        name: object["name"].as_str().unwrap_or_default().to_owned(),
        peers: urls
            .into_iter()
            .flatten()
            .filter_map(|own| own.as_str().map(str::to_owned))
            .collect(),
        is_learner: object["isLearner"] == true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_across_any_seams() {
        let text = b"{\"result\":{\"blob\":\"YWJj\"}}\n{\"result\":{\"remaining_bytes\":\"0\"}}\n{\"result\":{\"blob\":\"ZA==\"}}\n";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut whole = Vec::new();
            for piece in text.chunks(size) {
                lines.feed(&Bytes::copy_from_slice(piece));
                while let Ok(Some(piece)) = lines.next() {
                    whole.extend(piece);
                }
            }
            assert!(lines.is_empty());
            assert_eq!(whole, b"abcd");
        }
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in [
            "{\"error\":{\"code\":14}}\n",
            "\n",
            "{\"result\":{\"blob\":\"!\"}}\n",
        ] {
            let mut lines = Lines::default();
            lines.feed(&Bytes::from_static(text.as_bytes()));
            assert!(lines.next().is_err(), "{text}");
        }
        let mut lines = Lines::default();
        lines.feed(&Bytes::from(vec![b'a'; MAX_LINE + 1]));
        assert!(lines.next().is_err());
    }

    #[test]
    fn a_member_is_read_as_etcd_lists_it() {
        let own = json!({"ID": "3319814642761637952", "peerURLs": ["https://192.168.8.11:2380"], "isLearner": true});
        let own = listed(&own).map(|own| (own.id, own.name, own.peers, own.is_learner));
        let peers = vec!["https://192.168.8.11:2380".to_owned()];
        assert_eq!(
            own,
            Some((MemberId(3_319_814_642_761_637_952), String::new(), peers, true))
        );
        assert_eq!(listed(&json!({"name": "a"})), None);
    }
}
