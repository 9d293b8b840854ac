//! Adopting a machine: a change of the site file, for review.
//!
//! The file is changed as a person would: an item at the end of `spec.nodes`, in the style of the others, and
//! nothing else is touched. What comes out is checked before it is written.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use faros_client::Client;
use faros_model::ids::{HostName, MacAddr};

use crate::{
    args::AdoptRole,
    outcome::{Done, Error, print, say},
};

/// `adopt`.
pub(crate) async fn adopt(
    client: &Client,
    mac: MacAddr,
    name: &HostName,
    roles: &[AdoptRole],
    install_disk: Option<&str>,
    file: Option<PathBuf>,
) -> Result<Done, Error> {
    let known = client.discovered().await?;
    if !known.iter().any(|machine| machine.mac == mac) {
        return Err(Error::Failed(anyhow::anyhow!(
            "no machine with the MAC {mac} was discovered; `farosctl discovered` lists those that were"
        )));
    }
    let (text, origin) = match &file {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            (text, path.display().to_string())
        }
        None => {
            let generation = client.status().await?.generation;
            let generation = generation.context("nothing was applied to this bastion yet; say --file")?;
            let row = client.generation(generation).await?;
            (
                row.site_file.unwrap_or_default(),
                format!("generation {generation}"),
            )
        }
    };
    let changed = with_node(&text, &item(mac, name, roles, install_disk)).with_context(|| {
        format!("cannot find the end of `nodes` in {origin}; add the node by hand, as a list item below `spec.nodes`")
    })?;
    if let Err(refused) = faros_site::load(&changed) {
        let report = faros_site::report(faros_site::Severity::Error, &refused.problems, &origin, &changed);
        return Err(Error::Problems(report, refused));
    }
    let Some(path) = file else {
        return print(&changed);
    };
    // Written beside and renamed, so that a crash leaves one of the two files.
    let beside = path.with_extension("adopting");
    let cannot = || format!("cannot write {}", path.display());
    fs::write(&beside, &changed).with_context(cannot)?;
    fs::rename(&beside, &path).with_context(cannot)?;
    say(&format!(
        "{} has {name} now; nothing is applied yet.",
        path.display()
    ));
    say(&format!(
        "Look at it, then `farosctl plan {0}` and `farosctl apply {0}`.",
        path.display()
    ));
    Ok(Done::Ok)
}

fn item(mac: MacAddr, name: &HostName, roles: &[AdoptRole], install_disk: Option<&str>) -> Vec<String> {
    let words: Vec<&str> = roles
        .iter()
        .map(|role| match role {
            AdoptRole::ControlPlane => "control-plane",
            AdoptRole::Worker => "worker",
            AdoptRole::MetaWorker => "meta-worker",
            AdoptRole::Frontend => "frontend",
        })
        .collect();
    let mut lines = vec![
        format!("- name: {name}"),
        format!("  roles: [{}]", words.join(", ")),
        format!("  bootMac: \"{mac}\""),
    ];
    lines.extend(install_disk.map(|disk| format!("  installDisk: {disk}")));
    lines
}

/// The text with an item more at the end of `spec.nodes`; `None` if the list is not written as a block.
fn with_node(text: &str, item: &[String]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let spec = lines.iter().position(|line| line.trim_end() == "spec:")?;
    let own = lines
        .iter()
        .skip(spec + 1)
        .find(|line| !is_empty(line))
        .map(|line| depth(line))?;
    let nodes = lines
        .iter()
        .enumerate()
        .skip(spec + 1)
        .find(|(_, line)| {
            depth(line) == own
                && line
                    .trim_start()
                    .split('#')
                    .next()
                    .is_some_and(|key| key.trim() == "nodes:")
        })?
        .0;
    let first = lines.iter().skip(nodes + 1).find(|line| !is_empty(line))?;
    if !first.trim_start().starts_with("- ") {
        return None;
    }
    let indent = depth(first);
    let belongs = |line: &&str| {
        is_empty(line)
            || depth(line) > indent
            || (depth(line) == indent && line.trim_start().starts_with("- "))
    };
    let length = lines[nodes + 1..].iter().take_while(|line| belongs(line)).count();
    // Not after the blank lines and comments that lead to what follows.
    let tail = lines[nodes + 1..nodes + 1 + length]
        .iter()
        .rev()
        .take_while(|line| is_empty(line))
        .count();
    let end = nodes + 1 + length - tail;
    let mut out: Vec<String> = lines[..end].iter().map(|line| (*line).to_owned()).collect();
    out.extend(item.iter().map(|line| " ".repeat(indent) + line));
    out.extend(lines[end..].iter().map(|line| (*line).to_owned()));
    Some(out.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_takes_one_node_more_and_keeps_the_rest() {
        let examples = [
            include_str!("../../../../examples/smallest.yaml"),
            include_str!("../../../../examples/branch-office.yaml"),
            include_str!("../../../../examples/everything.yaml"),
            include_str!("../../../../examples/three-nodes.yaml"),
        ];
        for text in examples {
            let name: HostName = "adopted".parse().unwrap();
            let mac: MacAddr = "52:54:00:0a:0b:0c".parse().unwrap();
            let disk = Some("/dev/disk/by-path/pci-0000:00:04.0");
            let changed = with_node(text, &item(mac, &name, &[AdoptRole::Worker], disk)).unwrap();
            let before = faros_site::load(text).unwrap().site;
            let site = faros_site::load(&changed).unwrap().site;
            assert_eq!(site.nodes.len(), before.nodes.len() + 1);
            assert_eq!(site.nodes[&name].boot_mac, mac);
            // The lines of before, in their order, with the new ones between them.
            let mut old = text.lines().peekable();
            for line in changed.lines() {
                old.next_if_eq(&line);
            }
            assert_eq!(old.next(), None, "{changed}");
        }
    }

    #[test]
    fn a_list_that_is_not_a_block_is_left_alone() {
        assert_eq!(with_node("spec:\n  nodes: [{name: a}]\n", &[]), None);
        assert_eq!(with_node("kind: Site\n", &[]), None);
    }
}
