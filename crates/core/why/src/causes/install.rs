//! The install: what the node itself reports as failed, stages that never end, and reboots that do.

use faros_model::{
    event::Event,
    timeline::{Confidence, SpanKind},
};
use serde_json::Value;

use super::last_and_silence;
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    stand, words,
};

pub(crate) const RULES: &[Rule] = &[
    failed(
        "ignition-fetch",
        "the node could not fetch its Ignition config, or something that it names",
        "`farosctl events --node {node}` shows what it asked for; then power-cycle it",
    ),
    failed(
        "ignition-config",
        "Ignition on the node does not accept the config it was given",
        "look at the message; the config follows from the site file, so mend that and run `farosctl apply site.yaml`, then power-cycle {node}",
    ),
    failed(
        "disk-missing",
        "no disk of the node is the one that the site file names to install on",
        "set `installDisk` of {node} (now {disk}) to a disk that it has: the report `booted` in `farosctl events --node {node} --output json` lists them; then `farosctl apply site.yaml` and power-cycle it",
    ),
    failed(
        "disk-ambiguous",
        "several disks of the node fit what the site file says of the one to install on",
        "make `installDisk` of {node} say more: a serial number, or a path below /dev/disk/by-path; then `farosctl apply site.yaml` and power-cycle it",
    ),
    failed(
        "disk-too-small",
        "the disk to install on is too small",
        "choose a larger disk as `installDisk` of {node} (now {disk}), then `farosctl apply site.yaml` and power-cycle it",
    ),
    failed(
        "disks-failed",
        "partitions, encryption or file systems could not be made",
        "look at the message and at the console of {node}; a disk that fails to write is replaced; then power-cycle it",
    ),
    failed(
        "unlock-unreachable",
        "the node could not bind its disk to the bastion's unlock service",
        "`farosctl status`: is the unlock service ready? `farosctl unlock ledger`: is there a key? Then power-cycle {node}",
    ),
    failed(
        "root-fetch",
        "the root image could not be fetched in full",
        "look for loss between {node} and the bastion; `farosctl content verify`; then power-cycle it",
    ),
    failed(
        "root-digest",
        "the root image that arrived is not what its digest says",
        "`farosctl content verify` tells whether the store's copy is whole: if it is, the node's memory or link spoils it; then power-cycle {node}",
    ),
    failed(
        "root-unpack",
        "the root image could not be written to the disk",
        "look at the message: no room, or a disk that fails to write; then power-cycle {node}",
    ),
    failed(
        "files-failed",
        "files, users or units of the config could not be written",
        "look at the message; what is written follows from the site file; then power-cycle {node}",
    ),
    failed(
        "loader-failed",
        "the boot loader could not be installed on the disk",
        "look at the message; a UEFI firmware with no room for boot entries is the usual cause: clear old entries in its setup, then power-cycle {node}",
    ),
    failed(
        "finish-failed",
        "the install could not be brought to its end",
        "look at the message and at the console of {node}; then power-cycle it",
    ),
    failed(
        "memory-too-small",
        "the node has too little memory to install",
        "give {node} more memory; the report `booted` says how much it has",
    ),
    Rule {
        code: "reported-failure",
        confidence: Confidence::Certain,
        means: "the node reported a failure that has no row of its own",
        told_by: "the report `failed`",
        next: "look at the message and at the console of {node}; then power-cycle it",
        find: failed_otherwise,
    },
    Rule {
        code: "root-image-stalled",
        confidence: Confidence::Likely,
        means: "the node is writing the root image, and neither asks for more nor reports",
        told_by: "the report `stage` `root` `started`, silence, and no transfer under way",
        next: "look at the console of {node}: a disk or a link that hangs; power-cycle it to try again, it is still armed",
        find: root_stalled,
    },
    Rule {
        code: "stage-overdue",
        confidence: Confidence::Likely,
        means: "a stage of the install takes far longer than it should",
        told_by: "the report `stage` `started`, and silence",
        next: "look at the console of {node}: a disk that hangs is the usual cause; power-cycle it to try again, it is still armed",
        find: stage_overdue,
    },
    Rule {
        code: "not-back-from-reboot",
        confidence: Confidence::Likely,
        means: "the node reported that it is installed, and never came back from its reboot",
        told_by: "the report `installed`, and silence",
        next: "look at the console of {node}: it does not boot its disk (boot order, UEFI or BIOS as at the install), or is off; power-cycle it",
        find: not_back,
    },
];

/// A row for one code of the report `failed`.
const fn failed(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: "the report `failed` with this code",
        next,
        find: find_failed,
    }
}

fn find_failed(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let failure = case
        .failure()
        .filter(|failure| failure.word("code") == rule.code)?;
    let summary = words::with(rule.means, words::message(failure));
    let mut evidence = vec![case.cite(failure)];
    evidence.extend(hardware(case, failure));
    Some(Found::new(summary, evidence))
}

/// What the machine has of what it failed for, as it said itself, here or when it booted.
fn hardware(case: &Case<'_>, failure: &Event) -> Option<String> {
    let booted = case.report("booted");
    let said = |key: &str| failure.detail.get(key).or_else(|| booted?.detail.get(key));
    match failure.word("code") {
        code if code.starts_with("disk-") => {
            let disks: Vec<String> = said("disks")?.as_array()?.iter().filter_map(disk).collect();
            Some(match disks.as_slice() {
                [] => "it has no disk".to_owned(),
                disks => format!("its disks: {}", disks.join("; ")),
            })
        }
        "memory-too-small" => Some(format!(
            "it has {} of memory",
            words::size(said("memoryBytes")?.as_u64()?)
        )),
        _ => None,
    }
}

/// A disk as a node tells of it: `vda, 20.0 GiB, serial X, model Y`.
fn disk(disk: &Value) -> Option<String> {
    let mut text = disk.get("name")?.as_str()?.to_owned();
    let bytes = disk.get("bytes").and_then(Value::as_u64);
    text.extend(bytes.map(|bytes| format!(", {}", words::size(bytes))));
    for key in ["serial", "model"] {
        let said = disk.get(key).and_then(Value::as_str).map(str::trim);
        text.extend(
            said.filter(|said| !said.is_empty())
                .map(|said| format!(", {key} {said}")),
        );
    }
    Some(text)
}

fn failed_otherwise(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let failure = case.failure()?;
    let has_row = RULES
        .iter()
        .any(|row| row.code != rule.code && row.code == failure.word("code"));
    (!has_row).then(|| {
        let summary = words::with("the node reported a failure", &words::failure(failure));
        Found::new(summary, vec![case.cite(failure)])
    })
}

fn stage<'c>(case: &'c Case<'_>) -> Option<&'c str> {
    let phase = case.phase.as_ref()?;
    (phase.kind == SpanKind::Stage && case.is_stalled()).then_some(phase.name.as_str())
}

fn root_stalled(case: &Case<'_>, _: &Rule) -> Option<Found> {
    (stage(case)? == "root").then(|| {
        Found::new(
            "the node is writing the root image, and makes no progress",
            last_and_silence(case),
        )
    })
}

fn stage_overdue(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let between = case.is_in(&[SpanKind::Between]) && case.is_stalled();
    let summary = match stage(case) {
        Some("root") => return None,
        Some(stage) => {
            let usual = stand::wait(SpanKind::Stage, stage).usual;
            format!("the stage `{stage}` of the install is overdue: it usually takes {usual} s")
        }
        None if between => "the install does not go on to its next stage".to_owned(),
        None => return None,
    };
    Some(Found::new(summary, last_and_silence(case)))
}

fn not_back(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::Reboot]) && case.is_stalled();
    stalled.then(|| {
        Found::new(
            "the node is installed, and has not come back from its reboot",
            last_and_silence(case),
        )
    })
}
