//! Stories as text.

use expect_test::{Expect, expect};
use faros_model::{
    event::Event,
    ids::SessionId,
    timeline::{SpanKind, Timeline},
};
use proptest::prelude::*;

use super::story::{ANYTHING, NODE, WHOLE, at, events};
use crate::{Recorded, draw, sessions, timeline};

pub(super) fn told(story: &str, now: Option<f64>) -> Option<Timeline> {
    of(&events(story), now)
}

pub(super) fn of(events: &[Event], now: Option<f64>) -> Option<Timeline> {
    timeline(&Recorded {
        node: &NODE.parse().unwrap(),
        session: SessionId(7),
        events,
        now: now.map(at),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "as `expect!` makes it")]
pub(super) fn check(story: &str, now: Option<f64>, expected: Expect) {
    let text = draw::text(&told(story, now).unwrap(), 80);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "wider than 80 columns:\n{text}"
    );
    expected.assert_eq(&text);
}

#[test]
fn an_install_is_told_from_its_first_packet_to_the_start_from_disk() {
    check(
        WHOLE,
        Some(400.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  2 m 38 s
            reached: started

                   AT      TOOK  WHAT
                0.0 s     2.9 s  firmware                                   =
                0.0 s              has 192.168.8.11
                2.9 s     0.1 s  loader snponly.efi, 146 KiB, 1.2 MiB/s     =
                3.0 s     6.0 s  loader runs                                =
                7.0 s              has 192.168.8.11
                9.0 s              is told to install itself
                9.2 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s               =
               10.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s             =
               11.0 s    22.0 s  system starts                               ==
               32.0 s              has 192.168.8.11
               33.0 s     2.0 s  Ignition                                      =
               33.0 s              reports that its system is up
               34.0 s              is given its Ignition config
               35.0 s              reports that it has its Ignition config
               35.2 s     0.8 s  install: disk                                 =
               36.1 s    18.9 s  install: disks                                ==
               36.1 s    12.9 s    silent; awaited: the end of the stage       .
                                   `disks`
               49.0 s              asks for the unlock keys
               50.0 s              unlock-bound
               55.1 s     0.9 s  install: mount                                  =
               56.1 s    33.9 s  install: root                                   ====
               57.0 s    31.0 s    root.img, 297.5 MiB, 9.6 MiB/s                ---
             1 m 30 s     2.9 s  install: files                                      =
             1 m 33 s     7.9 s  install: loader                                     =
             1 m 41 s     0.9 s  install: finish                                      =
             1 m 42 s              is disarmed: installed
             1 m 42 s    36.5 s  reboot                                               ====
             1 m 42 s              reports that it is installed
             2 m 19 s     2.0 s  unlock                                                   =
             2 m 19 s              has 192.168.8.11
             2 m 21 s    17.0 s  system starts                                            =
             2 m 21 s              is helped to unlock its disk
             2 m 38 s              reports that it started from its disk
        "]],
    );
}

#[test]
fn a_session_that_goes_on_says_what_is_awaited() {
    check(
        "0 firmware-has
         3 loader-sent
         7 loader-has
         9 told-install
         9.5 kernel-sent
         11 initramfs-sent",
        Some(40.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  40.0 s
            goes on; reached: kernel

                   AT      TOOK  WHAT
                0.0 s     2.9 s  firmware                                   =
                0.0 s              has 192.168.8.11
                2.9 s     0.1 s  loader snponly.efi, 146 KiB, 1.2 MiB/s      =
                3.0 s     6.0 s  loader runs                                 ==
                7.0 s              has 192.168.8.11
                9.0 s              is told to install itself
                9.2 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s                  =
               10.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s                =
               11.0 s    29.0 s  system starts, so far; awaited: its first      ===========
                                 report
        "]],
    );
}

#[test]
fn a_session_that_was_given_up_has_no_end() {
    check(
        "0 firmware-has
         3 loader-sent
         7 loader-has
         9 told-install
         9.5 kernel-sent
         11 initramfs-sent
         50 /8 firmware-has",
        None,
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  11.0 s
            reached: kernel

                   AT      TOOK  WHAT
                0.0 s     2.9 s  firmware                                   ====
                0.0 s              has 192.168.8.11
                2.9 s     0.1 s  loader snponly.efi, 146 KiB, 1.2 MiB/s         =
                3.0 s     6.0 s  loader runs                                    =========
                7.0 s              has 192.168.8.11
                9.0 s              is told to install itself
                9.2 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s                            =
               10.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s                          =
               11.0 s     0.0 s  system starts, no end seen; awaited: its                  =
                                 first report
        "]],
    );
}

#[test]
fn a_failure_ends_the_story() {
    check(
        "0 loader-has
         1 told-install
         2 kernel-sent
         4 initramfs-sent
         24 booted
         25 ignition-served bytes=1
         26 ignited
         27 node-report report=stage stage=disk state=started
         28 node-report report=failed stage=disk code=disk-missing message=/dev/vda_is_not_there
         200 dhcp-request address=192.168.8.11 state=renewing",
        Some(500.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  28.0 s
            FAILED: disk-missing in stage `disk`: /dev/vda is not there

                   AT      TOOK  WHAT
                0.0 s     1.0 s  loader runs                                =
                0.0 s              has 192.168.8.11
                1.0 s              is told to install itself
                1.8 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s                =
                2.0 s     1.1 s  script                                      =
                3.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s             =
                4.0 s    20.0 s  system starts                                ===========
               24.0 s     2.0 s  Ignition                                                =
               24.0 s              reports that its system is up
               25.0 s              is given its Ignition config
               26.0 s     1.0 s  install                                                  =
               26.0 s              reports that it has its Ignition config
               27.0 s     1.0 s  install: disk                                             =
               28.0 s              ! reports a failure: disk-missing in
                                   stage `disk`: /dev/vda is not there
        "]],
    );
}

#[test]
fn a_disk_that_is_not_encrypted_is_not_unlocked() {
    let story = "0 firmware-has\n5 told-disk\n30 system-has\n40 node-report report=started encrypted=false";
    let told = told(story, Some(50.0)).unwrap();
    let kinds: Vec<_> = told
        .spans
        .iter()
        .filter(|span| !span.inside)
        .map(|span| span.kind)
        .collect();
    assert_eq!(kinds, [SpanKind::Firmware, SpanKind::DiskBoot, SpanKind::Start]);
}

#[test]
fn the_sessions_of_a_node_are_told_latest_first() {
    let events =
        events("0 /4 firmware-has\n9 /4 told-install\n30 /4 installed\n60 firmware-has\n70 * dhcp-discover");
    let rows = sessions(&NODE.parse().unwrap(), &events);
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {} events, latest: {}",
                row.session, row.reached, row.events, row.latest
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "boot-7 seen 4 events, latest: true",
            "boot-4 installed 7 events, latest: false"
        ]
    );
}

#[test]
fn nodes_side_by_side_fit_the_terminal() {
    let mut other = told(
        "0 loader-has\n1 told-install\n2 kernel-sent\n4 initramfs-sent",
        Some(9.0),
    )
    .unwrap();
    other.node = "node-2".parse().unwrap();
    let text = draw::side_by_side(&[told(WHOLE, Some(400.0)).unwrap(), other], 80);
    expect![[r"
                                 node-1       node-2
        session                  boot-7       boot-7
        began                  08:00:00     08:00:00
        firmware                  2.9 s            -
        loader                    0.1 s            -
        loader runs               6.0 s        1.0 s
        kernel                    0.2 s        0.2 s
        script                        -        1.1 s
        initramfs                 0.9 s        0.9 s
        system starts            22.0 s       5.0 s…
        Ignition                  2.0 s            -
        install: disk             0.8 s            -
        install: disks           18.9 s            -
        install: mount            0.9 s            -
        install: root            33.9 s            -
        install: files            2.9 s            -
        install: loader           7.9 s            -
        install: finish           0.9 s            -
        reboot                   36.5 s            -
        unlock                    2.0 s            -
        starts from disk         17.0 s            -
        in all                 2 m 38 s        9.0 s
        reached                 started       kernel
    "]]
    .assert_eq(&text);
}

proptest! {
    /// Whatever comes in whatever order, with a clock that jumps.
    #[test]
    fn phases_never_overlap_and_never_run_backwards(
        lines in prop::collection::vec((0..ANYTHING.len(), -40..90i32), 1..40),
        goes_on in any::<bool>(),
    ) {
        let mut second = 1_000;
        let mut story = String::new();
        for (what, step) in &lines {
            // The clock is set back now and then. Otherwise it goes on: some lines are two events, a moment apart.
            second += if *step < -35 { *step } else { step.abs().max(1) };
            story.push_str(&[&second.to_string(), " ", ANYTHING[*what], "\n"].concat());
        }
        let Some(told) = told(&story, goes_on.then_some(5_000.0)) else { return Ok(()) };
        prop_assert!(told.ended >= told.began);
        for span in &told.spans {
            prop_assert!(span.ended >= span.began, "{span:?}");
        }
        let set_back = lines.iter().any(|(_, step)| *step < -35);
        let phases: Vec<_> = told.spans.iter().filter(|span| !span.inside).collect();
        for pair in phases.windows(2).filter(|_| !set_back) {
            prop_assert!(pair[0].ended <= pair[1].began, "{:#?}", pair);
        }
        let text = draw::text(&told, 80);
        prop_assert!(text.lines().all(|line| line.chars().count() <= 80), "{}", text);
        let picture = draw::svg(&[told.clone(), told]);
        prop_assert!(!picture.contains("NaN") && picture.ends_with("</svg>\n"));
    }
}
