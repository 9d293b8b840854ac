//! `HAProxy` and keepalived with what is rendered for them.

use std::{fs, process::Stdio};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, eventually, root};

use crate::world::{Balancer, VIP};

#[test]
fn haproxy_and_keepalived_take_what_is_rendered_for_them() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-render")?;
    let folder = lab.folder();
    for example in ["three-nodes", "everything", "smallest", "branch-office"] {
        let file = root()
            .join(format!("examples/{example}.yaml"))
            .display()
            .to_string();
        for program in ["haproxy", "keepalived"] {
            let (text, code) = lab.site.farosctl(&["render", program, &file])?;
            ensure!(code == 0, "{text}");
            // The authority's certificates, and an interface, that are there.
            let text = text.replace("/etc/haproxy/api-ca.crt", &format!("{folder}/ca.crt"));
            let text = ["enp2s0", "faros-lan"]
                .iter()
                .fold(text, |text, own| text.replace(own, "lan0"));
            let path = format!("{folder}/{example}.{program}");
            fs::write(&path, text)?;
            let said = match program {
                "haproxy" => lab.site.run("bastion", &["haproxy", "-c", "-f", &path]),
                _ => lab
                    .site
                    .run("bastion", &["keepalived", "--config-test", "-f", &path]),
            };
            said.with_context(|| fs::read_to_string(&path).unwrap_or_default())?;
        }
    }
    // And HAProxy does with it what the bastion does.
    lab.serve(1, 80)?;
    let off = "  services: {balancer: {enabled: false}}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", off)?;
    lab.site.run(
        "bastion",
        &["ip", "address", "add", "192.168.8.2/32", "dev", "lan0"],
    )?;
    let config = format!("{folder}/three-nodes.haproxy");
    let mut command = lab
        .site
        .in_network("bastion", &["haproxy", "-db", "-f", &config])?;
    let haproxy = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    lab.programs.push(("bastion".to_owned(), haproxy));
    eventually("HAProxy leads to the node", || {
        let said = lab.ask("bastion", &format!("http://{VIP}/"))?;
        Ok(said.is_ok_and(|said| said.starts_with("node-1 ")))
    })
}
