//! What a bastion of Debian's own daemons has running for the same work, each with the site's configuration.
//!
//! BIND, ISC dhcpd, tftpd-hpa, nginx, `HAProxy` with the same eleven servers, keepalived, chrony, and the listener of
//! tangd. Their firewall is the kernel's alone. They run in networks of their own, and what each takes is added up.

use anyhow::ensure;

use crate::{
    balancer, dhcp,
    dns::config::{self, Names},
    http, ntp,
    place::{inside, said},
    tang, tftp,
    work::{Bench, Contender, Router},
};

/// All of them, running.
pub(super) fn start(bench: &Bench) -> anyhow::Result<Vec<Contender>> {
    let root = bench.web_root()?.display().to_string();
    let mut all = vec![
        config::bind(bench, &Names::of(&bench.site))?,
        dhcp::dhcpd(bench)?,
        tftp::hpa(bench, &root)?,
        http::nginx(bench, &root)?,
        ntp::chronyd(bench)?,
        tang::tangd(bench)?,
    ];
    let site = bench.site_of(Router::Many)?;
    let mut haproxy = bench.peer("haproxy")?;
    haproxy.helpers = super::servers(bench, &haproxy)?;
    // keepalived takes the virtual IPs away for a moment.
    let setting = "net.ipv4.ip_nonlocal_bind=1";
    said(inside(&haproxy.place.bastion(), &["sysctl", "-qw", setting]).output())?;
    let (_, authority) = bench.server_keys();
    let config = balancer::haproxy(&site);
    let config = config.replace(faros_render::API_CA, &authority.to_string_lossy());
    let file = haproxy.place.write("haproxy.cfg", &config)?;
    let words = ["haproxy", "-db", "-f", &file.to_string_lossy()];
    haproxy.programs.push(haproxy.place.start(&words)?);
    let folder = haproxy.place.folder().display().to_string();
    let file = haproxy
        .place
        .write("keepalived.conf", &faros_render::keepalived(&site))?;
    let words = [
        "keepalived",
        "--dont-fork",
        "--use-file",
        &file.to_string_lossy(),
        "--pid",
        &format!("{folder}/keepalived.pid"),
        "--vrrp_pid",
        &format!("{folder}/vrrp.pid"),
    ];
    haproxy.programs.push(haproxy.place.start(&words)?);
    all.push(haproxy);
    Ok(all)
}

/// All their processes; each of them runs.
pub(super) fn processes(all: &[Contender]) -> anyhow::Result<Vec<u32>> {
    let mut processes = Vec::new();
    for contender in all {
        for program in &contender.programs {
            let own = program.processes();
            ensure!(!own.is_empty(), "it has ended: {}", program.words());
            processes.extend(own);
        }
    }
    Ok(processes)
}
