//! The node knows what to boot, and does not get it, or gets it and does not start it.

use faros_model::{
    event::{Event, EventKind},
    timeline::{Confidence, SpanKind},
};
use jiff::SignedDuration;

use super::{cited, last_and_silence};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    known::ImageState,
    moment::{Moment, Told},
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "image-missing",
        confidence: Confidence::Certain,
        means: "the node's image is not in the content store, so it cannot be installed",
        told_by: "the boot script's reason, or the content store",
        next: "`farosctl content add ./{image}/` (`farosctl image build` makes one), then power-cycle {node}",
        find: image_missing,
    },
    Rule {
        code: "image-architecture",
        confidence: Confidence::Certain,
        means: "the node's image is for another processor architecture",
        told_by: "the boot script's reason, or the image's manifest",
        next: "add an image for {architecture}, or set `image` or `architecture` of {node} in the site file; then `farosctl apply site.yaml`",
        find: image_architecture,
    },
    Rule {
        code: "content-damaged",
        confidence: Confidence::Certain,
        means: "what the node is to be sent is not what its digest says, so it is not sent",
        told_by: "`content-damaged`",
        next: "`farosctl content verify` names all that is damaged; add it again with `farosctl content add`, and look at the bastion's disk",
        find: content_damaged,
    },
    Rule {
        code: "transfer-fails",
        confidence: Confidence::Likely,
        means: "a kernel, an initramfs or an image is asked for and does not get through",
        told_by: "`transfer-failed`, with nothing sent in full after it",
        next: "look for loss between {node} and the bastion: cable, port, duplex (`ethtool`), MTU; `farosctl timeline {node}` shows the rates",
        find: transfer_fails,
    },
    Rule {
        code: "slow-transfer",
        confidence: Confidence::Likely,
        means: "what the node is sent comes at less than one megabyte a second",
        told_by: "bytes and time of `kernel-fetched`, `initramfs-fetched`, `content-fetched`, or of the transfer under way",
        next: "look at the speed of its link (`ethtool` on the bastion, the switch's port): 10 Mbit/s, half duplex and loss look like this",
        find: slow_transfer,
    },
    Rule {
        code: "kernel-not-fetched",
        confidence: Confidence::Likely,
        means: "the boot loader has its script, and did not fetch the kernel",
        told_by: "`boot-script-served` with `install`, and no `kernel-fetched`",
        next: "look at the console of {node}: its loader says what it misses; from a machine on the LAN: `curl -i http://{bastion}:8080/`",
        find: kernel_not_fetched,
    },
    Rule {
        code: "kernel-silent",
        confidence: Confidence::Likely,
        means: "kernel and initramfs were sent in full, and the system never spoke",
        told_by: "`initramfs-fetched`, and no word since",
        next: "look at the console of {node}: too little memory for the initramfs, a panic, no driver for the network card; `kernelArguments` of the site file with the right `console=` makes it talk",
        find: kernel_silent,
    },
];

/// Bytes in a second below which a link is no link for images.
const SLOW: u64 = 1_000_000;

/// What is too short to measure a link by.
const SHORT: u64 = 1 << 20;

fn before_system(case: &Case<'_>) -> bool {
    case.phase.is_none()
        || case.is_in(&[
            SpanKind::Firmware,
            SpanKind::Loader,
            SpanKind::Script,
            SpanKind::Unknown,
        ])
}

fn nothing_because<'a>(case: &Case<'a>, words: &str) -> Option<&'a Event> {
    let (script, told) = case.script().filter(|_| before_system(case))?;
    let is_it = told == Told::Nothing && script.word("reason").contains(words);
    is_it.then_some(script)
}

fn image_missing(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let image = &case.known.node.image;
    let is_missing = case.known.image == ImageState::Missing;
    let will_miss = is_missing && case.known.status.armed && before_system(case);
    let script = nothing_because(case, "not in the content store");
    if !will_miss && (script.is_none() || matches!(case.known.image, ImageState::Present(_))) {
        return None;
    }
    let mut evidence: Vec<String> = script.map(|script| case.cite(script)).into_iter().collect();
    if is_missing {
        evidence.push(format!("the content store has no `{image}/image.json` now"));
    }
    let found = Found::new(
        format!("the node's image {image} is not in the content store"),
        evidence,
    );
    Some(match script {
        Some(_) => found,
        // What will stop it is not what stops it.
        None => found.at(Confidence::Possible),
    })
}

fn image_architecture(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (node, image) = (case.known.node, &case.known.node.image);
    let wanted = node.architecture.as_str();
    let other = match case.known.image {
        ImageState::Present(other) if other != node.architecture => Some(other.as_str()),
        _ => None,
    };
    let script = nothing_because(case, " is for ");
    if other.is_none() && (script.is_none() || matches!(case.known.image, ImageState::Present(_))) {
        return None;
    }
    if script.is_none() && !(case.known.status.armed && before_system(case)) {
        return None;
    }
    let mut evidence: Vec<String> = script.map(|script| case.cite(script)).into_iter().collect();
    evidence.extend(other.map(|other| format!("the manifest of {image} says {other}")));
    Some(Found::new(
        format!("the image {image} is not for {wanted}, which the site file says the node is"),
        evidence,
    ))
}

fn content_damaged(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let image = format!("{}/", case.known.node.image);
    let is_it = |event: &&Event| {
        let name = event.word("name");
        event.kind == EventKind::ContentDamaged
            && (name.starts_with(&image) || name.starts_with("loader/") || !name.contains('/'))
    };
    let needs = before_system(case) || case.is_in(&[SpanKind::Stage, SpanKind::Between]);
    let damaged = case
        .within(SignedDuration::from_hours(24))
        .rfind(is_it)
        .filter(|_| needs)?;
    let mended = case.known.events.iter().any(|event| {
        event.seq > damaged.seq
            && event.kind == EventKind::ContentAdded
            && event.word("name") == damaged.word("name")
    });
    (!mended).then(|| {
        Found::new(
            format!(
                "{} in the content store is damaged and is not sent",
                damaged.word("name")
            ),
            vec![case.cite(damaged)],
        )
    })
}

fn is_sent(event: &Event) -> bool {
    matches!(
        Moment::of(event),
        Moment::KernelSent | Moment::InitramfsSent | Moment::ContentSent
    )
}

fn transfer_fails(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let sent = case
        .recent()
        .rfind(|event| is_sent(event))
        .map_or(0, |event| event.seq);
    let failed: Vec<&Event> = case
        .recent_all(EventKind::TransferFailed)
        .into_iter()
        .filter(|event| event.seq > sent && !event.word("name").starts_with("loader/"))
        .collect();
    let last = failed.last()?;
    let needs = case.is_in(&[
        SpanKind::Script,
        SpanKind::SystemStart,
        SpanKind::Stage,
        SpanKind::Ignition,
    ]);
    needs.then(|| {
        let summary = words::with(
            &format!("{} does not get through to the node", last.word("name")),
            last.word("reason"),
        );
        Found::new(summary, cited(case, &failed))
    })
}

fn slow_transfer(case: &Case<'_>, _: &Rule) -> Option<Found> {
    if let Some(found) = slow_now(case) {
        return Some(found);
    }
    let rate = |event: &&Event| {
        let bytes = event.number("bytes").filter(|bytes| *bytes >= SHORT)?;
        words::rate(bytes, event.transfer_time())
    };
    let needs = case.is_in(&[
        SpanKind::Script,
        SpanKind::SystemStart,
        SpanKind::Stage,
        SpanKind::Between,
        SpanKind::Ignition,
    ]);
    let slow: Vec<&Event> = case
        .own
        .iter()
        .copied()
        .filter(|event| is_sent(event) && rate(event).is_some_and(|rate| rate < SLOW))
        .collect();
    let last = slow.last().filter(|_| needs)?;
    let summary = format!(
        "what the node is sent comes slowly: {} at {} a second",
        last.word("name"),
        words::size(rate(last)?)
    );
    Some(Found::new(summary, cited(case, &slow)))
}

/// A transfer under way that is slow: the machine's last sign of life is before its begin.
fn slow_now(case: &Case<'_>) -> Option<Found> {
    let transfer = case.known.status.transfer.as_ref()?;
    let time = case.silent_for().filter(|time| time.as_secs() >= 10)?;
    let rate = words::rate(transfer.bytes, time)?;
    (rate < SLOW && transfer.bytes < transfer.of).then(|| {
        let name = transfer.name.rsplit('/').next().unwrap_or_default();
        let evidence = vec![format!(
            "{} of {} of {name} within {}",
            words::size(transfer.bytes),
            words::size(transfer.of),
            words::took(time)
        )];
        let summary = format!("{name} comes slowly: {} a second at most", words::size(rate));
        Found::new(summary, evidence)
    })
}

fn kernel_not_fetched(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (_, told) = case.script()?;
    let stalled = case.is_in(&[SpanKind::Script]) && case.is_stalled();
    (stalled && told == Told::Install).then(|| {
        Found::new(
            "the boot loader has its script, and does not fetch all that it names",
            last_and_silence(case),
        )
    })
}

fn kernel_silent(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::SystemStart]) && case.is_stalled();
    stalled.then(|| {
        Found::new(
            "kernel and initramfs were sent in full, and the system has not spoken since",
            last_and_silence(case),
        )
    })
}
