//! What makes an installed node one of its cluster: handed over HTTPS to the node itself, in a live boot session, when
//! it is its turn.

use std::sync::Arc;

use faros_cluster::{
    Authorities, EncryptionKey, File, Images, Names, Pair, Record, Said, control_plane_files, init_config,
    install::{Progress, Reason, Verdict, Wait, Work, verdict},
    join::{CONFIG, DISCOVERY, Grant, Token, discovery_file},
    join_config,
    snapshots::Name,
};
use faros_http::Method;
use faros_model::{
    event::EventKind,
    ids::SessionId,
    site::{Node, Role},
};
use faros_net::pages::{Ask, Page};
use serde_json::{Value, json};

use super::{
    admission::{Speaker, admitted},
    answer, failed,
};
use crate::{
    authority::Roots,
    cluster::{Asked, release::Ready},
    daemon::{Intent, Shared, lock},
};

/// So often a node asks that has to wait.
const PAUSE: i64 = 5;

/// What a node asks for: `/join/<node>`, and `/join/<node>/snapshot/<offset>`.
#[derive(Debug, PartialEq, Eq)]
struct Path<'a> {
    node: &'a str,
    /// Which piece of the snapshot it begins from, if that is asked.
    piece: Option<u64>,
}

impl<'a> Path<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/join/")?;
        Some(match rest.split_once('/') {
            None => Self {
                node: rest,
                piece: None,
            },
            Some((node, rest)) => Self {
                node,
                piece: Some(rest.strip_prefix("snapshot/")?.parse().ok()?),
            },
        })
    }
}

/// Answers a node that wants to join.
pub(super) async fn page(shared: &Shared, intent: &Intent, ask: &Ask) -> Page {
    if ask.method != Method::Post {
        return answer(405, &json!({ "error": "a node asks with its secret, by POST" }));
    }
    let Some(asked) = Path::of(&ask.path) else {
        return answer(404, &json!({ "error": "nodes ask for nothing of this name" }));
    };
    let speaker = Speaker {
        name: asked.node,
        secret: &ask.body,
        refusal: EventKind::JoinRefused,
    };
    let (node, session) = match admitted(shared, intent, ask, speaker).await {
        Ok(admitted) => admitted,
        Err(page) => return page,
    };
    let page = match asked.piece {
        Some(from) => snapshot(shared, node, from).await,
        None => turn(shared, intent, node, session).await,
    };
    page.unwrap_or_else(|error| failed(&ask.path, &error))
}

/// A piece of the snapshot from which this node begins the cluster anew, in base64; nothing behind its end.
async fn snapshot(shared: &Shared, node: &Node, from: u64) -> anyhow::Result<Page> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let name = {
        let record = shared.cluster.deciding.lock().await;
        let attempt = record.attempts.get(&node.name);
        let begins = attempt.is_some_and(|own| own.work == Work::Init && own.progress != Progress::Joined);
        let restoring = record.restoring.as_ref().filter(|_| begins);
        restoring.and_then(|own| own.snapshot.parse::<Name>().ok())
    };
    let Some(name) = name else {
        return Ok(answer(
            403,
            &json!({ "error": "the node does not begin a cluster from a snapshot" }),
        ));
    };
    let piece = shared.piece_of_snapshot(name, from).await?;
    Ok(Page::Text {
        content_type: "text/plain",
        text: STANDARD.encode(piece),
    })
}

/// Gives a node that was admitted what it may do now.
async fn turn(shared: &Shared, intent: &Intent, node: &Node, session: SessionId) -> anyhow::Result<Page> {
    let site = &intent.site;
    let waits =
        |reason, message: &str, seconds| told_to_wait(shared, node, (session, reason), message, seconds);
    shared.cluster_hears(node).await?;
    let ready = match shared.ready_to_join(site, node).await {
        Ok(Some(ready)) => ready,
        Ok(None) => return Ok(waits(Reason::NoCluster, "the site has no cluster", 60)),
        Err(why) => return Ok(waits(Reason::NoRelease, &why, 30)),
    };
    let Some(roots) = shared.authority.held() else {
        return Ok(waits(Reason::NoKeys, "the cluster's root keys are not open", 10));
    };
    // What is decided holds until it is on disk: two nodes never begin at once.
    let mut record = shared.cluster.deciding.lock().await;
    let (now, clock) = (shared.sightings.now(), shared.sightings.clock());
    lock(&shared.cluster.asked)
        .entry(node.name.clone())
        .or_default()
        .at = now;
    let decide = |record: &Record| verdict(site, &shared.observed(site, record, now), node);
    let mut decided = decide(&record);
    if decided == Verdict::Do(Work::JoinControlPlane) {
        // A member of a try that was cut off may be younger than what was seen of etcd, and a join would hang on it.
        if let Err(error) = shared.see_etcd(site, &record).await {
            tracing::debug!("etcd cannot be asked: {error:#}");
        }
        decided = decide(&record);
    }
    let mut next = record.clone();
    let restores = record.restoring.is_some();
    let work = match decided {
        Verdict::Do(work) => work,
        Verdict::Done => {
            let own = next.attempts.get(&node.name);
            if own.is_some_and(|own| own.progress != Progress::Joined) {
                let _ = next.said(&node.name, Said::Joined(None), now, clock.shown(now));
                shared.put_record(&mut record, next).await?;
            }
            return Ok(answer(200, &json!({ "action": "member", "session": session })));
        }
        Verdict::Failed(why) => return Ok(waits(Reason::GaveUp, &why, 60)),
        Verdict::Wait(why) => {
            if why == Wait::StillReady {
                // Whoever asks runs no kubelet: what Kubernetes would find out in a minute it is told.
                let missed = async {
                    let kube = shared.kube(site, &record).await?;
                    anyhow::Ok(kube.miss_node(node.name.as_str(), clock.shown(now)).await?)
                };
                if let Err(error) = missed.await {
                    tracing::debug!(node = %node.name, "Kubernetes has to find out by itself: {error:#}");
                }
            }
            let seconds = if let Wait::Pause(seconds) = why {
                seconds.min(60)
            } else {
                PAUSE
            };
            return Ok(waits(why.reason(), &why.to_string(), seconds));
        }
    };
    let mut files = files(&roots, &ready, site, node, work)?;
    if work != Work::Init {
        let token = token()?;
        let kube = match shared.kube(site, &record).await {
            Ok(kube) => kube,
            Err(error) => return Ok(waits(Reason::Api, &format!("{error:#}"), PAUSE)),
        };
        let grant = Grant::new(token.id.clone(), node.name.clone(), session, now);
        let expires = grant.expires;
        for old in next.grant(grant, now) {
            kube.withdraw_token(&old).await?;
        }
        // Kubernetes judges by the clock that others see, too.
        kube.make_token(&token, node, clock.shown(expires)).await?;
        let names = Names::of(site);
        files.push(discovery_file(
            &names.endpoint(),
            roots.kubernetes.certificate_pem(),
            &token,
        ));
        files.push(secret(CONFIG, join_config(node, DISCOVERY, &token.whole())));
    }
    if work == Work::Init {
        next.version = Some(ready.release.version);
    }
    next.hand(&node.name, work, session, now);
    shared.put_record(&mut record, next).await?;
    lock(&shared.cluster.asked).remove(&node.name);
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let detail = json!({ "action": work.as_str(), "bytes": bytes });
    shared.tell_of(node, EventKind::JoinHanded, detail);
    let files: Vec<Value> = files.iter().map(shown).collect();
    let action = if work == Work::Init { "init" } else { "join" };
    let mut given = json!({ "action": action, "session": session, "files": files });
    if work == Work::Init && restores {
        given["restore"] = json!({ "name": node.name, "peer": format!("https://{}:2380", node.address) });
    }
    Ok(answer(200, &given))
}

fn token() -> anyhow::Result<Token> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    Ok(Token::of(bits))
}

/// What a node needs on its disk to do this.
fn files(
    roots: &Arc<Roots>,
    ready: &Ready,
    site: &faros_model::site::Site,
    node: &Node,
    work: Work,
) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    if node.roles.contains(&Role::ControlPlane) {
        let keys = [&roots.kubernetes, &roots.etcd, &roots.front_proxy].map(|root| root.key().secret_pem());
        let pair = |root: usize| Pair {
            public: [&roots.kubernetes, &roots.etcd, &roots.front_proxy][root].certificate_pem(),
            private: keys[root].as_str(),
        };
        let accounts = (
            roots.service_accounts.public_pem(),
            roots.service_accounts.secret_pem(),
        );
        let authorities = Authorities {
            kubernetes: pair(0),
            etcd: pair(1),
            front_proxy: pair(2),
            service_accounts: Pair {
                public: &accounts.0,
                private: accounts.1.as_str(),
            },
        };
        let key = EncryptionKey {
            name: "key-1".to_owned(),
            bytes: *roots.secrets_key,
        };
        files.extend(control_plane_files(&authorities, &[key]));
    }
    if work == Work::Init {
        files.push(secret(
            CONFIG,
            init_config(site, node, &Images::of(&ready.release)?),
        ));
    }
    Ok(files)
}

fn secret(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        mode: 0o600,
        text,
        is_secret: true,
    }
}

fn shown(file: &File) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    json!({
        "path": file.path,
        "mode": format!("{:o}", file.mode),
        "contents": STANDARD.encode(&file.text),
    })
}

/// Has a node wait; told when the reason is another than before in this boot.
fn told_to_wait(
    shared: &Shared,
    node: &Node,
    told: (SessionId, Reason),
    message: &str,
    seconds: i64,
) -> Page {
    let reason = told.1.as_str();
    let asked = Asked {
        at: shared.sightings.now(),
        told: Some(told),
    };
    let before = lock(&shared.cluster.asked).insert(node.name.clone(), asked);
    if before.and_then(|before| before.told) != Some(told) {
        let detail = json!({ "reason": reason, "message": message });
        shared.tell_of(node, EventKind::JoinWaiting, detail);
    }
    let mut told = json!({ "wait": message, "reason": reason, "seconds": seconds });
    if shared.majority_lacks(&node.name) {
        told["kubelet"] = "on".into();
    }
    answer(202, &told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_asks_for_its_turn_or_for_a_piece_of_a_snapshot() {
        let asked = |node, piece| Some(Path { node, piece });
        assert_eq!(Path::of("/join/node-1"), asked("node-1", None));
        assert_eq!(
            Path::of("/join/node-1/snapshot/4096"),
            asked("node-1", Some(4096))
        );
        for path in [
            "/join",
            "/join/node-1/",
            "/join/node-1/snapshot/",
            "/join/node-1/snapshot/-1",
            "/join/a/b/c",
        ] {
            assert_eq!(Path::of(path), None, "{path}");
        }
    }
}
