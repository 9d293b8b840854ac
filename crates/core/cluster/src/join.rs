//! Who is given what joins a node to its cluster.
//!
//! Four things must agree: the address, the MAC behind it, a live boot of that node, and the secret that this
//! installation of the node got with its one-time Ignition config. Then it gets one token, which lives for minutes,
//! works for one certificate of one name, and is withdrawn when the next is given.

use faros_model::{
    ids::{Digest, HostName, SessionId},
    site::{Caller, Stranger},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::file::File;

/// So long a token is good: images are fetched before it is used.
pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(20);

/// Where a node finds the cluster's authority and its token while it joins; in memory.
pub const DISCOVERY: &str = "/run/faros-join/discovery.conf";

/// Where it finds kubeadm's configuration.
pub const CONFIG: &str = "/run/faros-join/kubeadm.yaml";

/// Somebody asks to join as a node.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    /// Who asks, as the node.
    pub caller: Caller<'a>,
    /// The node's boot session, if one is live.
    pub live: Option<SessionId>,
    /// SHA-256 of the secret that the request shows, if it shows one.
    pub shows: Option<Digest>,
    /// SHA-256 of the secret that the node got when it was installed last.
    pub installed_with: Option<Digest>,
}

/// Why nothing is given to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoJoin {
    /// There is no such node.
    UnknownNode,
    /// Whoever asks is not the node.
    Stranger(Stranger),
    /// The bastion has seen no boot of the node that is still live.
    NoSession,
    /// The node was not installed by this bastion for a cluster.
    NotInstalled,
    /// It does not show the secret of the node's last installation.
    WrongSecret,
}

impl NoJoin {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::UnknownNode,
        Self::Stranger(Stranger::WrongAddress),
        Self::Stranger(Stranger::WrongMac),
        Self::Stranger(Stranger::IdentityConflict),
        Self::NoSession,
        Self::NotInstalled,
        Self::WrongSecret,
    ];

    /// The stable word, in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNode => "unknown-node",
            Self::Stranger(stranger) => stranger.as_str(),
            Self::NoSession => "no-session",
            Self::NotInstalled => "not-installed",
            Self::WrongSecret => "wrong-secret",
        }
    }

    /// What it means, as a sentence without its full stop.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownNode => "there is no such node",
            Self::Stranger(stranger) => stranger.message(),
            Self::NoSession => "the bastion has not seen the node boot",
            Self::NotInstalled => "the node was not installed for a cluster by this bastion",
            Self::WrongSecret => "it does not show the secret of the node's last installation",
        }
    }

    /// Whether this may be an attack, rather than a machine that is behind the times.
    pub const fn is_alarming(self) -> bool {
        !matches!(self, Self::UnknownNode | Self::NoSession | Self::NotInstalled)
    }
}

/// Decides who may join as a node, and in which boot session.
///
/// # Errors
/// Why nothing is given to whoever asks: who it is comes first, then its boot, then the secret.
pub fn admit(asks: &Asks<'_>) -> Result<SessionId, NoJoin> {
    asks.caller.identified().map_err(NoJoin::Stranger)?;
    let session = asks.live.ok_or(NoJoin::NoSession)?;
    // Digests may be compared in any time: who learns where they differ learns nothing of a secret.
    match (asks.installed_with, asks.shows) {
        (None, _) => Err(NoJoin::NotInstalled),
        (Some(installed), Some(shows)) if installed == shows => Ok(session),
        (Some(_), _) => Err(NoJoin::WrongSecret),
    }
}

/// A token that was given to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Its public half.
    pub token_id: String,
    /// To which node.
    pub node: HostName,
    /// In which of its boots.
    pub session: SessionId,
    /// Until when it is good.
    pub expires: Timestamp,
    /// The request for a certificate that it was used for.
    pub used_for: Option<String>,
}

impl Grant {
    /// A token that is given now.
    pub fn new(token_id: String, node: HostName, session: SessionId, now: Timestamp) -> Self {
        Self {
            token_id,
            node,
            session,
            expires: now + TOKEN_LIFE,
            used_for: None,
        }
    }
}

/// A bootstrap token: `<id>.<secret>`, 6 and 16 of `a-z0-9`, of bits that somebody drew.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: String,
}

impl Token {
    /// The token of these bits, 82 of which count for the secret.
    pub fn of(bits: [u8; 32]) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let [low, high] = [0, 16].map(|at| {
            let half: [u8; 16] = std::array::from_fn(|idx| bits[at + idx]);
            u128::from_le_bytes(half)
        });
        let digits = |mut number: u128, n: usize| {
            let mut text = String::with_capacity(n);
            for _ in 0..n {
                // The remainder is below 36.
                text.push(char::from(DIGITS[(number % 36) as usize]));
                number /= 36;
            }
            text
        };
        Self {
            id: digits(low, 6),
            secret: digits(high, 16),
        }
    }

    /// The whole, as kubeadm and the API take it.
    pub fn whole(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}.[hidden])", self.id)
    }
}

/// The kubeconfig with which a node finds the cluster, and knows that it is the cluster.
pub fn discovery_file(endpoint: &str, authority: &str, token: &Token) -> File {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "site", "cluster": {
            "server": format!("https://{endpoint}"),
            "certificate-authority-data": STANDARD.encode(authority),
        } }],
        "users": [{ "name": "node", "user": { "token": token.whole() } }],
        "contexts": [{ "name": "join", "context": { "cluster": "site", "user": "node" } }],
        "current-context": "join",
    });
    File::secret(DISCOVERY, format!("{config:#}\n"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::tests::{BRANCH_OFFICE, node, site};

    #[test]
    fn whoever_lacks_one_thing_gets_nothing_and_why_is_told() {
        let site = site(BRANCH_OFFICE);
        let node = node(&site, "node-1");
        let secret = Digest([7; 32]);
        let own = Caller {
            node,
            from: node.address,
            mac: Some(node.boot_mac),
            is_closed: false,
        };
        let good = Asks {
            caller: own,
            live: Some(SessionId(4)),
            shows: Some(secret),
            installed_with: Some(secret),
        };
        assert_eq!(admit(&good), Ok(SessionId(4)));
        let by = |caller| Asks { caller, ..good };
        let other = "02:00:00:00:00:99".parse().ok();
        let rows = [
            (
                by(Caller {
                    from: Ipv4Addr::LOCALHOST,
                    ..own
                }),
                NoJoin::Stranger(Stranger::WrongAddress),
            ),
            (
                by(Caller { mac: other, ..own }),
                NoJoin::Stranger(Stranger::WrongMac),
            ),
            (
                by(Caller { mac: None, ..own }),
                NoJoin::Stranger(Stranger::WrongMac),
            ),
            (
                by(Caller {
                    is_closed: true,
                    ..own
                }),
                NoJoin::Stranger(Stranger::IdentityConflict),
            ),
            (Asks { live: None, ..good }, NoJoin::NoSession),
            (
                Asks {
                    installed_with: None,
                    ..good
                },
                NoJoin::NotInstalled,
            ),
            (Asks { shows: None, ..good }, NoJoin::WrongSecret),
            (
                Asks {
                    shows: Some(Digest([8; 32])),
                    ..good
                },
                NoJoin::WrongSecret,
            ),
        ];
        for (asks, why) in rows {
            assert_eq!(admit(&asks), Err(why));
        }
        let words: std::collections::BTreeSet<_> = NoJoin::ALL.map(NoJoin::as_str).into();
        assert_eq!(words.len(), NoJoin::ALL.len());
    }

    #[test]
    fn a_token_shows_its_public_half_alone() {
        let token = Token::of([0xa5; 32]);
        assert!(!format!("{token:?}").contains(&token.secret));
        assert!(format!("{:?}", discovery_file("api:6443", "PEM", &token)).contains("[hidden]"));
    }

    proptest! {
        #[test]
        fn a_token_is_one_that_kubernetes_takes(bits in any::<[u8; 32]>()) {
            let whole = Token::of(bits).whole();
            let (id, secret) = whole.split_once('.').unwrap();
            prop_assert_eq!((id.len(), secret.len()), (6, 16));
            prop_assert!(id.bytes().chain(secret.bytes()).all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
        }
    }
}
