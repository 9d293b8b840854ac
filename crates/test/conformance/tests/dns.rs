//! `dig` against a real farosd.

use faros_conformance::Site;

const CLIENT: &str = "client:one=52:54:00:08:00:02";

fn site(name: &str) -> anyhow::Result<Site> {
    let mut site = Site::up(name)?;
    site.run(CLIENT, &["dhclient", "-4", "-1", "eth0"])?;
    Ok(site)
}

fn dig(site: &mut Site, words: &[&str]) -> anyhow::Result<String> {
    let words = [&["dig", "+time=2", "+tries=1", "@192.168.8.1"], words].concat();
    Ok(site.said(CLIENT, &words)?.trim().to_owned())
}

#[test]
fn dig_gets_the_names_of_the_site() -> anyhow::Result<()> {
    let mut site = site("t-dig")?;
    let zone = "harbour-7.edge.example.com";
    for (name, says) in [
        ("bastion", ".1"),
        ("api", ".2"),
        ("API-int", ".2"),
        ("x.y.apps", ".2"),
        ("node-3", ".13"),
    ] {
        let short = dig(&mut site, &["+short", &format!("{name}.{zone}")])?;
        assert_eq!(short, format!("192.168.8{says}"), "{name}");
        let tcp = dig(&mut site, &["+short", "+tcp", &format!("{name}.{zone}")])?;
        assert_eq!(tcp, short, "{name} over TCP");
    }
    assert_eq!(
        dig(&mut site, &["+short", "-x", "192.168.8.12"])?,
        format!("node-2.{zone}.")
    );
    for (words, says) in [
        (&["nobody.harbour-7.edge.example.com"][..], "status: NXDOMAIN"),
        (&["AAAA", "api.harbour-7.edge.example.com"], "status: NOERROR"),
        (&["AXFR", "harbour-7.edge.example.com"], "Transfer failed"),
        (&["api.harbour-7.edge.example.com"], "flags: qr aa rd ra"),
        (&["CH", "TXT", "version.bind"], "status: REFUSED"),
    ] {
        let said = dig(&mut site, words)?;
        assert!(said.contains(says), "{words:?}: {said}");
    }
    Ok(())
}

#[test]
fn the_rest_of_the_world_is_asked_of_the_forwarder_and_never_hangs() -> anyhow::Result<()> {
    let mut site = site("t-forward")?;
    assert_eq!(dig(&mut site, &["+short", "www.example.net"])?, "198.51.100.7");
    assert_eq!(
        dig(&mut site, &["+short", "TXT", "txt.example.net"])?,
        "\"beyond the uplink\""
    );
    site.run("uplink", &["ip", "link", "set", "eth0", "down"])?;
    let said = site.said(
        CLIENT,
        &["dig", "+time=5", "+tries=1", "@192.168.8.1", "other.example.net"],
    )?;
    assert!(said.contains("status: SERVFAIL"), "{said}");
    // What was asked before is still known.
    assert_eq!(dig(&mut site, &["+short", "www.example.net"])?, "198.51.100.7");
    Ok(())
}

#[test]
fn nobody_beyond_the_uplink_is_answered() -> anyhow::Result<()> {
    let mut site = site("t-outsider")?;
    site.run(
        "uplink",
        &["ip", "route", "add", "192.168.8.0/24", "via", "203.0.113.2"],
    )?;
    let said = site.said(
        "uplink",
        &[
            "dig",
            "+time=1",
            "+tries=1",
            "@192.168.8.1",
            "api.harbour-7.edge.example.com",
        ],
    )?;
    assert!(
        said.contains("timed out") || said.contains("no servers could be reached"),
        "{said}"
    );
    Ok(())
}
