//! A lab with a host beyond the uplink, servers that say who asks, and sessions that count.

use std::process::Stdio;

use anyhow::ensure;
use faros_conformance::{Running, Site, changed, eventually, root};

pub(crate) const NODE: &str = "client:node=52:54:00:08:00:01";
pub(crate) const NODE_ADDRESS: &str = "192.168.8.11";
pub(crate) const UPLINK: &str = "203.0.113.1";
pub(crate) const BASTION_OUTSIDE: &str = "203.0.113.2";

/// An address beyond the uplink that no network of the tests trusts.
pub(crate) const STRANGER: &str = "198.51.100.9";

/// A server that says who asks, in Python's own words: `PORT` is put in its place.
pub(crate) const WHO_ASKS: &str = "
import http.server
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('0.0.0.0', PORT), Who).serve_forever()";

/// A client that keeps a connection and writes down each number that comes over it.
pub(crate) const KEEPS_READING: &str = "
import socket
own = socket.create_connection(('203.0.113.1', 7000))
out = open('NUMBERS', 'w')
for line in own.makefile():
    print(line.strip(), file=out, flush=True)";

/// A server that counts, ten times a second.
pub(crate) const COUNTS: &str = "
import socket, time
own = socket.create_server(('0.0.0.0', 7000))
peer, _ = own.accept()
for n in range(100000):
    peer.sendall(b'%d\\n' % n)
    time.sleep(0.1)";

/// A lab with the demo's site, changed: one node that has its address, and a host beyond the uplink.
pub(crate) struct Router {
    // Programs end before their lab is taken down.
    programs: Vec<Running>,
    pub(crate) site: Site,
}

impl Router {
    pub(crate) fn up(name: &str) -> anyhow::Result<Self> {
        let mut site = Site::up_with(name, &root().join("examples/three-nodes.yaml"))?;
        site.run(NODE, &["dhclient", "-4", "-1", "eth0"])?;
        site.run(
            "uplink",
            &["ip", "address", "add", &format!("{STRANGER}/32"), "dev", "lo"],
        )?;
        Ok(Self {
            programs: vec![],
            site,
        })
    }

    /// Applies the demo's site with this below its uplink, and keeps it.
    pub(crate) fn apply(&self, uplink: &str) -> anyhow::Result<()> {
        let path = self.write(uplink)?;
        self.site.lab.apply(path.as_ref())
    }

    /// A file with the demo's site and this below its uplink.
    pub(crate) fn write(&self, uplink: &str) -> anyhow::Result<String> {
        let interface = "    interface: uplink0\n";
        self.write_with(&[(interface, &format!("{interface}{uplink}"))])
    }

    /// A file with the demo's site, changed.
    pub(crate) fn write_with(&self, changes: &[(&str, &str)]) -> anyhow::Result<String> {
        let path = self.site.file(&changed("three-nodes", changes)?)?;
        Ok(path.display().to_string())
    }

    pub(crate) fn python(&mut self, host: &str, script: &str) -> anyhow::Result<()> {
        let mut command = self.site.in_network(host, &["python3", "-c", script])?;
        self.programs.push(Running(command.stdin(Stdio::null()).spawn()?));
        Ok(())
    }

    /// Has a host answer on a port with the address of whoever asks.
    pub(crate) fn serve(&mut self, host: &str, port: u16) -> anyhow::Result<()> {
        self.python(host, &WHO_ASKS.replace("PORT", &port.to_string()))?;
        let url = format!("http://127.0.0.1:{port}/");
        eventually("a server of the test answers", || {
            Ok(self.site.said(host, &["curl", "-s", "-m", "1", &url])? == "127.0.0.1")
        })
    }

    /// As whom a server sees a host that asks it; `None` if it cannot be reached.
    pub(crate) fn seen_as(&mut self, host: &str, to: &str, port: u16) -> anyhow::Result<Option<String>> {
        self.seen_from(host, None, to, port)
    }

    pub(crate) fn seen_from(
        &mut self,
        host: &str,
        from: Option<&str>,
        to: &str,
        port: u16,
    ) -> anyhow::Result<Option<String>> {
        let url = format!("http://{to}:{port}/");
        let mut words = vec!["curl", "-s", "-m", "1", &url];
        if let Some(from) = from {
            words.extend(["--interface", from]);
        }
        let said = self.site.said(host, &words)?;
        Ok(Some(said).filter(|said| !said.is_empty()))
    }

    pub(crate) fn nft(&mut self, words: &[&str]) -> anyhow::Result<String> {
        self.site.run("bastion", &[&["nft"], words].concat())
    }

    /// How many packets the rule with this comment has dropped.
    pub(crate) fn dropped(&mut self, why: &str) -> anyhow::Result<u64> {
        let table = self.nft(&["list", "table", "inet", "faros"])?;
        let lines = table.lines().filter(|line| line.contains(why));
        let count = |line: &str| line.split("packets ").nth(1)?.split(' ').next()?.parse().ok();
        let counts: Vec<u64> = lines.filter_map(count).collect();
        ensure!(!counts.is_empty(), "no rule `{why}` in\n{table}");
        Ok(counts.iter().sum())
    }
}
