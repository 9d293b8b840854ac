//! Name service beyond the names that follow from the site itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::{
    ids::{DomainName, HostName},
    site,
    wire::v1alpha1 as wire,
};

use super::{Check, identity::Names};
use crate::{codes::Code, place::join, show::show};

impl Check<'_> {
    pub(super) fn dns(
        &mut self,
        dns: Option<&wire::Dns>,
        bastion: Option<Ipv4Addr>,
        mut names: Names,
        zone: Option<&DomainName>,
    ) -> site::Dns {
        let dns = dns.cloned().unwrap_or_default();
        let forwarders = self.forwarders(dns.forwarders.as_deref(), bastion);
        let wire = dns.records.unwrap_or_default();
        let paths: Vec<String> = (0..wire.len())
            .map(|idx| self.places.item("spec.dns.records", idx))
            .collect();
        let mut own: Vec<(HostName, &wire::Record, &str)> = Vec::new();
        for (record, path) in wire.iter().zip(&paths) {
            let path_of_name = join(path, "name");
            let name = record
                .name
                .as_deref()
                .and_then(|name| self.name(&path_of_name, name));
            if let Some(name) = name {
                // Several records may have one name.
                if !own.iter().any(|(other, ..)| *other == name) {
                    names.claim(self, &path_of_name, name.as_str());
                }
                own.push((name, record, path));
            }
        }
        self.aliases(&own);
        let mut records = Vec::new();
        for (name, record, path) in own {
            if let Some(data) = self.record(path, record, &names, zone) {
                records.push(site::DnsRecord { name, data });
            }
        }
        site::Dns { forwarders, records }
    }

    fn forwarders(&mut self, texts: Option<&[String]>, bastion: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let mut forwarders = Vec::new();
        for (idx, text) in texts.into_iter().flatten().enumerate() {
            let path = self.places.item("spec.dns.forwarders", idx);
            let Some(address) = self.address(&path, text) else {
                continue;
            };
            if Some(address) == bastion || address.is_loopback() {
                let what = format!("{address} is the bastion itself: it would ask in a circle");
                self.error(
                    Code::ForwarderIsBastion,
                    &path,
                    what,
                    "name a resolver beyond the uplink",
                );
            } else if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
                let what = format!("{address} is no address of a host");
                self.error(Code::InvalidAddress, &path, what, "such as 9.9.9.9");
            } else if forwarders.contains(&address) {
                self.error(
                    Code::DuplicateValue,
                    &path,
                    format!("{address} is here twice"),
                    "keep one of them",
                );
            } else {
                forwarders.push(address);
            }
        }
        forwarders
    }

    fn record(
        &mut self,
        path: &str,
        record: &wire::Record,
        names: &Names,
        zone: Option<&DomainName>,
    ) -> Option<site::DnsData> {
        match (&record.a, &record.cname, &record.txt) {
            (Some(a), None, None) => self.address(&join(path, "a"), a).map(site::DnsData::A),
            (None, Some(cname), None) => {
                let path = join(path, "cname");
                if cname.contains('.') {
                    let hint = "write a name of the site, or a full name such as www.example.com";
                    let full = cname.strip_suffix('.').unwrap_or(cname);
                    return self
                        .parse(Code::InvalidDomain, &path, full, hint)
                        .map(site::DnsData::Cname);
                }
                let label = self.name(&path, cname)?;
                if let Some((what, hint)) = names.unknown(label.as_str()) {
                    self.error(Code::UnknownHost, &path, what, hint);
                }
                Some(site::DnsData::Cname(zone?.child(&label)))
            }
            (None, None, Some(txt)) if txt.len() <= 255 => Some(site::DnsData::Txt(txt.clone())),
            (None, None, Some(txt)) => {
                let what = format!("the text has {} bytes; one record holds 255", txt.len());
                self.error(
                    Code::TextTooLong,
                    &join(path, "txt"),
                    what,
                    "split it over two records",
                );
                None
            }
            _ if self.is_told(path) => None,
            _ => {
                let what = "a record has exactly one of `a`, `cname` and `txt`";
                self.error(
                    Code::RecordUnclear,
                    path,
                    what,
                    "such as {name: registry, cname: bastion}",
                );
                None
            }
        }
    }

    /// An alias stands alone at its name, and leads to something.
    fn aliases(&mut self, records: &[(HostName, &wire::Record, &str)]) {
        let mut seen: BTreeMap<&HostName, bool> = BTreeMap::new();
        for (name, record, path) in records {
            let is_alias = record.cname.is_some();
            match seen.get(name) {
                None => {
                    seen.insert(name, is_alias);
                }
                Some(was_alias) if is_alias || *was_alias => {
                    let what = format!("{} is an alias, and has another record", show(name.as_str()));
                    self.error(
                        Code::RecordConflict,
                        &join(path, "name"),
                        what,
                        "an alias is the only record of its name",
                    );
                }
                Some(_) => (),
            }
        }
        let next: BTreeMap<&str, &str> = records
            .iter()
            .filter_map(|(name, record, _)| Some((name.as_str(), record.cname.as_deref()?)))
            .collect();
        let mut in_circle: BTreeSet<&str> = BTreeSet::new();
        for (name, _, path) in records {
            let way = std::iter::successors(next.get(name.as_str()), |target| next.get(*target));
            let way: Vec<&str> = way.take(next.len()).copied().collect();
            if way.contains(&name.as_str()) && !in_circle.contains(name.as_str()) {
                in_circle.extend(&way);
                let what = format!("the alias {} leads back to itself", show(name.as_str()));
                self.error(
                    Code::RecordConflict,
                    &join(path, "cname"),
                    what,
                    "let it lead to a host",
                );
            }
        }
    }
}
