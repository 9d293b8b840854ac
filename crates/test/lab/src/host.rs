//! Runs commands on a host of the lab, in its network and with system folders of its own.
//!
//! A DHCP client writes `/etc/resolv.conf`, leases and process numbers. On a host of the lab it writes them
//! into folders that belong to that host and go with the lab, never onto this machine's disk.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::folder::Folder;

/// Folders of which each host has its own version, laid over this machine's.
const OVERLAID: &[&str] = &["/etc", "/var/lib/dhcp"];

/// The command that runs `words` in `namespace` with the own folders of the host called `host`.
pub fn command(folder: &Folder, host: &str, namespace: &str, words: &[String]) -> anyhow::Result<Command> {
    let home = folder.host(host);
    let make = |path: PathBuf| {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    };
    let mut script = String::from("mount --make-rprivate /\n");
    for own in OVERLAID.iter().filter(|own| Path::new(own).is_dir()) {
        let layer = home.join(own.trim_start_matches('/').replace('/', "-"));
        let (upper, work) = (make(layer.join("upper"))?, make(layer.join("work"))?);
        let (upper, work) = (upper.display(), work.display());
        writeln!(
            script,
            "mount -t overlay overlay -o lowerdir={own},upperdir={upper},workdir={work} {own}"
        )?;
    }
    // The bastion keeps the machine's /run: the lab itself is there, with the socket of farosd.
    if host.starts_with("client:") {
        writeln!(script, "mount --bind {} /run", make(home.join("run"))?.display())?;
    }
    writeln!(script, "hostname {}", host.rsplit(':').next().unwrap_or(host))?;
    script.push_str("exec \"$@\"\n");

    let mut command = Command::new("ip");
    command
        .args([
            "netns", "exec", namespace, "unshare", "--mount", "--uts", "sh", "-e", "-c",
        ])
        .arg(script)
        .arg("host")
        .args(words);
    Ok(command)
}
