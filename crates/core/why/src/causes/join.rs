//! The installed node does not become one of the cluster: it is told to wait, refused, or fails at it.
//!
//! What fails is told by the node's report, with the last words of kubeadm, of the kubelet, and of others; which words
//! mean what is in [`said`], and what has none of them falls to the last row with all that was said.

mod said;

use faros_model::{
    event::{Event, EventKind},
    timeline::Confidence,
};

pub use self::said::{Printer, WORDS, Words};
use super::{cited, is_of, latest};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "etcd-majority-lost",
        confidence: Confidence::Certain,
        means: "etcd has lost its majority, so the Kubernetes API answers nobody",
        told_by: "the latest `etcd-majority`, if the node has come to its join",
        next: "start the nodes that it lacks; if they are lost for good: `farosctl cluster snapshot list` has a snapshot of what is left, and `farosctl cluster restore` begins anew from it",
        find: find_majority,
    },
    failed(
        "join-swap",
        "the node cannot join, because it has swap",
        "take the swap out of `/etc/fstab` and of systemd's units on {node}; it tries again by itself",
    ),
    failed(
        "join-certificate-time",
        "the node cannot join, because a certificate is not valid at the time that its clock shows",
        "compare `timedatectl` on {node} with the bastion's clock (`farosctl time`); a clock that was wrong is right after its time service ran",
    ),
    failed(
        "join-image-missing",
        "the node cannot join, because an image is not to be had from the bastion",
        "`farosctl content` shows what the bastion has; `farosctl content build kubernetes` makes a whole release",
    ),
    failed(
        "join-image-damaged",
        "the node cannot join, because an image in the bastion's content store is damaged",
        "`farosctl content verify` shows what is; `farosctl content build kubernetes`, or `content add`, puts it there again; then start {node} anew",
    ),
    failed(
        "join-disk-full",
        "the node cannot join, because its disk is full",
        "`df -h` on {node}; give it a larger disk, or a data disk with `use: kubelet`",
    ),
    failed(
        "join-duplicate-name",
        "the node cannot join, because Kubernetes has a node of that name that is ready",
        "if that is {node} from before, it is not ready within a minute, and the node tries again; else another machine uses its name",
    ),
    failed(
        "join-etcd-slow",
        "the node cannot join, because etcd does not answer in time: its disk is too slow, or a member is down",
        "look at `etcd_disk_wal_fsync_duration_seconds` of the members: 10 ms is good, 100 ms is too slow; give etcd's nodes an SSD",
    ),
    failed(
        "join-token-refused",
        "the node cannot join, because the API does not know its token",
        "a token is good for 20 minutes; the node asks for a new one by itself",
    ),
    failed(
        "join-certificate-refused",
        "the node cannot join, because its request for a certificate was not approved",
        "`kubectl get csr` shows the request; the bastion approves it if name, address and boot are the node's",
    ),
    failed(
        "join-cgroups",
        "the node cannot join, because kubelet and kernel do not agree on control groups",
        "the node needs a kernel with cgroup v2 and systemd as its driver; `stat -fc %T /sys/fs/cgroup` on {node} says `cgroup2fs`",
    ),
    failed(
        "join-no-runtime",
        "the node cannot join, because containerd does not answer",
        "`systemctl status containerd` and `journalctl -u containerd` on {node}",
    ),
    failed(
        "join-no-programs",
        "the node cannot join, because the programs of Kubernetes are not on it",
        "`systemd-sysext status` on {node}; install it anew if the extension is missing: `farosctl install {node}`, which wipes it",
    ),
    failed(
        "join-port-in-use",
        "the node cannot join, because something else listens on a port of Kubernetes",
        "`ss -ltnp` on {node}; what listens there must not be on a node",
    ),
    failed(
        "join-too-small",
        "the node cannot join, because it has too little memory or too few processors",
        "a control-plane node needs 2 processors and 1700 MB; give it more, or take the role from it",
    ),
    failed(
        "join-api-never-ready",
        "the node cannot join, because the API server did not become ready",
        "`journalctl -u kubelet` on {node}, and `crictl` or `ctr -n k8s.io containers ls`: the API server waits for etcd, and etcd for its disk",
    ),
    failed(
        "join-kubelet-ill",
        "the node cannot join, because its kubelet does not run",
        "`journalctl -u kubelet` on {node} says why",
    ),
    failed(
        "join-cannot-ask",
        "the node runs, and cannot ask the bastion what to do",
        "`farosctl status`: is the service `registry` ready? Then look at what is between them, and at the packet filters",
    ),
    Rule {
        code: "join-failed",
        confidence: Confidence::Certain,
        means: "the node cannot join, for a reason that has no row of its own",
        told_by: "the report `join-failed`, and what it says",
        next: "`journalctl -u faros-join` on {node} has all of what kubeadm said; the node tries again by itself, three times in a boot",
        find: find_failed,
    },
    refused(
        "join-wrong-address",
        "joining is refused, because another machine asks in the name of the node",
        "find out which machine that is; {node} must speak from {address}, {mac}",
    ),
    refused(
        "join-wrong-mac",
        "joining is refused, because the node's address is used by another MAC",
        "find out which machine that is; if the network card of {node} was changed, set `bootMac` in the site file and run `farosctl apply site.yaml`",
    ),
    refused(
        "join-identity-conflict",
        "joining is refused, because the machine may not be the node it says it is",
        "if the machine was replaced: `farosctl install {node}`, which wipes it",
    ),
    refused(
        "join-no-session",
        "joining is refused, because the bastion has not seen the node boot",
        "power-cycle {node}, so that the bastion sees it boot",
    ),
    refused(
        "join-not-installed",
        "joining is refused, because the node was installed before the site had a cluster, or by another bastion",
        "install it anew: `farosctl install {node}`, which wipes it",
    ),
    refused(
        "join-wrong-secret",
        "joining is refused, because the node does not show the secret of its last installation",
        "if somebody else asks in its name, find the machine; else install it anew: `farosctl install {node}`, which wipes it",
    ),
    waiting(
        "join-waits-for-first",
        "the node waits for another one that begins the control plane",
        "`farosctl why` of that node; if it never comes, another begins after 20 minutes",
    ),
    waiting(
        "join-waits-for-control-plane",
        "the node waits, because no control-plane node of the site runs and asks",
        "start a control-plane node; `farosctl nodes` shows where they are",
    ),
    waiting(
        "join-waits-for-api",
        "the node waits for the Kubernetes API",
        "`farosctl balancer` shows which API servers are well; the nodes behind them have to run",
    ),
    waiting(
        "join-waits-for-its-turn",
        "the node waits until another one has joined the control plane",
        "wait; it takes minutes at most",
    ),
    waiting(
        "join-waits-for-etcd",
        "the node waits, because a member of etcd is not well, and one more would put the majority at risk",
        "bring the node of that member back, or replace it",
    ),
    waiting(
        "join-waits-for-old-self",
        "the node waits until Kubernetes has let go of what it was before it was installed anew",
        "wait a minute; a member of etcd that is left over has to be removed: `etcdctl member remove`",
    ),
    waiting(
        "join-waits-for-leaving",
        "the cluster begins anew from a snapshot, and the node waits until another one has left it as it was",
        "wait; who does not answer has five minutes",
    ),
    waiting(
        "join-waits-for-upgrade",
        "the control plane is being upgraded, and nobody joins meanwhile",
        "`farosctl cluster upgrade status` says how far that is, and what it waits for",
    ),
    waiting(
        "join-no-cluster",
        "the node asks to join, and the site has no cluster",
        "set `cluster.distribution` in the site file, or install {node} anew without: `farosctl install {node}`, which wipes it",
    ),
    waiting(
        "join-taken-out",
        "the node was taken out of the cluster, or failed three times in this boot, and gets nothing more",
        "after `farosctl node remove`: `farosctl install {node}`, which wipes it; else do away with the reason and start it anew",
    ),
    waiting(
        "join-release-missing",
        "the node waits for content of the cluster that is not in the content store, or for keys that are not open",
        "`farosctl content build kubernetes`, or the passphrase that `farosctl status` asks for",
    ),
    Rule {
        code: "certificate-denied",
        confidence: Confidence::Certain,
        means: "the node's request for a certificate was denied",
        told_by: "`certificate-denied`, and no `certificate-approved` after it",
        next: "the reason names what does not agree with the site file: names and addresses of {node} must be those there; after a change, install it anew",
        find: find_denied,
    },
];

/// By which words of a wait a row is known.
const WAITS: &[(&str, &[&str])] = &[
    ("join-waits-for-first", &["first"]),
    ("join-waits-for-control-plane", &["no-control-plane"]),
    ("join-waits-for-api", &["api"]),
    ("join-waits-for-its-turn", &["turn"]),
    ("join-waits-for-etcd", &["etcd"]),
    ("join-waits-for-old-self", &["still-ready", "old-member"]),
    ("join-waits-for-leaving", &["leaving"]),
    ("join-waits-for-upgrade", &["upgrade"]),
    ("join-no-cluster", &["no-cluster"]),
    ("join-taken-out", &["gave-up"]),
    ("join-release-missing", &["no-release", "no-keys"]),
];

/// Words of a wait that say no more than what came before them.
const NOT_NEWS: &[&str] = &["pause", "gave-up"];

/// The word of each wait for which there is a cause, or that stands for what was told before it.
pub fn waits() -> impl Iterator<Item = &'static str> {
    let told = WAITS.iter().flat_map(|(_, reasons)| reasons.iter());
    told.chain(NOT_NEWS).copied()
}

/// The word of each refusal for which there is a cause.
pub fn refusals() -> impl Iterator<Item = &'static str> {
    let refused = RULES.iter().filter(|rule| rule.told_by == REFUSED);
    refused.filter_map(|rule| rule.code.strip_prefix("join-"))
}

const fn failed(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: "the report `join-failed` or `join-stuck`, by what it says",
        next,
        find: find_failed,
    }
}

const REFUSED: &str = "`join-refused` with this reason, and nothing handed out after it";

const fn refused(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: REFUSED,
        next,
        find: find_refused,
    }
}

const fn waiting(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: "the latest `join-waiting`, by its reason",
        next,
        find: find_waiting,
    }
}

/// The last that is recorded of the node's joining.
fn last<'a>(case: &Case<'a>) -> Option<&'a Event> {
    let is_join = |event: &&Event| {
        matches!(
            event.kind,
            EventKind::JoinRefused | EventKind::JoinWaiting | EventKind::JoinHanded
        ) || matches!(
            event.report(),
            Some("joining" | "joined" | "join-failed" | "join-stuck")
        )
    };
    // Who is refused need not be the node, and is told of it in no session.
    let all = case
        .own
        .iter()
        .copied()
        .filter(|event| is_join(event) && is_of(case, event));
    let mut all = all.rev();
    let last = all.next()?;
    let is_news = last.kind != EventKind::JoinWaiting || !NOT_NEWS.contains(&last.word("reason"));
    if is_news {
        return Some(last);
    }
    // It failed, and waits for its next try.
    let before = all.find(|event| event.kind != EventKind::JoinWaiting);
    Some(before.filter(|event| has_failed(event)).unwrap_or(last))
}

fn has_failed(event: &Event) -> bool {
    matches!(event.report(), Some("join-failed" | "join-stuck"))
}

fn find_failed(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let last = last(case).filter(|event| has_failed(event))?;
    let code = said::row(last).map_or("join-failed", |row| row.code);
    (code == rule.code).then(|| {
        let all = case.own.iter().copied();
        let failures: Vec<&Event> = all.filter(|event| has_failed(event)).collect();
        let mut evidence = cited(case, &failures);
        evidence.push(match last.word("phase") {
            "" => said::all(last),
            phase => format!("at `{phase}` {}", said::all(last)),
        });
        Found::new(rule.means, evidence)
    })
}

fn find_majority(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    // A machine that is not so far in its boot stands still for another reason.
    last(case).or_else(|| case.last(EventKind::NodeNotReady))?;
    let restored = case
        .last_of_all(EventKind::ClusterRestoring)
        .map_or(0, |event| event.seq);
    let last = case
        .last_of_all(EventKind::EtcdMajority)
        .filter(|event| event.seq > restored)?;
    let silent = last.detail.get("silent")?.as_str()?;
    let summary = format!("{}: it lacks {silent}", rule.means);
    Some(Found::new(summary, vec![case.cite(last)]))
}

fn find_refused(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let last = last(case).filter(|event| event.kind == EventKind::JoinRefused)?;
    let word = rule.code.strip_prefix("join-")?;
    (last.word("reason") == word).then(|| {
        let summary = words::with(rule.means, last.word("address"));
        Found::new(summary, vec![case.cite(last)])
    })
}

fn find_denied(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let last = latest(case, EventKind::CertificateDenied, EventKind::CertificateApproved)?;
    let summary = words::with(rule.means, words::message(last));
    Some(Found::new(summary, vec![case.cite(last)]))
}

fn find_waiting(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let last = last(case).filter(|event| event.kind == EventKind::JoinWaiting)?;
    let (_, reasons) = WAITS.iter().find(|(code, _)| *code == rule.code)?;
    reasons.contains(&last.word("reason")).then(|| {
        let summary = words::with(rule.means, words::message(last));
        Found::new(summary, vec![case.cite(last)])
    })
}
