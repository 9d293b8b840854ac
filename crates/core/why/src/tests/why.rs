//! What an answer says, and that there always is one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    story::{ANYTHING, at, events},
    timelines,
    world::World,
};

#[test]
fn network_first_is_told_beside_and_is_never_the_cause() {
    let events = events(
        "0 /4 installed
         60 firmware-has
         62 loader-sent
         66 loader-has
         68 told-disk
         80 system-has
         81 unlock-recovered key=k
         99 started",
    );
    let causes = World::new(&events).but("not-armed").why(at(200.0), &events);
    let found: Vec<_> = causes
        .iter()
        .map(|cause| (cause.code.as_str(), cause.confidence.as_str()))
        .collect();
    assert_eq!(found, [("started", "certain"), ("network-first", "aside")]);
}

#[test]
fn a_cause_says_what_it_is_told_by_and_what_to_do() {
    let events = events(
        "0 firmware-has
         2 loader-sent
         6 loader-has
         8 told-install
         9 kernel-sent
         30 transfer-failed name=debian-13/initramfs.img bytes=1048576 of=39044657 reason=reset",
    );
    let causes = World::new(&events).why(at(40.0), &events);
    expect_test::expect![[r#"
        {
          "code": "transfer-fails",
          "confidence": "likely",
          "summary": "debian-13/initramfs.img does not get through to the node: reset",
          "evidence": [
            "event 12, 10 s ago: has 1.0 MiB of 37.2 MiB of debian-13/initramfs.img, and no more: reset"
          ],
          "next": "look for loss between node-1 and the bastion: cable, port, duplex (`ethtool`), MTU; `farosctl timeline node-1` shows the rates"
        }"#]].assert_eq(&serde_json::to_string_pretty(&causes[0]).unwrap());
}

#[test]
fn a_disk_that_is_not_there_is_told_with_those_that_are() {
    let mut events = events(
        "31 booted
         33 ignited
         35 node-report report=failed stage=disk code=disk-missing message=there_is_no_/dev/vda",
    );
    let disks = json!([
        { "name": "sda", "bytes": 21_474_836_480_u64, "serial": "QM00001", "model": "QEMU HARDDISK" },
        { "name": "nvme0n1", "bytes": 512_000_000, "serial": null, "model": " " },
    ]);
    events[0].detail.insert("disks".to_owned(), disks);
    let causes = World::new(&events).why(at(40.0), &events);
    assert_eq!(
        causes[0].evidence[1],
        "its disks: sda, 20.0 GiB, serial QM00001, model QEMU HARDDISK; nvme0n1, 488.3 MiB"
    );
}

#[test]
fn a_report_that_waited_for_farosd_does_not_put_the_clock_in_doubt() {
    let first = |at_second: u32, clock: &str| {
        let events = events(&format!(
            "31 booted\n33 ignited\n40 - daemon-stopping\n690 - daemon-started
             {at_second} node-report report=stage stage=disk state=started clock={clock}"
        ));
        let now = at(f64::from(at_second) + 5.0);
        World::new(&events).why(now, &events)[0].code.clone()
    };
    assert_eq!(first(700, "2026-11-21T08:00:45Z"), "on-its-way");
    assert_eq!(first(700, "2026-11-21T07:00:00Z"), "clock-off");
    // No node waits so long with its next try.
    assert_eq!(first(1288, "2026-11-21T08:00:45Z"), "on-its-way");
    assert_eq!(first(1292, "2026-11-21T08:00:45Z"), "clock-off");
}

#[test]
fn an_answer_fits_the_terminal() {
    let events = events(
        "0 firmware-has
         2 loader-sent
         6 loader-has
         8 told-install
         9 - daemon-stopping reason=signal
         30 - daemon-started version=1
         31 - rogue-dhcp-server server=192.168.8.66 seenBy=offer
         32 transfer-failed name=debian-13/initramfs.img bytes=1048576 of=39044657 reason=reset
         36 transfer-failed name=debian-13/initramfs.img bytes=1048576 of=39044657 reason=reset
         40 transfer-failed name=debian-13/initramfs.img bytes=1048576 of=39044657 reason=reset",
    );
    let world = World::new(&events);
    let diagnosis = faros_model::timeline::Diagnosis {
        node: world.status.name.clone(),
        at: at(60.0),
        phase: world.status.phase,
        since: Some(at(0.0)),
        armed: true,
        session: world.status.session,
        causes: world.why(at(60.0), &events),
    };
    let text = crate::draw::causes(&diagnosis, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    expect_test::expect![[r"
        node-1  netbooting for 1 m 00 s, armed

        transfer-fails (likely)
          debian-13/initramfs.img does not get through to the node: reset

          told by
            event 14, 28 s ago: has 1.0 MiB of 37.2 MiB of debian-13/initramfs.img,
              and no more: reset
            … 3 times in all, the latest:
            event 16, 20 s ago: has 1.0 MiB of 37.2 MiB of debian-13/initramfs.img,
              and no more: reset

          next
            look for loss between node-1 and the bastion: cable, port, duplex
            (`ethtool`), MTU; `farosctl timeline node-1` shows the rates

        less likely, or beside it
          daemon-was-down: farosd was down while the node was in its present phase,
            and what the node asked for meanwhile is lost
          second-dhcp-server: another DHCP server, 192.168.8.66, answers on this LAN
    "]]
    .assert_eq(&text);
}

/// What a node, or a slip of the record, may have put where something else is expected.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(u64::MAX)),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!("{node} <&\">\u{1b}[2J")),
        Just(json!("9999-99-99T99:99:99Z")),
        Just(json!("-9999-01-01T00:00:00Z")),
        Just(json!({"a": []})),
    ]
}

proptest! {
    /// Whatever was recorded, there is an answer with evidence, and a next action with no word left open.
    #[test]
    fn there_is_always_an_answer_and_none_without_evidence(
        lines in prop::collection::vec((0..ANYTHING.len(), 0..200u32), 0..40),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), hostile()), 0..12),
        but in prop::sample::select(vec!["", "not-armed", "lockdown", "no-dhcp", "no-image", "stranger:9", "sending:77"]),
        later in 0..90_000u32,
    ) {
        const KEYS: &[&str] = &[
            "milliseconds", "bytes", "of", "name", "clock", "seconds", "reason", "address", "mac", "code",
            "message", "stage", "state", "report", "action", "vendorClass", "bootFile", "server",
        ];
        let mut second = 0;
        let mut story = String::new();
        for (what, step) in &lines {
            second += step;
            story.push_str(&[&second.to_string(), " ", ANYTHING[*what], "\n"].concat());
        }
        let mut events = events(&story);
        for (event, key, value) in spoilt {
            if !events.is_empty() {
                let event = event.get_mut(&mut events);
                event.detail.insert((*key.get(KEYS)).to_owned(), value);
            }
        }
        let causes = World::new(&events).but(but).why(at(f64::from(second + later)), &events);
        prop_assert!(!causes.is_empty());
        for cause in &causes {
            prop_assert!(!cause.evidence.is_empty(), "{:?}", cause);
            prop_assert!(!cause.next.contains('{'), "{:?}", cause);
        }
        let told = timelines::of(&events, Some(f64::from(second + later)));
        if let Some(told) = told {
            let picture = crate::draw::svg(std::slice::from_ref(&told));
            prop_assert!(!picture.contains("NaN") && !picture.contains("<&"));
            let text = crate::draw::text(&told, 80);
            let escape = char::from(0x1b);
            prop_assert!(!picture.contains(escape) && !text.contains(escape));
        }
    }
}
