//! The doors to the lab's machines: which image they boot, with which interface, and what is waited for.

use std::fs;

use faros_lab::image;

use crate::lab::{Door, judge};

/// The smallest site, as it is in the repository.
const SMALLEST: &str = "examples/smallest.yaml";

#[test]
fn a_machine_boots_the_image_of_its_node_by_the_interface_it_has() -> anyhow::Result<()> {
    let door = Door("t-machine");
    let folder = tempfile::tempdir()?;
    image::write_dummy_to(folder.path(), image::Kernel::Generic)?;
    door.run(&["up", SMALLEST])?;
    let machine = |words: &[&str], code: i32, says: &str| {
        let mut command = door.command(&[&["machine", "node-1"], words].concat())?;
        judge(command.env("XDG_CACHE_HOME", folder.path()), code, says)
    };
    machine(&["start", "--nic", "abacus"], 1, "QEMU ended at once")?;
    let listed = door.run(&["farosctl", "content", "list"])?;
    assert!(listed.contains("debian-13/image.json"), "{listed}");
    assert!(!listed.contains("debian-13-cloud/"), "{listed}");

    machine(&["start", "--nic", "e1000"], 0, "")?;
    machine(&["wait", "netbooting"], 0, "")?;
    machine(&["start"], 1, "the machine runs already")?;
    machine(&["wait", "netbooting", "--timeout", "0"], 0, "")?;
    let pid = fs::read_to_string(format!("/run/faros-lab/{}/machines/node-1/pid", door.0))?;
    let line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()))?;
    assert!(line.contains("e1000,netdev=lan0"), "{line}");
    machine(&["cut"], 0, "")?;
    // Gone by, and still true of this boot.
    machine(&["wait", "netbooting"], 0, "")?;
    // It is powered on again, and cannot say a word.
    door.run(&["link", "node-1", "--down"])?;
    machine(&["start", "--nic", "e1000"], 0, "")?;
    machine(
        &["wait", "netbooting", "--timeout", "1"],
        1,
        "node-1 was not seen netbooting since it was powered on, within 1 s",
    )?;
    machine(&["stop"], 0, "")
}
