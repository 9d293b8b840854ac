//! From what the file says to what it means: every check that needs more than the schema.
//!
//! Each part adds its problems and goes on with what it could read; a [`Site`] is made only if nothing was
//! wrong. Where the schema has told of a fault already, no second problem is made of it.

mod bastion;
mod cluster;
mod disks;
mod dns;
mod everyone;
mod identity;
mod lan;
mod later;
mod network;
mod nodes;
mod roles;
mod text;
mod uplink;

use std::{collections::BTreeSet, fmt::Display, net::Ipv4Addr, ops::Bound, str::FromStr};

use faros_model::{
    ids::{DomainName, HostName, MacAddr},
    net::{ParseSubnet, Subnet},
    problem::Problem,
    site::{ContentPolicy, Site},
    wire::v1alpha1 as wire,
};

use crate::{
    codes::Code,
    place::{join, key as key_path, problem},
    shape::Places,
    show::show,
};

pub(crate) struct Checked {
    pub(crate) site: Option<Site>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Checks what fits the schema. `told` are the problems that were found so far.
pub(crate) fn check(file: &wire::SiteFile, places: &Places, told: &[Problem]) -> Checked {
    let mut check = Check {
        places,
        told: told.iter().map(|problem| problem.path.as_str()).collect(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let site = check.site(file);
    Checked {
        site: site.filter(|_| check.problems.is_empty()),
        problems: check.problems,
        warnings: check.warnings,
    }
}

struct Check<'a> {
    places: &'a Places,
    /// Paths of which the schema has told something.
    told: BTreeSet<&'a str>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// An address that the file may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is left to us.
    Any,
    At(Ipv4Addr),
    /// A problem was told of it.
    Unreadable,
}

impl Check<'_> {
    fn error(&mut self, code: Code, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems
            .push(problem(code, self.places.mark(path), path, what, hint));
    }

    /// An error in a key and not in its value.
    fn error_in_key(&mut self, code: Code, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems
            .push(problem(code, self.places.key(path), path, what, hint));
    }

    fn warn(&mut self, code: Code, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.warnings
            .push(problem(code, self.places.mark(path), path, what, hint));
    }

    /// Whether something at or below `path` was refused by the schema.
    fn is_told(&self, path: &str) -> bool {
        let after = self
            .told
            .range::<str, _>((Bound::Included(path), Bound::Unbounded));
        // What begins alike need not be below: `a-b` is not below `a`.
        let mut alike = after.map_while(|told| told.strip_prefix(path));
        alike.any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Reads text as a value; tells why if it is none.
    fn parse<T>(&mut self, code: Code, path: &str, text: &str, hint: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(why) => {
                self.error(code, path, format!("{} {why}", show(text)), hint);
                None
            }
        }
    }

    fn name(&mut self, path: &str, text: &str) -> Option<HostName> {
        let close = text.trim().to_lowercase().replace(['_', ' ', '.'], "-");
        let hint = match close.parse::<HostName>() {
            Ok(close) => format!("write `{close}`: a name is an RFC 1123 label"),
            Err(_) => {
                "a name is an RFC 1123 label: a-z, 0-9 and `-` inside, at most 63 characters".to_owned()
            }
        };
        self.parse(Code::InvalidName, path, text, &hint)
    }

    fn address(&mut self, path: &str, text: &str) -> Option<Ipv4Addr> {
        let address = text.parse().ok();
        if address.is_none() {
            let what = format!("{} is not an IPv4 address", show(text));
            let hint = match text.split_once('/') {
                Some((address, _)) if address.parse::<Ipv4Addr>().is_ok() => {
                    format!("write {address}, without a prefix length")
                }
                _ if text.parse::<std::net::Ipv6Addr>().is_ok() => {
                    "the site's network is IPv4 only".to_owned()
                }
                _ => "write four numbers up to 255 joined by dots, such as 192.168.8.11".to_owned(),
            };
            self.error(Code::InvalidAddress, path, what, hint);
        }
        address
    }

    fn wish(&mut self, path: &str, text: Option<&str>) -> Wish {
        match text {
            None if self.is_told(path) => Wish::Unreadable,
            None => Wish::Any,
            Some(text) => self.address(path, text).map_or(Wish::Unreadable, Wish::At),
        }
    }

    fn subnet(&mut self, path: &str, text: &str) -> Option<Subnet> {
        let why = match text.parse::<Subnet>() {
            Ok(subnet) => return Some(subnet),
            Err(why) => why,
        };
        let (what, hint) = match why {
            ParseSubnet::HostBits(subnet) => (
                format!("{} is an address in a network, not the network", show(text)),
                format!("the network is {subnet}"),
            ),
            why if text.contains(':') => (
                format!("{} {why}", show(text)),
                "the site's network is IPv4 only".to_owned(),
            ),
            why => (
                format!("{} {why}", show(text)),
                "write it as 192.168.8.0/24".to_owned(),
            ),
        };
        self.error(Code::InvalidSubnet, path, what, hint);
        None
    }

    fn mac(&mut self, path: &str, text: &str) -> Option<MacAddr> {
        let (what, hint) = match text.parse::<MacAddr>() {
            Err(_) => (
                format!("{} is not a MAC address", show(text)),
                "write six two-digit hexadecimal numbers joined by colons, such as \"52:54:00:08:00:01\"",
            ),
            Ok(mac) if mac.is_zero() => (
                "this MAC is all zero".to_owned(),
                "read it off the machine, or its label",
            ),
            Ok(mac) if !mac.is_unicast() => (
                format!("{mac} is a group address, not that of one machine"),
                "a machine's own MAC has an even number in front",
            ),
            Ok(mac) => return Some(mac),
        };
        self.error(Code::InvalidMac, path, what, hint);
        None
    }

    fn url(&mut self, path: &str, text: &str, schemes: &[&str], example: &str) {
        let rest = text
            .split_once("://")
            .filter(|(scheme, _)| schemes.contains(scheme))
            .map(|(_, rest)| rest);
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let good = authority.is_some_and(|authority| {
            let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
            text::is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !good {
            let wanted = schemes
                .iter()
                .map(|scheme| format!("{scheme}://"))
                .collect::<Vec<_>>()
                .join(" or ");
            let what = format!("{} is no URL with {wanted}", show(text));
            self.error(Code::InvalidUrl, path, what, format!("such as {example}"));
        }
    }

    fn secret_ref(&mut self, path: &str, secret: Option<&wire::SecretRef>) -> Option<String> {
        let name = secret?.name.as_deref()?;
        let checked = self.name(&join(path, "name"), name)?;
        Some(checked.to_string())
    }

    fn site(&mut self, file: &wire::SiteFile) -> Option<Site> {
        let metadata = file.metadata.clone().unwrap_or_default();
        let spec = file.spec.clone().unwrap_or_default();
        let name = metadata
            .name
            .as_deref()
            .and_then(|name| self.name("metadata.name", name));
        let labels = metadata.labels.unwrap_or_default();
        for (key, value) in &labels {
            text::label(self, &key_path("metadata.labels", key), key, value);
        }
        let domain = spec.domain.as_deref().and_then(|domain| {
            let hint = "write labels joined by dots, such as edge.example.com";
            self.parse::<DomainName>(Code::InvalidDomain, "spec.domain", domain, hint)
        });
        // The longest name in the zone is a label of 63 characters and a dot.
        if let (Some(name), Some(domain)) = (&name, &domain)
            && domain.child(name).as_str().len() + 64 > 253
        {
            let what = "names in the zone of this site could have more than 253 characters";
            let hint = "shorten the domain or the site's name";
            self.error(Code::DomainTooLong, "spec.domain", what, hint);
        }
        let keys = spec.ssh_authorized_keys.clone().unwrap_or_default();
        text::ssh_keys(self, &keys);

        let lan = self.lan(spec.lan.as_ref(), spec.uplink.as_ref());
        let uplink = self.uplink(spec.uplink.as_ref());
        let cluster = self.cluster(spec.cluster.as_ref());
        self.networks(
            lan.as_ref().and_then(|lan| lan.subnet),
            uplink.as_ref(),
            cluster.as_ref(),
        );
        self.pod_blocks(lan.as_ref().and_then(|lan| lan.subnet), cluster.as_ref());
        let nodes = self.nodes(&spec);
        let names = self.names(lan.as_ref(), &nodes, spec.machines.as_deref());
        self.macs(lan.as_ref(), &nodes, uplink.as_ref());
        self.published_hosts(spec.uplink.as_ref(), &names);
        let lan_and_nodes = lan.and_then(|lan| self.addresses(lan, nodes));
        let bastion = lan_and_nodes.as_ref().map(|(lan, _)| lan.addresses.bastion);
        let zone = domain
            .as_ref()
            .zip(name.as_ref())
            .map(|(domain, name)| domain.child(name));
        let dns = self.dns(spec.dns.as_ref(), bastion, names, zone.as_ref());
        let time = self.time(spec.time.as_ref());
        self.machines(spec.machines.as_deref());
        self.keeping(&spec);
        let unlock = self.unlock(spec.unlock.as_ref());
        let balancer = self.balancer(&spec);
        let later = self.later(&spec);
        let (lan, nodes) = lan_and_nodes?;
        let mut uplink = uplink?;
        uplink.publish = self.publish(spec.uplink.as_ref(), &uplink.trusted_networks, &lan, &nodes);
        Some(Site {
            name: name?,
            domain: domain?,
            labels,
            ssh_authorized_keys: keys,
            uplink,
            lan,
            dns,
            time,
            cluster: cluster?,
            nodes,
            unlock,
            content: match spec.content.and_then(|content| content.serve) {
                Some(wire::ServeContent::Always) => ContentPolicy::Always,
                Some(wire::ServeContent::WhileArmed) | None => ContentPolicy::WhileArmed,
            },
            balancer,
            services: bastion::services(spec.services.as_ref()),
            later,
        })
    }
}
