//! The site's names as the peers want to be told them.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use faros_lab::{network, run::ip};
use faros_model::{
    ports::DNS,
    site::{DnsData, Site},
};

use crate::work::{Bench, Contender};

pub(super) const DNSMASQ: &str = "dnsmasq";
/// The share of questions for names that there are not.
pub(super) const NO_SUCH: f64 = 0.05;

/// All there is to know of the site's zone.
pub(crate) struct Names {
    pub(crate) zone: String,
    reverse: String,
    addresses: Vec<(String, Ipv4Addr)>,
    pointers: Vec<(Ipv4Addr, String)>,
    aliases: Vec<(String, String)>,
}

impl Names {
    /// The names of a site whose network is a /16.
    pub(crate) fn of(site: &Site) -> Self {
        let zone = site.zone().to_string();
        let [a, b, ..] = site.lan.subnet.network().octets();
        let mut names = Self {
            reverse: format!("{b}.{a}.in-addr.arpa"),
            zone,
            addresses: Vec::new(),
            pointers: Vec::new(),
            aliases: Vec::new(),
        };
        for own in faros_ports::names(site) {
            let name = format!("{}.{}", own.name, names.zone);
            if own.has_pointer {
                names.pointers.push((own.address, name.clone()));
            }
            names.addresses.push((name, own.address));
        }
        for record in &site.dns.records {
            if let DnsData::Cname(target) = &record.data {
                let name = format!("{}.{}", record.name, names.zone);
                names.aliases.push((name, target.to_string()));
            }
        }
        names
    }

    /// The questions: every name and address, and names that there are not.
    pub(crate) fn questions(&self) -> String {
        let mut asked: Vec<String> = Vec::new();
        for (name, _) in &self.addresses {
            asked.push(format!("{} A", name.replace('*', "console")));
        }
        asked.extend(
            self.pointers
                .iter()
                .map(|(address, _)| format!("{} PTR", reversed(*address))),
        );
        let mut text = String::new();
        for n in 0..2000 {
            // Writing to a `String` cannot fail.
            let _ = match n % 20 {
                7 => writeln!(text, "no-such-{n}.{} A", self.zone),
                _ => writeln!(text, "{}", asked[n % asked.len()]),
            };
        }
        text
    }

    /// The two zone files, in master format.
    fn files(&self) -> (String, String) {
        let head = |zone: &str| {
            format!(
                "$TTL 300\n{zone}. IN SOA bastion.{0}. hostmaster.{0}. 1 3600 600 86400 60\n{zone}. IN NS bastion.{0}.\n",
                self.zone
            )
        };
        let (mut forward, mut reverse) = (head(&self.zone), head(&self.reverse));
        for (name, address) in &self.addresses {
            let _ = writeln!(forward, "{name}. IN A {address}");
        }
        for (name, target) in &self.aliases {
            let _ = writeln!(forward, "{name}. IN CNAME {target}.");
        }
        for (address, name) in &self.pointers {
            let _ = writeln!(reverse, "{}. IN PTR {name}.", reversed(*address));
        }
        (forward, reverse)
    }
}

fn reversed(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}

/// Whether anything comes back for a question.
pub(super) fn answers(to: Ipv4Addr) -> bool {
    // The root's name servers, which every server says something about.
    let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send_to(&question, SocketAddrV4::new(to, DNS))?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}

/// A peer with the zone files in its folder.
fn peer(bench: &Bench, name: &'static str, names: &Names) -> anyhow::Result<Contender> {
    let peer = bench.peer(name)?;
    let (forward, reverse) = names.files();
    peer.place.write("forward.zone", &forward)?;
    peer.place.write("reverse.zone", &reverse)?;
    Ok(peer)
}

/// The resolver beyond the uplink, as the lab has it.
fn serve_uplink(bench: &Bench, peer: &mut Contender) -> anyhow::Result<()> {
    let uplink = peer.place.uplink();
    for forwarder in &bench.site.dns.forwarders {
        ip(&format!("-n {uplink} address add {forwarder}/32 dev lo"))?;
        ip(&format!(
            "-n {} route replace {forwarder}/32 via {}",
            peer.place.bastion(),
            network::UPLINK_HOST
        ))?;
    }
    let words = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--pid-file=",
        "--user=root",
        "--address=/example.net/198.51.100.7",
        "--local-ttl=300",
    ];
    let resolver = peer.place.start_in(&uplink, &words)?;
    peer.helpers.push(resolver);
    Ok(())
}

pub(crate) fn bind(bench: &Bench, names: &Names) -> anyhow::Result<Contender> {
    let mut peer = peer(bench, super::BIND, names)?;
    serve_uplink(bench, &mut peer)?;
    let (folder, lan) = (peer.place.folder().display(), bench.site.lan.subnet);
    let forwarders = bench
        .site
        .dns
        .forwarders
        .iter()
        .fold(String::new(), |text, one| format!("{text}{one}; "));
    let config = format!(
        "options {{
           directory \"{folder}\"; pid-file \"{folder}/named.pid\"; session-keyfile none;
           listen-on {{ {}; }}; listen-on-v6 {{ none; }};
           allow-query {{ {lan}; }}; recursion yes; allow-recursion {{ {lan}; }};
           forwarders {{ {forwarders}}}; forward only; dnssec-validation no; minimal-responses yes; querylog no;
         }};
         controls {{ }};
         zone \"{}\" {{ type primary; file \"forward.zone\"; }};
         zone \"{}\" {{ type primary; file \"reverse.zone\"; }};\n",
        peer.place.address, names.zone, names.reverse
    );
    let file = peer.place.write("named.conf", &config)?;
    let words = ["named", "-g", "-c", &file.to_string_lossy()];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

pub(super) fn knot(bench: &Bench, names: &Names) -> anyhow::Result<Contender> {
    let mut peer = peer(bench, "knot", names)?;
    let folder = peer.place.folder().display();
    let config = format!(
        "server:\n  rundir: {folder}\n  user: root:root\n  listen: {}@{DNS}\ndatabase:\n  storage: {folder}/db\n\
         log:\n  - target: stderr\n    any: error\n\
         zone:\n  - domain: {}\n    file: {folder}/forward.zone\n  - domain: {}\n    file: {folder}/reverse.zone\n",
        peer.place.address, names.zone, names.reverse
    );
    let file = peer.place.write("knot.conf", &config)?;
    let words = ["knotd", "-c", &file.to_string_lossy()];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

/// As Debian builds it, it answers one network 200 times a second unless it is told otherwise.
pub(super) fn nsd(bench: &Bench, names: &Names) -> anyhow::Result<Contender> {
    let mut peer = peer(bench, "nsd", names)?;
    let folder = peer.place.folder().display();
    let config = format!(
        "server:\n  ip-address: {}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{folder}\"\n  server-count: 2\n  \
         database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  logfile: \"{folder}/nsd.txt\"\n  \
         rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\nremote-control:\n  control-enable: no\n\
         zone:\n  name: \"{}\"\n  zonefile: \"forward.zone\"\nzone:\n  name: \"{}\"\n  zonefile: \"reverse.zone\"\n",
        peer.place.address, names.zone, names.reverse
    );
    let file = peer.place.write("nsd.conf", &config)?;
    let words = ["nsd", "-d", "-c", &file.to_string_lossy()];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

pub(super) fn dnsmasq(bench: &Bench, names: &Names) -> anyhow::Result<Contender> {
    let mut peer = peer(bench, DNSMASQ, names)?;
    serve_uplink(bench, &mut peer)?;
    let mut config = format!(
        "no-resolv\nno-hosts\nbind-interfaces\npid-file=\nuser=root\ncache-size=10000\nlocal-ttl=300\n\
         listen-address={}\nlocal=/{}/\nlocal=/{}/\n",
        peer.place.address, names.zone, names.reverse
    );
    for forwarder in &bench.site.dns.forwarders {
        let _ = writeln!(config, "server={forwarder}");
    }
    for (name, address) in &names.addresses {
        let _ = match name.strip_prefix("*.") {
            Some(below) => writeln!(config, "address=/{below}/{address}"),
            None => writeln!(config, "host-record={name},{address}"),
        };
    }
    for (name, target) in &names.aliases {
        let _ = writeln!(config, "cname={name},{target}");
    }
    let file = peer.place.write("dnsmasq.conf", &config)?;
    let config = format!("--conf-file={}", file.display());
    let words = ["dnsmasq", "--keep-in-foreground", &config];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_in_twenty_is_for_a_name_that_there_is_not() {
        let names = Names {
            zone: "site.example".to_owned(),
            reverse: "9.10.in-addr.arpa".to_owned(),
            addresses: vec![("*.apps.site.example".to_owned(), Ipv4Addr::new(10, 9, 0, 3))],
            pointers: vec![(Ipv4Addr::new(10, 9, 0, 1), "bastion.site.example".to_owned())],
            aliases: vec![],
        };
        let questions = names.questions();
        let no_such = questions
            .lines()
            .filter(|line| line.starts_with("no-such"))
            .count();
        assert_eq!((no_such, questions.lines().count()), (100, 2000));
        assert!(questions.contains("console.apps.site.example A\n"));
        assert!(questions.contains("1.0.9.10.in-addr.arpa PTR\n"));
    }
}
