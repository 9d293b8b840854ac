//! `curl`, `tftp` and `atftp` against a real farosd, and Ignition's own verdict on what it serves.

use faros_conformance::Site;

const NODE: &str = "client:node=52:54:00:08:00:01";
const BASE: &str = "http://192.168.8.1:8080";
/// The exit code of curl where a TFTP server has no such file.
const CURL_TFTP_NOT_FOUND: i32 = 68;

fn site(name: &str) -> anyhow::Result<Site> {
    let mut site = Site::up(name)?;
    site.run(NODE, &["dhclient", "-4", "-1", "eth0"])?;
    Ok(site)
}

fn status(site: &mut Site, host: &str, path: &str) -> anyhow::Result<String> {
    site.said(
        host,
        &[
            "curl",
            "-s",
            "--path-as-is",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            &format!("{BASE}{path}"),
        ],
    )
}

#[test]
fn loaders_arrive_whole_over_tftp_and_http() -> anyhow::Result<()> {
    let mut site = site("t-loaders")?;
    let sum = |text: String| text.split_whitespace().next().unwrap_or_default().to_owned();
    let own = sum(site.run(NODE, &["sha256sum", "/usr/lib/ipxe/undionly.kpxe"])?);
    for fetch in [
        "tftp -m binary 192.168.8.1 -c get undionly.kpxe /run/x",
        "atftp --option 'windowsize 16' -g -r undionly.kpxe -l /run/x 192.168.8.1",
        "curl -sf -o /run/x tftp://192.168.8.1/undionly.kpxe",
        "curl -sf -o /run/x http://192.168.8.1:8080/loader/undionly.kpxe",
        "curl -sf -r 0-999 -o /run/x http://192.168.8.1:8080/loader/undionly.kpxe && curl -sf -C - -o /run/x http://192.168.8.1:8080/loader/undionly.kpxe",
    ] {
        let got = site.run(
            NODE,
            &[
                "sh",
                "-ec",
                &format!("rm -f /run/x; {fetch} >&2; sha256sum /run/x"),
            ],
        )?;
        assert_eq!(sum(got), own, "{fetch}");
    }
    Ok(())
}

#[test]
fn no_path_leads_out_of_the_store() -> anyhow::Result<()> {
    let mut site = site("t-escapes")?;
    for path in [
        "/../etc/passwd",
        "/loader/../../faros.db",
        "/loader/..%2f..%2ffaros.db",
        "/content/sha256/../../faros.db",
        "/etc/passwd",
        "/",
    ] {
        assert_eq!(status(&mut site, NODE, path)?, "404", "{path}");
    }
    let mut tftp = |file: &str| {
        let url = format!("tftp://192.168.8.1/{file}");
        let words = ["curl", "-s", "--path-as-is", "-o", "-", &url];
        site.lab
            .command(NODE, &words)?
            .output()
            .map_err(anyhow::Error::from)
    };
    assert!(tftp("undionly.kpxe")?.status.success(), "what is to be had");
    for file in [
        "../../etc/passwd",
        "/etc/passwd",
        "../../faros.db",
        "..\\..\\faros.db",
        "loader/../../../faros.db",
        "undionly.kpxe/../../../faros.db",
    ] {
        let output = tftp(file)?;
        // The server says that there is no such file, and sends no byte of one.
        assert_eq!(output.status.code(), Some(CURL_TFTP_NOT_FOUND), "{file}");
        assert!(output.stdout.is_empty(), "{file}");
    }
    Ok(())
}

#[test]
fn the_script_decides_what_a_machine_boots() -> anyhow::Result<()> {
    let mut site = site("t-scripts")?;
    let script =
        |site: &mut Site, mac: &str| site.run(NODE, &["curl", "-sf", &format!("{BASE}/boot/{mac}.ipxe")]);
    assert!(script(&mut site, "52-54-00-08-00-01")?.contains("not in the content store"));
    assert!(script(&mut site, "02-00-00-00-00-99")?.contains("not in the site file"));
    site.farosctl(&["disarm", "node-1"])?;
    assert!(script(&mut site, "52-54-00-08-00-01")?.contains("sanboot"));
    assert!(site.saw("node-disarmed")?);
    Ok(())
}

#[test]
fn an_ignition_config_goes_to_the_armed_node_alone_and_once() -> anyhow::Result<()> {
    let mut site = site("t-ignition")?;
    site.add_dummy_image()?;
    let path = site.ignition_path(NODE, "52-54-00-08-00-01")?;
    let (before, nonce) = path.rsplit_once('/').unwrap_or_default();
    let other_node = format!("/ignition/node-2/{nonce}");
    assert_eq!(status(&mut site, NODE, &other_node)?, "404", "another node's");
    let other = "client:other=52:54:00:08:00:02";
    site.run(other, &["dhclient", "-4", "-1", "eth0"])?;
    assert_eq!(status(&mut site, other, &path)?, "404", "from another machine");
    let guess = format!("{before}/{}", "0".repeat(32));
    assert_eq!(status(&mut site, NODE, &guess)?, "404", "with a guessed nonce");

    // Survives a crash between the script and the config. What was refused is on disk once it was asked for.
    site.events()?;
    site.kill_and_start()?;
    let fetch = format!("curl -sf {BASE}{path} | ignition-validate -");
    site.run(NODE, &["sh", "-ec", &fetch])?;
    assert_eq!(status(&mut site, NODE, &path)?, "404", "a second time");
    site.events()?;
    site.kill_and_start()?;
    assert_eq!(
        status(&mut site, NODE, &path)?,
        "404",
        "a second time, after a crash"
    );

    let newer = site.ignition_path(NODE, "52-54-00-08-00-01")?;
    assert_ne!(newer, path);
    site.farosctl(&["disarm", "node-1"])?;
    assert_eq!(status(&mut site, NODE, &newer)?, "404", "not armed");

    let events = site.events()?;
    let reasons: Vec<&str> = events
        .iter()
        .filter(|event| event.kind.as_str() == "ignition-refused")
        .filter_map(|event| event.detail.get("reason")?.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "wrong-address",
            "wrong-address",
            "wrong-nonce",
            "used",
            "used",
            "not-armed"
        ]
    );
    Ok(())
}

#[test]
fn a_node_that_reports_that_it_is_installed_is_never_installed_again() -> anyhow::Result<()> {
    let mut site = site("t-report")?;
    let report = [
        "curl",
        "-sf",
        "-d",
        "{\"report\":\"installed\"}",
        &format!("{BASE}/report/node-1"),
    ];
    site.run(NODE, &report)?;
    let (nodes, _) = site.farosctl(&["nodes"])?;
    let node = nodes
        .lines()
        .find(|line| line.starts_with("node-1"))
        .unwrap_or_default();
    assert!(node.contains("installed") && !node.contains(" armed"), "{nodes}");
    let again = faros_conformance::root()
        .join("examples/demo.yaml")
        .display()
        .to_string();
    assert_eq!(site.farosctl(&["apply", "--yes", &again])?.1, 0);
    assert!(
        site.run(
            NODE,
            &["curl", "-sf", &format!("{BASE}/boot/52-54-00-08-00-01.ipxe")]
        )?
        .contains("sanboot")
    );
    Ok(())
}
