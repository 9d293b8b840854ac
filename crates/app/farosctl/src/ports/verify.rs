//! `ports verify`: the bastion's rules, the nodes' filters and who listens, held against the matrix of ports.

use std::{fmt::Write as _, path::Path};

use faros_client::{Client, ClientError, Events};
use faros_model::{
    api::{ServiceState, Status},
    event::EventKind,
    ids::HostName,
    site::Site,
};
use faros_ports::{
    Facts, Machine, Protocol,
    verify::{self, Finding, Listener},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::site_of;
use crate::{
    args::Output,
    outcome::{Done, Error, print},
    screens,
};

/// What was looked at, and what could not be seen.
#[derive(Default)]
struct Scope {
    checked: Vec<String>,
    not_covered: Vec<String>,
}

/// `ports verify`.
pub(crate) async fn verify(client: &Client, file: Option<&Path>, output: Output) -> Result<Done, Error> {
    let as_json = match output {
        Output::Text | Output::Table => false,
        Output::Json => true,
        Output::Csv | Output::Nft | Output::Firewalld | Output::Openstack => {
            let what = "`farosctl ports verify` prints a table or json";
            return Err(Error::Usage(what.to_owned()));
        }
    };
    let site = site_of(client, file).await?;
    let facts = Facts::of(&site);
    let mut scope = Scope::default();
    let mut findings = of_rules(&site, &facts, &mut scope);
    if file.is_none() {
        findings.extend(of_bastion(client, &facts, &site, &mut scope).await?);
        findings.extend(of_nodes(client, &facts, &site, &mut scope).await?);
    } else {
        let what = "who listens on bastion and nodes: ask the site that runs, without a file";
        scope.not_covered.push(what.to_owned());
    }
    scope.not_covered.push(
        "what Kubernetes itself leads on (node ports by eBPF, traffic of pods): the cluster's network policy judges it"
            .to_owned(),
    );
    let Scope { checked, not_covered } = scope;
    if as_json {
        let value = json!({ "findings": findings, "checked": checked, "notCovered": not_covered });
        print(&(value.to_string() + "\n"))?;
    } else {
        print(&screen(&findings, &checked, &not_covered))?;
    }
    Ok(if findings.is_empty() {
        Done::Ok
    } else {
        Done::Problems
    })
}

fn screen(findings: &[Finding], checked: &[String], not_covered: &[String]) -> String {
    let mut out = String::new();
    if findings.is_empty() {
        out += "Nothing differs from the matrix.\n";
    } else {
        let rows: Vec<Vec<String>> = findings
            .iter()
            .map(|own| {
                let cells = [own.kind.as_str(), &own.on, &own.port, &own.who, &own.what];
                cells.map(str::to_owned).to_vec()
            })
            .collect();
        out += &screens::table(&["FINDING", "ON", "PORT", "WHO", "WHAT"], &rows);
    }
    // Writing to a `String` cannot fail.
    for (title, lines) in [("Looked at", checked), ("Not seen", not_covered)] {
        let _ = write!(out, "\n{title}:\n");
        for line in lines {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

/// The rules that the site leads to, on the bastion and on nodes.
fn of_rules(site: &Site, facts: &Facts, scope: &mut Scope) -> Vec<Finding> {
    let mut findings = Vec::new();
    if site.services.router {
        findings.extend(faros_firewall::against_matrix(site, facts));
        scope
            .checked
            .push("the bastion's rules, as the site file leads to them".to_owned());
    } else {
        let what = "the bastion's rules: its router is switched off, and who reaches it is up to the host";
        scope.not_covered.push(what.to_owned());
    }
    let mut without = 0;
    for node in site.nodes.values() {
        let Some(text) = faros_render::node_filter(site, node) else {
            without += 1;
            continue;
        };
        let rules = verify::parse_fragment(&text);
        findings.extend(verify::rules(
            site,
            facts,
            &Machine::node(node),
            node.name.as_str(),
            &rules,
        ));
    }
    let with = site.nodes.len() - without;
    if with > 0 {
        scope.checked.push(format!(
            "the filters that {with} nodes get when they are installed"
        ));
    }
    if without > 0 {
        scope
            .not_covered
            .push(format!("filters of {without} nodes: OpenShift has its own"));
    }
    findings
}

/// Who listens on the bastion, in the daemon's own network.
async fn of_bastion(
    client: &Client,
    facts: &Facts,
    site: &Site,
    scope: &mut Scope,
) -> Result<Vec<Finding>, Error> {
    let status: Status = client.status().await?;
    let found = match faros_kernel::ports::listening(status.pid) {
        Ok(found) => found,
        Err(error) => {
            let what = format!(
                "who listens on the bastion: process {} cannot be looked into: {error}",
                status.pid
            );
            scope.not_covered.push(what);
            return Ok(vec![]);
        }
    };
    let (first, last) = faros_kernel::ports::ephemeral();
    let listeners: Vec<Listener> = found
        .into_iter()
        .map(|own| Listener {
            protocol: own.transport.into(),
            address: own.address,
            port: own.port,
            holder: own.holder.map_or_else(
                || "held by nobody that can be seen".to_owned(),
                |holder| format!("{} (process {})", holder.command, holder.pid),
            ),
            is_ephemeral: (first..=last).contains(&own.port),
        })
        .collect();
    let is_up = status
        .services
        .iter()
        .all(|service| matches!(service.state, ServiceState::Ready | ServiceState::Off));
    if !is_up {
        let what = "whether all who must listen on the bastion do: not all services are ready";
        scope.not_covered.push(what.to_owned());
    }
    scope
        .checked
        .push(format!("{} listening sockets of the bastion", listeners.len()));
    let bastion = Machine::bastion(site);
    Ok(verify::listeners(facts, &bastion, "bastion", &listeners, is_up))
}

/// Who listens on nodes, as they told when they last started.
async fn of_nodes(
    client: &Client,
    facts: &Facts,
    site: &Site,
    scope: &mut Scope,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut silent = Vec::new();
    for node in site.nodes.values() {
        let Some((at, told)) = last_told(client, &node.name).await? else {
            silent.push(node.name.to_string());
            continue;
        };
        let listens = told.get("listens").and_then(Value::as_array);
        let listeners: Vec<Listener> = listens.into_iter().flatten().filter_map(listener).collect();
        scope.checked.push(format!(
            "{} listening sockets of {}, and whether its filter is loaded and the site's, as it told at {at}",
            listeners.len(),
            node.name
        ));
        let machine = Machine::node(node);
        findings.extend(verify::listeners(
            facts,
            &machine,
            node.name.as_str(),
            &listeners,
            false,
        ));
        let of_filter = faros_render::node_filter(site, node).and_then(|rules| filter(&told, &rules));
        findings.extend(of_filter.map(|(kind, what)| Finding {
            kind,
            on: node.name.to_string(),
            port: String::new(),
            who: String::new(),
            what: what.to_owned(),
        }));
    }
    if !silent.is_empty() {
        let what = format!(
            "who listens on {}, and their filters: they did not tell",
            silent.join(", ")
        );
        scope.not_covered.push(what);
    }
    Ok(findings)
}

/// What is wrong with the filter of a node that told of it, and by the site should have these rules.
fn filter(told: &Detail, rules: &str) -> Option<(verify::Kind, &'static str)> {
    let is = |key: &str| told.get(key).and_then(Value::as_bool);
    let digest = Sha256::digest(rules);
    let own = digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    match told.get("filter").and_then(Value::as_str) {
        _ if is("filtered") == Some(false) => Some((
            verify::Kind::Unfiltered,
            "its packet filter is not loaded: see `systemctl status faros-firewall` on it",
        )),
        _ if is("filterChanged") == Some(true) => Some((
            verify::Kind::ChangedFilter,
            "somebody changed its packet filter: `systemctl reload faros-firewall` on it loads it anew",
        )),
        Some(held) if held != own => Some((
            verify::Kind::OutdatedFilter,
            "its packet filter is that of its install, and the site leads to another by now: install it again, or put what \
             `farosctl ports --output nft` prints into /etc/faros/node.nft and reload faros-firewall on it",
        )),
        _ => None,
    }
}

/// What a node's latest report that tells of its sockets or its filter says.
async fn last_told(
    client: &Client,
    node: &HostName,
) -> Result<Option<(jiff::Timestamp, Detail)>, ClientError> {
    let newest = Events {
        node: Some(node.clone()),
        limit: Some(NEWEST),
        ..Events::default()
    };
    let all = Events {
        node: Some(node.clone()),
        after: Some(0),
        ..Events::default()
    };
    // Most often it is among the newest; but no node hides behind what else it tells.
    for wanted in [newest, all] {
        let mut lines = client.events(&wanted).await?;
        let mut told = None;
        while let Some(event) = lines.next().await? {
            let has = |key: &str| event.detail.contains_key(key);
            if event.kind == EventKind::NodeReport && (has("listens") || has("filtered")) {
                told = Some((event.at, event.detail));
            }
        }
        if told.is_some() {
            return Ok(told);
        }
    }
    Ok(None)
}

/// So many events of a node are looked at first.
const NEWEST: usize = 1000;

/// The facts of an event.
type Detail = serde_json::Map<String, Value>;

/// A socket as `ss -Htuln` tells it: `tcp 0.0.0.0:22`, `udp 127.0.0.53%lo:53`, `tcp *:22`, `tcp [::]:22`.
fn listener(told: &Value) -> Option<Listener> {
    let (protocol, socket) = told.as_str()?.split_once(' ')?;
    let (address, port) = socket.rsplit_once(':')?;
    let address = address.trim_matches(['[', ']']).split('%').next()?;
    let port = port.parse().ok()?;
    Some(Listener {
        protocol: match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        },
        address: if address == "*" { "::" } else { address }.parse().ok()?,
        port,
        holder: String::new(),
        is_ephemeral: (32768..=60999).contains(&port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_ss_tells_them() {
        let of = |text: &str| {
            let own = listener(&json!(text))?;
            Some(format!("{} {} {}", own.protocol, own.address, own.port))
        };
        for (text, read) in [
            ("tcp 0.0.0.0:22", Some("tcp 0.0.0.0 22")),
            ("udp 127.0.0.53%lo:53", Some("udp 127.0.0.53 53")),
            ("tcp *:22", Some("tcp :: 22")),
            ("tcp [::1]:631", Some("tcp ::1 631")),
            ("udp [fe80::1]%eth0:546", None),
            ("nonsense", None),
            ("sctp 0.0.0.0:1", None),
        ] {
            assert_eq!(of(text).as_deref(), read, "{text}");
        }
    }
}
