//! The picture. Look at it after a change: `rsvg-convert -o boot.png testdata/boot.svg`.

use faros_model::timeline::Timeline;

use super::{story::WHOLE, timelines::told};
use crate::draw::svg;

fn of(node: &str, story: &str, now: Option<f64>) -> Timeline {
    let mut timeline = told(story, now).unwrap();
    timeline.node = node.parse().unwrap();
    timeline
}

#[test]
fn the_picture_is_the_one_that_was_looked_at() {
    let timelines = [
        of("node-1", WHOLE, Some(400.0)),
        of(
            "node-2",
            "4 firmware-has
             9 loader-sent
             16 loader-has
             18 told-install
             20 kernel-sent
             24 initramfs-sent
             52 system-has
             53 booted
             54 ignition-served bytes=4120
             55 ignited
             56 node-report report=stage stage=disks state=started
             60 - daemon-stopping reason=signal
             72 - daemon-started version=1
             80 node-report report=stage stage=disks state=done seconds=24
             81 node-report report=stage stage=root state=started
             125 content-fetched name=debian-13/root.img bytes=312000000 milliseconds=43000
             128 node-report report=stage stage=root state=done seconds=47
             128.1 node-report report=stage stage=files state=started
             134 node-report report=stage stage=files state=done seconds=6
             134.1 node-report report=stage stage=loader state=started
             146 node-report report=stage stage=loader state=done seconds=12
             147 installed",
            None,
        ),
        of(
            "node-2",
            "176 firmware-has
             179 loader-sent
             185 loader-has
             187 told-disk
             206 system-has
             208 unlock-refused reason=locked-down key=k address=192.168.8.12
             218 unlock-recovered key=k address=192.168.8.12
             236 started",
            Some(400.0),
        ),
        of(
            "node-3",
            "20 firmware-has
             24 loader-sent
             31 loader-has
             33 told-install
             36 kernel-sent
             41 initramfs-sent
             72 booted
             73 ignition-served bytes=4120
             74 ignited
             75 node-report report=stage stage=disk state=started
             78 node-report report=failed stage=disk code=disk-missing message=no_such_disk",
            Some(400.0),
        ),
        of(
            "node-4",
            "150 firmware-asks\n154 firmware-asks\n162 firmware-asks",
            Some(236.0),
        ),
    ];
    expect_test::expect_file!["../../testdata/boot.svg"].assert_eq(&svg(&timelines));
}

#[test]
fn no_boots_are_a_picture_too() {
    assert!(svg(&[]).contains("No boots were recorded"));
}
