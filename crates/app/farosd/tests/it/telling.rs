//! Each cause of a node that does not get into its cluster is decided by a fact; here is who delivers it.
//!
//! The other half is in `faros-why`: which fact means what. Both go by the same tables, so that a cause cannot be left
//! without anybody who tells what it goes by.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use faros_cluster::{install::Reason, join::NoJoin};
use faros_why::{Printer, WORDS, Words};
use serde_json::Value;

use crate::world::Outcome;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/cluster/files");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Has a program of the node's do as this says, with `/bin/sh`.
fn stub(bin: &Path, name: &str, text: &str) -> Outcome {
    let path = bin.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// What the node's script reports, when a program of the node says this.
fn reported(row: &Words) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    let bin = dir.join("bin");
    for name in ["bin", "etc", "state", "pods", "alternatives"] {
        fs::create_dir(dir.join(name))?;
    }
    for name in ["join", "common"] {
        fs::copy(Path::new(FILES).join(name), dir.join("etc").join(name))?;
    }
    fs::write(
        dir.join("etc/join.env"),
        "url=https://bastion/join/a\nreport=http://bastion/report/a\n",
    )?;
    fs::write(dir.join("etc/join.secret"), "secret")?;
    fs::write(dir.join("line"), format!("{}\n", row.line))?;
    fs::write(
        dir.join("answer"),
        r#"{"action":"init","session":"boot-1","files":[]}"#,
    )?;
    let here = dir.display();
    let says = |by: Printer, then: &str| {
        if row.by == by {
            format!("cat {here}/line{then}")
        } else {
            ":".to_owned()
        }
    };
    // Whoever sleeps has told all that it has to tell.
    stub(
        &bin,
        "sleep",
        &format!("[ ! -s {here}/report ] || kill -KILL $(cat {here}/pid)"),
    )?;
    stub(&bin, "swapoff", "")?;
    stub(
        &bin,
        "systemctl",
        &format!(
            "case \"$*\" in 'start containerd.service') {}; esac",
            says(Printer::Containerd, " >&2; exit 1")
        ),
    )?;
    let noise = "echo 'I1121 18:00:01.000000    4711 server.go:1] \"Stopped\"'";
    stub(
        &bin,
        "journalctl",
        &format!(
            "case \"$*\" in *kubelet.service*) echo 'E1121 17:59:59.000000    4711 a.go:1] \"Unable to register\"'; {}; {noise}; esac",
            says(Printer::Kubelet, "")
        ),
    )?;
    let log = |part: &str| format!("{here}/pods/kube-system_{part}-a_uid/{part}");
    let pod = |by: Printer, part: &str| {
        if row.by == by {
            let log = log(part);
            format!("mkdir -p {log}; sed 's/^/2026-11-21T18:00:00.0Z stderr F /' {here}/line >{log}/0.log")
        } else {
            ":".to_owned()
        }
    };
    if row.words != "kubeadm: not found" {
        stub(
            &bin,
            "kubeadm",
            &format!(
                "/usr/bin/sleep 0.05; {}; {}; {}; echo 'To see the stack trace of this error execute with --v=5 or higher' >&2; exit 1",
                pod(Printer::Etcd, "etcd"),
                pod(Printer::Api, "kube-apiserver"),
                says(Printer::Kubeadm, " >&2"),
            ),
        )?;
    }
    let asked = match row.by {
        Printer::Curl if row.words.starts_with("the bastion") => "printf 503".to_owned(),
        Printer::Curl => says(
            Printer::Curl,
            " >&2; printf 'More details here: https://curl.se/docs/sslcerts.html\\n\\ncurl failed\\nto verify\\nthe server\\nof it\\n' >&2; exit 60",
        ),
        _ => format!("cp {here}/answer /run/faros-join/answer; printf 200"),
    };
    stub(&bin, "curl", &format!(
        "case \"$*\" in
           */report/a) said=$(cat); case $said in *join-failed*|*join-stuck*) printf %s \"$said\" >{here}/report ;; esac; printf 204 ;;
           *) {asked} ;;
         esac"
    ))?;
    let script = format!(
        "set -e; mount --bind /etc/alternatives {here}/alternatives; mount --bind {here}/bin /usr/sbin
         mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /etc; mkdir /etc/alternatives
         mount --bind {here}/alternatives /etc/alternatives
         echo $$ >{here}/pid; exec sh {here}/etc/join"
    );
    let out = Command::new("timeout")
        .args(["-k", "1", "60", "unshare", "--mount", "sh", "-c", &script])
        .env("FAROS_ETC", dir.join("etc"))
        .env("FAROS_STATE", dir.join("state"))
        .env("FAROS_PODS", dir.join("pods"))
        .output()?;
    let report = fs::read_to_string(dir.join("report"))
        .with_context(|| format!("it reports nothing: {}", String::from_utf8_lossy(&out.stderr)))?;
    Ok(serde_json::from_str(&report)?)
}

#[test]
fn a_node_tells_what_its_programs_say() -> Outcome {
    for row in WORDS {
        let report = reported(row).with_context(|| format!("{row:?}"))?;
        let key = match row.by {
            Printer::Kubeadm | Printer::Curl | Printer::Containerd => "said",
            Printer::Kubelet => "kubelet",
            Printer::Etcd => "etcd",
            Printer::Api => "api",
        };
        let said = report[key].as_str().unwrap_or_default();
        ensure!(said.contains(row.words), "{row:?}: {report}");
        ensure!(
            report["clock"].is_string() && report["uptime"].is_number(),
            "{report}"
        );
    }
    Ok(())
}

/// All of farosd's own text, without its tests.
fn sources(folder: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text += &sources(&path)?;
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            text += &fs::read_to_string(&path)?;
        }
    }
    Ok(text)
}

#[test]
fn each_wait_and_each_refusal_has_its_cause_and_each_cause_somebody_who_tells_it() -> Outcome {
    let own = sources(Path::new(SOURCES))?;
    let known: BTreeSet<&str> = faros_why::waits().collect();
    let told = Reason::ALL.iter().filter(|reason| reason.is_told());
    let told: BTreeSet<&str> = told.map(|reason| reason.as_str()).collect();
    assert_eq!(known, told, "what `why` knows of waits, and what nodes are told");
    let refusals: Vec<&str> = faros_why::refusals().collect();
    for why in NoJoin::ALL {
        // Whoever is no node has no `why`.
        ensure!(
            why == NoJoin::UnknownNode || refusals.contains(&why.as_str()),
            "{why:?}"
        );
    }
    for refusal in refusals {
        ensure!(
            NoJoin::ALL.iter().any(|why| why.as_str() == refusal),
            "nobody refuses with `{refusal}`"
        );
    }
    for kind in [
        "NodeReady",
        "NodeNotReady",
        "NodePressure",
        "TendRefused",
        "CertificateDenied",
        "CertificateApproved",
        "JoinHanded",
    ] {
        ensure!(
            own.contains(&format!("EventKind::{kind}")),
            "nobody tells of {kind}"
        );
    }

    Ok(())
}
