//! From what the file says to what it means: every check that needs more than the schema.
//!
//! Each part adds its problems and goes on with what it could read; a [`Site`] is made only if nothing was
//! wrong. Where the schema has told of a fault already, no second problem is made of it.

mod lan;
mod nodes;
mod text;
mod uplink;

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use faros_model::{
    ids::{DomainName, HostName},
    problem::Problem,
    site::{self, Site},
    wire::v1alpha1 as wire,
};

use crate::{
    shape::{Places, join},
    tree::{Node, Value, problem},
};

pub(crate) struct Checked {
    pub(crate) site: Option<Site>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Checks what fits the schema. `told` are the problems the schema found.
pub(crate) fn check(file: &wire::SiteFile, root: &Node, places: &Places, told: &[Problem]) -> Checked {
    let mut check = Check {
        places,
        told,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    text::no_secrets(&mut check, root);
    let site = check.site(file, root);
    Checked {
        site,
        problems: check.problems,
        warnings: check.warnings,
    }
}

struct Check<'a> {
    places: &'a Places,
    told: &'a [Problem],
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, code: &str, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        let mark = self.places.mark(path);
        self.problems.push(problem(code, mark, path, what.into(), hint));
    }

    fn warn(&mut self, code: &str, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        let mark = self.places.mark(path);
        self.warnings.push(problem(code, mark, path, what.into(), hint));
    }

    /// Whether something at or below `path` was refused by the schema.
    fn is_told(&self, path: &str) -> bool {
        self.told.iter().any(|problem| problem.path.starts_with(path))
    }

    /// Reads text as a value; tells why if it is none.
    fn parse<T>(&mut self, code: &str, path: &str, text: &str, hint: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(why) => {
                self.error(code, path, format!("`{text}` {why}"), hint);
                None
            }
        }
    }

    fn name(&mut self, path: &str, text: &str) -> Option<HostName> {
        let hint = match text
            .to_lowercase()
            .replace(['_', ' ', '.'], "-")
            .parse::<HostName>()
        {
            Ok(fixed) if fixed.as_str() != text => format!("a name is an RFC 1123 label, such as `{fixed}`"),
            _ => "a name is an RFC 1123 label: a-z, 0-9 and `-` inside, at most 63 characters".to_owned(),
        };
        self.parse("invalid-name", path, text, &hint)
    }

    fn address(&mut self, path: &str, text: &str) -> Option<std::net::Ipv4Addr> {
        let address = text.parse().ok();
        if address.is_none() {
            let what = format!("`{text}` is not an IPv4 address");
            self.error(
                "invalid-address",
                path,
                what,
                "write it as four numbers up to 255 joined by dots",
            );
        }
        address
    }

    fn site(&mut self, file: &wire::SiteFile, root: &Node) -> Option<Site> {
        let metadata = file.metadata.clone().unwrap_or_default();
        let spec = file.spec.clone().unwrap_or_default();
        let name = metadata
            .name
            .as_deref()
            .and_then(|name| self.name("metadata.name", name));
        let labels = metadata.labels.unwrap_or_default();
        for (key, value) in &labels {
            text::label(self, &join("metadata.labels", key), key, value);
        }
        let domain = spec.domain.as_deref().and_then(|domain| {
            self.parse::<DomainName>(
                "invalid-domain",
                "spec.domain",
                domain,
                "such as edge.example.com",
            )
        });
        if let (Some(name), Some(domain)) = (&name, &domain)
            && domain.child(name).as_str().len() + 64 > 253
        {
            let what = "the names of this site would have more than 253 characters";
            self.error(
                "domain-too-long",
                "spec.domain",
                what,
                "shorten the domain or the site's name",
            );
        }
        let keys = spec.ssh_authorized_keys.clone().unwrap_or_default();
        text::ssh_keys(self, &keys);

        let lan = self.lan(spec.lan.as_ref());
        let uplink = self.uplink(spec.uplink.as_ref());
        let cluster = self.cluster(spec.cluster.as_ref());
        self.networks(
            lan.as_ref().map(|lan| lan.subnet),
            uplink.as_ref(),
            cluster.as_ref(),
        );
        let nodes = self.nodes(&spec);
        let time = self.time(spec.time.as_ref());
        let services = services(spec.services.as_ref());
        self.machines(&spec);
        self.unlock(&spec);
        if let Some(url) = spec.hub.as_ref().and_then(|hub| hub.url.as_deref())
            && !url.starts_with("https://")
        {
            self.error(
                "invalid-url",
                "spec.hub.url",
                format!("`{url}` is no https URL"),
                "such as https://hub.example.com",
            );
        }
        let (lan, nodes) = match (lan, nodes) {
            (Some(lan), Some(nodes)) => {
                let (lan, nodes) = self.addresses(&spec, lan, nodes)?;
                (Some(lan), Some(nodes))
            }
            _ => (None, None),
        };
        let dns = self.dns(
            spec.dns.as_ref(),
            lan.as_ref(),
            nodes.as_ref(),
            name.as_ref(),
            domain.as_ref(),
        );
        let later = self.later(root, &spec);
        Some(Site {
            name: name?,
            domain: domain?,
            labels,
            ssh_authorized_keys: keys,
            uplink: uplink?,
            lan: lan?,
            dns,
            time,
            cluster: cluster?,
            nodes: nodes?,
            content: match spec.content.and_then(|content| content.serve) {
                Some(wire::ServeContent::Always) => site::ContentPolicy::Always,
                Some(wire::ServeContent::WhileArmed) | None => site::ContentPolicy::WhileArmed,
            },
            services,
            later,
        })
    }

    fn time(&mut self, time: Option<&wire::Time>) -> site::Time {
        let stratum = time.and_then(|time| time.orphan_stratum).unwrap_or(10);
        if !(1..=15).contains(&stratum) {
            let what = format!("{stratum} is no stratum of a server that has the time");
            self.error(
                "number-out-of-range",
                "spec.time.orphanStratum",
                what,
                "use 1 to 15; 10 is usual",
            );
        }
        let sources = time.and_then(|time| time.sources.clone()).unwrap_or_default();
        site::Time {
            sources: sources.into_iter().filter_map(|s| s.server).collect(),
            orphan_stratum: stratum,
        }
    }

    /// Says of each part of the file that no service acts on, that this is so, and keeps it.
    fn later(&mut self, root: &Node, spec: &wire::Spec) -> BTreeMap<String, serde_json::Value> {
        // Each of these is a promise of the format that a later version keeps.
        const LATER: &[&str] = &[
            "uplink.publish",
            "uplink.proxy",
            "uplink.trustedNetworks",
            "uplink.gatewayMode",
            "uplink.addressing",
            "lan.firewall",
            "time",
            "cluster",
            "machines",
            "storage",
            "monitoring",
            "secrets",
            "unlock",
            "hub",
        ];
        let whole = serde_json::to_value(spec).unwrap_or_default();
        let mut later = BTreeMap::new();
        for key in LATER {
            let path = format!("spec.{key}");
            let pointer = format!("/{}", key.replace('.', "/"));
            let Some(value) = whole.pointer(&pointer) else {
                continue;
            };
            later.insert((*key).to_owned(), value.clone());
            let what = format!("`{key}` is checked and kept, but no service acts on it yet");
            self.warn("not-acted-on-yet", &path, what, "");
        }
        // Below the nodes, one warning for each key and not for each node.
        for key in ["dataDisks", "encryption", "bmc"] {
            let Some(path) = first_path(root, &["spec", "nodes"], key)
                .or_else(|| first_path(root, &["spec", "nodeDefaults"], key))
            else {
                continue;
            };
            let what = format!("`{key}` of nodes is checked and kept, but no service acts on it yet");
            let what = if key == "bmc" {
                "`bmc` of nodes gives names and DHCP reservations; power control does not act on it yet"
                    .to_owned()
            } else {
                what
            };
            self.warn("not-acted-on-yet", &path, what, "");
        }
        later
    }
}

/// Where `key` first stands in the mapping, or the mappings of the list, at `at`.
fn first_path(root: &Node, at: &[&str], key: &str) -> Option<String> {
    let mut node = root;
    for step in at {
        let Value::Mapping(entries) = &node.value else {
            return None;
        };
        node = &entries.iter().find(|(own, _)| own.text == *step)?.1;
    }
    let has = |node: &Node| match &node.value {
        Value::Mapping(entries) => entries.iter().any(|(own, _)| own.text == key),
        Value::Scalar { .. } | Value::Sequence(_) => false,
    };
    let at = at.join(".");
    match &node.value {
        Value::Mapping(_) => has(node).then(|| format!("{at}.{key}")),
        Value::Sequence(items) => items.iter().position(has).map(|idx| format!("{at}[{idx}].{key}")),
        Value::Scalar { .. } => None,
    }
}

fn services(switches: Option<&wire::Services>) -> site::Services {
    let runs = |switch: fn(&wire::Services) -> Option<&wire::ServiceSwitch>| {
        switches
            .and_then(switch)
            .and_then(|switch| switch.enabled)
            .unwrap_or(true)
    };
    site::Services {
        dhcp: runs(|s| s.dhcp.as_ref()),
        dns: runs(|s| s.dns.as_ref()),
        netboot: runs(|s| s.netboot.as_ref()),
        ignition: runs(|s| s.ignition.as_ref()),
    }
}
