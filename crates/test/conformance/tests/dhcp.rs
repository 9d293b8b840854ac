//! Real DHCP clients, and another server, on the LAN of a real farosd.

use faros_conformance::Site;

const NODE: &str = "client:node=52:54:00:08:00:01";

fn address(site: &mut Site, host: &str) -> anyhow::Result<String> {
    let shown = site.run(host, &["ip", "-4", "-brief", "address", "show", "dev", "eth0"])?;
    Ok(shown.split_whitespace().nth(2).unwrap_or_default().to_owned())
}

#[test]
fn a_node_gets_its_address_from_isc_dhclient_and_keeps_it_over_a_crash() -> anyhow::Result<()> {
    let mut site = Site::up("t-dhclient")?;
    site.run(NODE, &["dhclient", "-4", "-1", "eth0"])?;
    assert_eq!(address(&mut site, NODE)?, "192.168.8.11/24");
    let resolv = site.run(NODE, &["cat", "/etc/resolv.conf"])?;
    assert!(
        resolv.contains("nameserver 192.168.8.1") && resolv.contains("harbour-7.edge.example.com"),
        "{resolv}"
    );
    let (leases, _) = site.farosctl(&["leases"])?;
    assert!(
        leases.contains("192.168.8.11") && leases.contains("reserved"),
        "{leases}"
    );

    site.kill_and_start()?;
    let (leases, _) = site.farosctl(&["leases"])?;
    assert!(
        leases.contains("192.168.8.11") && leases.contains("active"),
        "{leases}"
    );
    site.run(NODE, &["dhclient", "-4", "-r", "eth0"])?;
    assert!(site.saw("dhcp-release")?);
    Ok(())
}

#[test]
fn a_stranger_gets_a_dynamic_address_from_udhcpc_and_is_discovered() -> anyhow::Result<()> {
    let mut site = Site::up("t-udhcpc")?;
    let host = "client:stranger=02:00:00:00:00:77";
    let said = site.said(
        host,
        &[
            "busybox",
            "udhcpc",
            "-i",
            "eth0",
            "-n",
            "-q",
            "-f",
            "-s",
            "/bin/true",
        ],
    )?;
    assert!(
        said.contains("lease of 192.168.8.1") && said.contains("obtained from 192.168.8.1"),
        "{said}"
    );
    let (discovered, _) = site.farosctl(&["discovered"])?;
    assert!(discovered.contains("02:00:00:00:00:77"), "{discovered}");
    Ok(())
}

#[test]
fn perfdhcp_loses_no_exchange() -> anyhow::Result<()> {
    let mut site = Site::up("t-perfdhcp")?;
    let host = "client:load";
    site.run(host, &["ip", "address", "add", "192.168.8.100/24", "dev", "eth0"])?;
    let words = [
        "perfdhcp",
        "-4",
        "-l",
        "eth0",
        "-r",
        "20",
        "-R",
        "40",
        "-p",
        "4",
        "-W",
        "2000000",
        "192.168.8.1",
    ];
    let said = site.said(host, &words)?;
    let drops: Vec<&str> = said.lines().filter(|line| line.starts_with("drops:")).collect();
    assert!(
        !drops.is_empty() && drops.iter().all(|line| line.trim() == "drops: 0"),
        "{said}"
    );
    Ok(())
}

#[test]
fn another_dhcp_server_is_reported() -> anyhow::Result<()> {
    let mut site = Site::up("t-rogue")?;
    site.second_dhcp_server("client:rogue")?;
    for _ in 0..50 {
        if site.saw("rogue-dhcp-server")? {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    anyhow::bail!("the second server was not seen");
}
