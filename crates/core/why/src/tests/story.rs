//! Stories: what was recorded, one line for each event, as `SECOND [WHO] KIND [key=value …]`.
//!
//! WHO is `+`, the node in its present session, unless the line says otherwise: `-` the site itself, `~` the node
//! in no session, `/N` the node in session N, `*` another node. A value with spaces is written with `_`. Some words stand for
//! several events; see [`shorthand`].

use faros_model::{
    event::{Event, EventKind},
    ids::SessionId,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};

pub(super) const NODE: &str = "node-1";

pub(super) fn base() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

pub(super) fn at(second: f64) -> Timestamp {
    base() + SignedDuration::from_secs_f64(second)
}

/// What a line may stand for.
fn shorthand(word: &str) -> &'static [&'static str] {
    match word {
        // The firmware asks, and takes what it is offered.
        "firmware-asks" => &["dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7"],
        "firmware-has" => &[
            "dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7",
            "dhcp-offer address=192.168.8.11 bootFile=snponly.efi",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11 bootFile=snponly.efi",
        ],
        "loader-sent" => &["loader-fetched name=loader/snponly.efi bytes=150000 milliseconds=120"],
        "loader-has" => &[
            "dhcp-discover vendorClass=PXEClient:Arch:00007 userClass=iPXE architecture=7",
            "dhcp-offer address=192.168.8.11 bootFile=http://192.168.8.1:8080/boot/x.ipxe",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11 bootFile=http://192.168.8.1:8080/boot/x.ipxe",
        ],
        "told-install" => &["boot-script-served action=install reason=node-1_is_armed"],
        "told-disk" => &["boot-script-served action=local-disk reason=node-1_is_not_armed"],
        "kernel-sent" => &["kernel-fetched name=debian-13/vmlinuz bytes=11708352 milliseconds=250"],
        "initramfs-sent" => {
            &["initramfs-fetched name=debian-13/initramfs.img bytes=39044657 milliseconds=900"]
        }
        "system-has" => &[
            "dhcp-discover hostname=node-1",
            "dhcp-offer address=192.168.8.11",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11",
        ],
        "booted" => &["node-report report=booted memoryBytes=2147483648"],
        "ignited" => &["node-report report=ignition-fetched ignitionVersion=2.18.0"],
        "installed" => &[
            "node-disarmed by=farosd reason=installed",
            "node-report report=installed seconds=60",
        ],
        "started" => &["node-report report=started encrypted=true"],
        _ => &[],
    }
}

/// The events of a story.
pub(super) fn events(story: &str) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (second, rest) = line.split_once(' ').unwrap();
        let second: f64 = second.parse().unwrap();
        let (who, rest) = match rest.split_once(' ') {
            Some((who, rest)) if !who.starts_with(|c: char| c.is_ascii_lowercase()) => (who, rest),
            _ => ("+", rest),
        };
        let (node, session) = match who {
            "+" => (Some(NODE), Some(7)),
            "~" => (Some(NODE), None),
            "-" => (None, None),
            "*" => (Some("node-2"), Some(8)),
            other => (
                Some(NODE),
                Some(other.strip_prefix('/').unwrap().parse().unwrap()),
            ),
        };
        let word = rest.split(' ').next().unwrap();
        let lines = match shorthand(word) {
            [] => vec![rest],
            lines => lines.to_vec(),
        };
        for (idx, line) in lines.into_iter().enumerate() {
            let (kind, facts) = line.split_once(' ').unwrap_or((line, ""));
            let mut detail = Map::new();
            let mut seq = events.last().map_or(1, |event| event.seq + 1);
            for (key, value) in facts.split_whitespace().map(|fact| fact.split_once('=').unwrap()) {
                let value = value.replace('_', " ");
                let number = value.parse::<u64>().ok();
                if key == "seq" {
                    seq = number.unwrap();
                } else {
                    detail.insert(key.to_owned(), number.map_or_else(|| json!(value), |n| json!(n)));
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let offset = idx as f64 * 0.01;
            events.push(Event {
                seq,
                at: at(second + offset),
                node: node.map(|node| node.parse().unwrap()),
                session: session.map(SessionId),
                kind: EventKind::from_name(kind).unwrap_or_else(|| panic!("{kind} is no kind of event")),
                detail,
            });
        }
    }
    events
}

/// An install from the first packet to the report after the reboot.
pub(super) const WHOLE: &str = "
    0 firmware-has
    3 loader-sent
    7 loader-has
    9 told-install
    9.5 kernel-sent
    11 initramfs-sent
    32 system-has
    33 booted
    34 ignition-served bytes=4120
    35 ignited
    35.2 node-report report=stage stage=disk state=started
    36 node-report report=stage stage=disk state=done seconds=1
    36.1 node-report report=stage stage=disks state=started
    49 unlock-advertised keys=k address=192.168.8.11
    50 unlock-bound key=k
    55 node-report report=stage stage=disks state=done seconds=19
    55.1 node-report report=stage stage=mount state=started
    56 node-report report=stage stage=mount state=done seconds=1
    56.1 node-report report=stage stage=root state=started
    88 content-fetched name=debian-13/root.img bytes=312000000 milliseconds=31000
    90 node-report report=stage stage=root state=done seconds=34
    90.1 node-report report=stage stage=files state=started
    93 node-report report=stage stage=files state=done seconds=3
    93.1 node-report report=stage stage=loader state=started
    101 node-report report=stage stage=loader state=done seconds=8
    101.1 node-report report=stage stage=finish state=started
    102 node-report report=stage stage=finish state=done seconds=1
    102.5 installed
    139 system-has
    141 unlock-recovered key=k address=192.168.8.11
    158 started
    300 dhcp-request address=192.168.8.11 state=renewing
";

/// Lines of which a story can be put together.
pub(super) const ANYTHING: &[&str] = &[
    "firmware-has",
    "firmware-asks",
    "loader-sent",
    "loader-has",
    "told-install",
    "told-disk",
    "kernel-sent",
    "initramfs-sent",
    "system-has",
    "booted",
    "ignited",
    "installed",
    "started",
    "unlock-advertised",
    "unlock-recovered",
    "unlock-refused reason=not-bound",
    "ignition-served",
    "content-fetched name=x bytes=9000000 milliseconds=4000",
    "transfer-failed name=loader/x",
    "node-report report=stage stage=root state=started",
    "node-report report=stage stage=root state=done seconds=12",
    "node-report report=failed code=disk-missing",
    "- daemon-stopping reason=signal",
    "- daemon-started version=1",
    "- interface-lost interface=lan0",
    "* dhcp-discover",
];
