//! The bastion's clock is ahead of the nodes': by less than a day, by which certificates are dated back, and by more, with
//! which nothing that it signs is valid yet.

use faros_conformance::{SetClock, root};

use crate::world::{are_well, causes, eventually, is_ready, start, tell, with_bastion};

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_clock_that_is_off_is_named_and_the_node_joins_when_it_is_right() -> anyhow::Result<()> {
    with_bastion("t-cluster-clock", &root().join("examples/cluster.yaml"), |site| {
        let clock = SetClock::under(site)?;
        clock.set(23)?;
        start(site, "node-1")?;
        eventually("node-1 is ready", || is_ready(site, "node-1"))?;
        clock.set(3 * 24)?;
        start(site, "node-2")?;
        eventually("`why node-2` names the clock", || {
            Ok(causes(site, "node-2")?
                .iter()
                .any(|code| code == "clock-off")
                .then_some(()))
        })?;
        let (said, _) = site.farosctl(&["why", "node-2"])?;
        tell(&said);
        clock.set(0)?;
        eventually("node-2 is ready", || is_ready(site, "node-2"))?;
        are_well(site, 2)
    })
}
