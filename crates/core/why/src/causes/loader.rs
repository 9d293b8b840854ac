//! The node has an address and no system yet: its loader, its script, and disks that do not boot.

use faros_model::{
    event::{Event, EventKind},
    plan::Service,
    timeline::{Confidence, SpanKind},
};
use jiff::SignedDuration;

use super::{cited, last_and_silence, service_says};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    moment::{Moment, Told},
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "netboot-not-ready",
        confidence: Confidence::Certain,
        means: "the bastion's netboot service does not answer, and the node needs it next",
        told_by: "the state of the service",
        next: "`farosctl status` says why",
        find: netboot_not_ready,
    },
    Rule {
        code: "loader-transfer-fails",
        confidence: Confidence::Likely,
        means: "the boot loader is asked for and does not get through",
        told_by: "`transfer-failed` of a loader",
        next: "look for loss or a too small MTU between {node} and the bastion: another cable or port, `lan.mtu` of the site file, jumbo frames on the switch",
        find: loader_transfer_fails,
    },
    Rule {
        code: "loader-repeats",
        confidence: Confidence::Likely,
        means: "the boot loader was sent again and again, and never got as far as its script",
        told_by: "`loader-fetched` at least three times with no `boot-script-served` after",
        next: "switch Secure Boot off, update the firmware of the network card, or try the other of BIOS and UEFI network boot",
        find: loader_repeats,
    },
    Rule {
        code: "loader-silent",
        confidence: Confidence::Likely,
        means: "the boot loader was sent, and never spoke",
        told_by: "`loader-fetched`, and no word since",
        next: "look at the console of {node}: with Secure Boot on, firmware refuses the loader (switch it off); else the loader has no driver for the network card",
        find: loader_silent,
    },
    Rule {
        code: "loader-not-fetched",
        confidence: Confidence::Likely,
        means: "the firmware was told of its boot loader, and never fetched it",
        told_by: "`dhcp-ack` with a boot file, and no transfer of a loader",
        next: "check that nothing filters UDP port 69 and high ports to {bastion}; from a machine on the LAN: `curl -o /dev/null tftp://{bastion}/snponly.efi`",
        find: loader_not_fetched,
    },
    Rule {
        code: "script-not-asked",
        confidence: Confidence::Likely,
        means: "the boot loader has an address, and never asked for its script",
        told_by: "`dhcp-ack` to the loader, and no `boot-script-served`",
        next: "check that nothing filters TCP port 8080 to {bastion}; from a machine on the LAN: `curl -i http://{bastion}:8080/`; the console of {node} shows what its loader says",
        find: script_not_asked,
    },
    Rule {
        code: "empty-disk",
        confidence: Confidence::Likely,
        means: "the node is not armed, was told to boot its own disk, and nothing came: as far as is known nothing was ever installed on it",
        told_by: "`boot-script-served` with `local-disk`, no install on record, and silence or a return to the network",
        next: "to install it, which wipes its disk: `farosctl install {node}`, then power-cycle it",
        find: empty_disk,
    },
    Rule {
        code: "disk-does-not-boot",
        confidence: Confidence::Likely,
        means: "the node is told to boot its own disk and comes back to the network, again and again",
        told_by: "`boot-script-served` with `local-disk` at least three times within half an hour",
        next: "look at the console of {node}: its firmware finds nothing to boot on {disk}; check its boot order and the disk. To install anew, which wipes the disk: `farosctl install {node}`",
        find: disk_does_not_boot,
    },
    Rule {
        code: "disk-boot-silent",
        confidence: Confidence::Likely,
        means: "the node was told to boot its own disk, has an operating system on it, and nothing was heard since",
        told_by: "`boot-script-served` with `local-disk`, an install on record, and silence",
        next: "look at the console of {node}: the disk does not boot, or the system on it has no network",
        find: disk_boot_silent,
    },
    Rule {
        code: "told-to-boot-nothing",
        confidence: Confidence::Certain,
        means: "the boot script tells the node to boot nothing, and says why",
        told_by: "`boot-script-served` with `nothing`",
        next: "do away with the reason, then power-cycle {node}",
        find: told_to_boot_nothing,
    },
    Rule {
        code: "network-first",
        confidence: Confidence::Aside,
        means: "the node comes back over the network after its install, because its firmware tries the network first; it is not armed, so it is told to boot its disk, and nothing is lost but time",
        told_by: "`boot-script-served` with `local-disk` after an install",
        next: "nothing need be done; to save the time, put the disk first in the boot order of {node}",
        find: network_first,
    },
];

/// Firmware that has its address fetches its loader within a few seconds.
const SOON: SignedDuration = SignedDuration::from_secs(30);

/// A machine that finds nothing to boot comes back within a few minutes.
const LOOP: SignedDuration = SignedDuration::from_mins(30);

fn netboot_not_ready(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let needs = case.is_in(&[SpanKind::Firmware, SpanKind::Loader, SpanKind::Script]);
    let status = case.not_ready(Service::Netboot).filter(|_| needs)?;
    let summary = "the bastion's netboot service does not answer, so the node gets no loader and no script";
    Some(Found::new(summary, vec![service_says(status)]))
}

fn loader_transfer_fails(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let failed: Vec<&Event> = case
        .recent_all(EventKind::TransferFailed)
        .into_iter()
        .filter(|event| event.word("name").starts_with("loader/"))
        .collect();
    let last = failed.last().filter(|_| case.is_in(&[SpanKind::Firmware]))?;
    let summary = words::with(
        &format!(
            "the boot loader does not get through to the node: it broke off {}",
            words::times(failed.len())
        ),
        last.word("reason"),
    );
    Some(Found::new(summary, cited(case, &failed)))
}

fn loader_repeats(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let script = case.script().map_or(0, |(event, _)| event.seq);
    let sent: Vec<&Event> = case
        .own
        .iter()
        .copied()
        .filter(|event| event.seq > script && Moment::of(event) == Moment::LoaderSent)
        .collect();
    let early = case.is_in(&[SpanKind::Firmware, SpanKind::Loader]);
    (early && sent.len() >= 3).then(|| {
        let summary = format!(
            "the boot loader was sent {} and never asked for its script",
            words::times(sent.len())
        );
        Found::new(summary, cited(case, &sent))
    })
}

/// What the loader did since it was sent: its own question, and the answer it took.
fn loader_spoke<'a>(case: &Case<'a>) -> (Option<&'a Event>, Option<&'a Event>) {
    let asked = case
        .recent()
        .find(|event| Moment::of(event) == Moment::LoaderAsks);
    let since = asked.map_or(u64::MAX, |event| event.seq);
    let has = case
        .recent()
        .find(|event| event.kind == EventKind::DhcpAck && event.seq > since);
    (asked, has)
}

fn loader_silent(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::Loader]) && case.is_stalled();
    let silent = stalled && loader_spoke(case).0.is_none();
    silent.then(|| {
        Found::new(
            "the boot loader was sent in full and has not spoken since: it does not start, or sees no network",
            last_and_silence(case),
        )
    })
}

fn loader_not_fetched(case: &Case<'_>, _: &Rule) -> Option<Found> {
    if !case.is_in(&[SpanKind::Firmware]) {
        return None;
    }
    let has = case
        .recent_last(EventKind::DhcpAck)
        .filter(|ack| !ack.word("bootFile").is_empty())?;
    let acks = case.recent_all(EventKind::DhcpAck).len();
    let late = case.now().duration_since(has.at) > SOON || acks >= 3;
    let tried = case.recent_last(EventKind::TransferFailed).is_some();
    (late && !tried).then(|| {
        let mut evidence = vec![
            case.cite(has),
            format!("it was told to fetch {}", has.word("bootFile")),
        ];
        evidence.push("no byte of it was asked for since".to_owned());
        Found::new(
            "the firmware has its address and never fetched its boot loader",
            evidence,
        )
    })
}

fn script_not_asked(case: &Case<'_>, _: &Rule) -> Option<Found> {
    if !(case.is_in(&[SpanKind::Loader]) && case.is_stalled()) {
        return None;
    }
    let (_, has) = loader_spoke(case);
    let mut evidence = vec![case.cite(has?)];
    evidence.extend(super::silence(case));
    Some(Found::new(
        "the boot loader has its address and never asked for its script",
        evidence,
    ))
}

/// The scripts of the last while that told the node to boot its disk, as long as nothing came of them.
fn sent_to_disk<'a>(case: &Case<'a>) -> Vec<&'a Event> {
    let overcome = case
        .history()
        .rfind(|event| {
            let moment = Moment::of(event);
            matches!(moment, Moment::Unlocked | Moment::Started | Moment::Installed)
        })
        .map_or(0, |event| event.seq);
    let young = |event: &&Event| case.now().duration_since(event.at) <= LOOP;
    case.history()
        .filter(|event| event.seq > overcome && Moment::of(event) == Moment::Script(Told::LocalDisk))
        .filter(young)
        .collect()
}

fn goes_in_circles(case: &Case<'_>) -> Option<usize> {
    let here = case.is_in(&[SpanKind::Firmware, SpanKind::Loader, SpanKind::DiskBoot]);
    // A loader may fetch its script twice before it obeys.
    let mut boots: Vec<_> = sent_to_disk(case).iter().map(|event| event.session).collect();
    boots.dedup();
    (here && boots.len() >= 3).then_some(boots.len())
}

fn empty_disk(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::DiskBoot]) && case.is_stalled();
    let in_circles = goes_in_circles(case);
    if case.was_installed().is_some() || case.known.status.armed || !(stalled || in_circles.is_some()) {
        return None;
    }
    let mut evidence = cited(case, &sent_to_disk(case));
    if evidence.is_empty() {
        return None;
    }
    evidence.extend(super::silence(case).filter(|_| stalled));
    evidence.push("no install of it is on record".to_owned());
    Some(Found::new(
        "the node is not armed and was told to boot its own disk, and nothing came: the disk is empty or not first",
        evidence,
    ))
}

fn disk_does_not_boot(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let n = goes_in_circles(case)?;
    Some(Found::new(
        format!(
            "the node was told to boot its own disk {}, and came back to the network each time",
            words::times(n)
        ),
        cited(case, &sent_to_disk(case)),
    ))
}

fn disk_boot_silent(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::DiskBoot]) && case.is_stalled();
    let installed = case.was_installed().filter(|_| stalled)?;
    let mut evidence = vec![case.cite(installed)];
    evidence.extend(last_and_silence(case));
    Some(Found::new(
        "the node was told to boot its own disk, and has not been heard of since",
        evidence,
    ))
}

fn told_to_boot_nothing(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (script, told) = case.script()?;
    let here = case.is_in(&[SpanKind::Script, SpanKind::Firmware, SpanKind::Loader]);
    (here && told == Told::Nothing).then(|| {
        Found::new(
            words::with("the node is told to boot nothing", script.word("reason")),
            vec![case.cite(script)],
        )
    })
}

fn network_first(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (script, told) = case.script()?;
    let installed = case.was_installed()?;
    (told == Told::LocalDisk && installed.seq < script.seq || came_back(case)).then(|| {
        Found::new(
            "the node tries the network before its disk; it is not armed, so that does no harm",
            vec![case.cite(installed), case.cite(script)],
        )
    })
}

/// Whether the session of a node that started began over the network.
fn came_back(case: &Case<'_>) -> bool {
    let started = case.report("started").is_some();
    let told = case.script().map(|(_, told)| told);
    started && told == Some(Told::LocalDisk)
}
