//! All unlocking is stopped.

use serde_json::Value;

use crate::world::{NODE, last_refusal, opens, refusals, site};

#[test]
fn lockdown_stops_unlocking_at_once_survives_a_crash_and_can_be_lifted() -> anyhow::Result<()> {
    let mut site = site("t-unlock-lock")?;
    let (said, code) = site.farosctl(&["lockdown", "--reason", "a box was stolen"])?;
    assert_eq!(code, 0, "{said}");
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "locked-down");
    site.expect_why("node-1", "locked-down")?;
    let (said, _) = site.farosctl(&["why", "node-1"])?;
    assert!(said.contains("a box was stolen"), "{said}");

    site.kill_and_start()?;
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "locked-down");
    site.expect_why("node-1", "locked-down")?;
    // What clevis and its users do: again and again. It is told once, and counted.
    let before = refusals(&site)?.len();
    for _ in 0..10 {
        assert!(!opens(&mut site, NODE, "disk")?);
    }
    assert_eq!(refusals(&site)?.len(), before);
    let (status, _) = site.farosctl(&["status", "--output", "json"])?;
    let status: Value = serde_json::from_str(&status)?;
    let mut services = status["services"].as_array().into_iter().flatten();
    let own = services.find(|own| own["service"] == "unlock");
    let counted = own.and_then(|own| own["counters"]["refused_locked_down"].as_u64());
    assert!(counted >= Some(11), "{status}");

    let (said, code) = site.farosctl(&["lockdown", "--lift"])?;
    assert_eq!(code, 0, "{said}");
    assert!(opens(&mut site, NODE, "disk")?);
    let (said, _) = site.farosctl(&["lockdown", "--lift"])?;
    assert!(said.contains("no lockdown"), "{said}");
    Ok(())
}
