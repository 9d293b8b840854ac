//! What makes an installed node one of its cluster: handed over HTTPS to the node itself, in a live boot session, when
//! it is its turn.

use std::sync::Arc;

use faros_cluster::{
    Authorities, EncryptionKey, File, Images, Names, Pair, Said, control_plane_files, init_config,
    install::{Progress, Verdict, Wait, Work, verdicts},
    join::{Asks, CONFIG, DISCOVERY, Grant, NoJoin, Token, admit, discovery_file},
    join_config,
    snapshots::Name,
};
use faros_http::Method;
use faros_model::{
    event::EventKind,
    ids::{HostName, SessionId},
    site::{Node, Role},
};
use faros_net::pages::{Ask, Page, Said as Heading};
use serde_json::{Value, json};

use crate::{
    authority::Roots,
    cluster::release::{Ready, digest},
    daemon::{Intent, Shared, lock},
};

/// So often a node asks that has to wait.
const PAUSE: i64 = 5;

/// Answers a node that wants to join.
pub(super) async fn page(shared: &Shared, intent: &Intent, ask: &Ask) -> Page {
    if ask.method != Method::Post {
        return answer(405, &json!({ "error": "a node asks with its secret, by POST" }));
    }
    // `/join/<node>`, and `/join/<node>/snapshot/<offset>`.
    let (name, piece) = match ask
        .path
        .strip_prefix("/join/")
        .map(|rest| rest.split_once("/snapshot/"))
    {
        Some(Some((name, from))) => (Some(name), Some(from.parse::<u64>().unwrap_or(u64::MAX))),
        Some(None) => (ask.path.strip_prefix("/join/"), None),
        None => (None, None),
    };
    let name = name.and_then(|name| name.parse::<HostName>().ok());
    let node = name.as_ref().and_then(|name| intent.site.nodes.get(name));
    let admitted = match node {
        None => Ok(Err(NoJoin::UnknownNode)),
        Some(node) => admitted(shared, node, ask).await,
    };
    let (node, session) = match (node, admitted) {
        (Some(node), Ok(Ok(session))) => (node, session),
        (_, Ok(Err(why))) => {
            if why.is_alarming() {
                tracing::warn!(node = ask.path, from = %ask.from, "joining was refused: {}", why.message());
            }
            let detail = json!({
                "node": name, "address": ask.from, "reason": why.as_str(), "message": why.message(),
            });
            shared.saw(ask.from, None, EventKind::JoinRefused, detail);
            return answer(403, &json!({ "error": why.message() }));
        }
        (_, Err(error)) => return failed(&ask.path, &error),
        (None, Ok(Ok(_))) => return answer(404, &json!({})),
    };
    let page = match piece {
        Some(from) => snapshot(shared, node, from).await,
        None => turn(shared, intent, node, session).await,
    };
    match page {
        Ok(page) => page,
        Err(error) => failed(&ask.path, &error),
    }
}

async fn admitted(shared: &Shared, node: &Node, ask: &Ask) -> anyhow::Result<Result<SessionId, NoJoin>> {
    let installed_with = shared.installed_with(&node.name).await?;
    let live = lock(&shared.tracker)
        .life(&node.name)
        .and_then(faros_boot::Life::running);
    Ok(admit(&Asks {
        caller: shared.caller(node, ask.from),
        live,
        shows: Some(digest(ask.body.trim_ascii())),
        installed_with,
    }))
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
    let ready = match shared.ready_to_join(site, node).await {
        Ok(Some(ready)) => ready,
        Ok(None) => return Ok(wait(shared, node, "no-cluster", "the site has no cluster", 60)),
        Err(why) => return Ok(wait(shared, node, "no-release", &why, 30)),
    };
    let Some(roots) = shared.authority.held() else {
        return Ok(wait(
            shared,
            node,
            "no-keys",
            "the cluster's root keys are not open",
            10,
        ));
    };
    // What is decided holds until it is on disk: two nodes never begin at once.
    let mut record = shared.cluster.deciding.lock().await;
    let now = shared.sightings.now();
    lock(&shared.cluster.asked)
        .entry(node.name.clone())
        .or_default()
        .0 = now;
    // Its script asks only after it has left the cluster as it was.
    if record.rejoin.contains(&node.name) {
        let mut next = record.clone();
        next.rejoin.remove(&node.name);
        shared.store.put_cluster(next.clone()).await?;
        *record = next;
    }
    let observed = shared.observed(site, &record, now);
    let verdict = verdicts(site, &observed).remove(&node.name);
    let mut next = record.clone();
    let restores = record.restoring.is_some();
    let work = match verdict {
        Some(Verdict::Do(work)) => work,
        Some(Verdict::Done) => {
            if next
                .attempts
                .get(&node.name)
                .is_some_and(|own| own.progress != Progress::Joined)
            {
                let _ = next.said(&node.name, Said::Joined(None), now);
                shared.store.put_cluster(next.clone()).await?;
                *record = next;
            }
            return Ok(answer(200, &json!({ "action": "member", "session": session })));
        }
        Some(Verdict::Failed(why)) => return Ok(wait(shared, node, "gave-up", &why, 60)),
        Some(Verdict::Wait(why)) => {
            let seconds = if let Wait::Pause(seconds) = why {
                seconds.min(60)
            } else {
                PAUSE
            };
            return Ok(wait(shared, node, why.label(), &why.to_string(), seconds));
        }
        None => return Ok(wait(shared, node, "unknown-node", "there is no such node", 60)),
    };
    let mut files = files(&roots, &ready, site, node, work)?;
    if work != Work::Init {
        let token = token()?;
        let kube = match shared.kube(site, &record).await {
            Ok(kube) => kube,
            Err(error) => return Ok(wait(shared, node, "api", &format!("{error:#}"), PAUSE)),
        };
        let grant = Grant::new(token.id.clone(), node.name.clone(), session, now);
        let expires = grant.expires;
        for old in next.grant(grant, now) {
            kube.withdraw_token(&old).await?;
        }
        // Kubernetes judges by the clock that others see, too.
        let ends = shared.sightings.clock().shown(expires);
        kube.make_token(&token, node, ends).await?;
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
    shared.store.put_cluster(next.clone()).await?;
    *record = next;
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

/// Has a node wait; told when the reason is another than before.
fn wait(shared: &Shared, node: &Node, reason: &str, message: &str, seconds: i64) -> Page {
    let now = shared.sightings.now();
    let before = lock(&shared.cluster.asked).insert(node.name.clone(), (now, reason.to_owned()));
    if before.is_none_or(|(_, before)| before != reason) {
        let detail = json!({ "reason": reason, "message": message });
        shared.tell_of(node, EventKind::JoinWaiting, detail);
    }
    answer(
        202,
        &json!({ "wait": message, "reason": reason, "seconds": seconds }),
    )
}

pub(super) fn failed(path: &str, error: &anyhow::Error) -> Page {
    tracing::error!(path, "{error:#}");
    answer(503, &json!({ "error": "the bastion cannot answer now" }))
}

pub(super) fn answer(status: u16, body: &Value) -> Page {
    Page::Answer {
        status,
        said: Heading {
            content_type: "application/json".to_owned(),
            fields: vec![("Cache-Control", "no-store".to_owned())],
        },
        text: format!("{body}\n"),
    }
}
