//! A lab in which three hosts have the nodes' addresses, and servers and clients in Python's own words.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, Site, changed, eventually};
use serde_json::Value;

pub(crate) const VIP: &str = "192.168.8.2";
pub(crate) const LAPTOP: &str = "client:laptop=52:54:00:08:09:09";

/// Answers on a port with its name and who asks; over TLS if it has a certificate.
const SERVER: &str = "
import http.server, ssl, sys
name, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write((name + ' ' + self.client_address[0]).encode())
    def log_message(self, *_): pass
class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_): pass
server = Quiet(('0.0.0.0', port), Who)
if port in (6443, 22623):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder + '/tls.crt', folder + '/tls.key')
    server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()";

pub(crate) struct Balancer {
    // Programs end before their lab is taken down.
    pub(crate) programs: Vec<(String, Running)>,
    pub(crate) site: Site,
}

pub(crate) fn node(n: u8) -> String {
    format!("client:node-{n}=52:54:00:08:00:0{n}")
}

impl Balancer {
    /// A lab with the demo's site, in which three hosts have the nodes' addresses.
    pub(crate) fn up(name: &str) -> anyhow::Result<Self> {
        let mut site = Site::up(name)?;
        for host in [node(1), node(2), node(3), LAPTOP.to_owned()] {
            site.run(&host, &["dhclient", "-4", "-1", "eth0"])?;
        }
        let folder = site.lab.folder().path().display().to_string();
        // An authority, and a certificate for the API's name that it signs.
        let openssl = |more: String| -> anyhow::Result<()> {
            let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
            let words = format!("{make} {more}");
            let done = Command::new("openssl")
                .args(words.split(' '))
                .stderr(Stdio::null())
                .status()?;
            ensure!(done.success(), "openssl makes no certificate: {words}");
            Ok(())
        };
        openssl(format!(
            "-subj /CN=authority -keyout {folder}/ca.key -out {folder}/ca.crt"
        ))?;
        openssl(format!(
            "-subj /CN=api -addext subjectAltName=DNS:api.harbour-7.edge.example.com -addext \
             basicConstraints=critical,CA:FALSE -CA {folder}/ca.crt -CAkey {folder}/ca.key -keyout \
             {folder}/tls.key -out {folder}/tls.crt"
        ))?;
        let own = Self {
            programs: vec![],
            site,
        };
        own.apply("", "")?;
        Ok(own)
    }

    pub(crate) fn folder(&self) -> String {
        self.site.lab.folder().path().display().to_string()
    }

    /// Applies the site with one text in the place of another. Its API servers are nobody's, unless `to` says whose.
    pub(crate) fn apply(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let mut text = changed("three-nodes", &[(from, to)])?;
        if !to.contains("cluster:") {
            text += "  cluster: {distribution: none}\n";
        }
        self.site.lab.apply(&self.site.file(&text)?)
    }

    pub(crate) fn start(&mut self, host: &str, script: &str, args: &[&str]) -> anyhow::Result<()> {
        let words = [&["python3", "-c", script], args].concat();
        let mut command = self.site.in_network(host, &words)?;
        let program = Running(command.stdin(Stdio::piped()).spawn()?);
        self.programs.push((host.to_owned(), program));
        Ok(())
    }

    pub(crate) fn serve(&mut self, n: u8, port: u16) -> anyhow::Result<()> {
        let folder = self.folder();
        self.start(
            &node(n),
            SERVER,
            &[&format!("node-{n}"), &port.to_string(), &folder],
        )
    }

    pub(crate) fn kill(&mut self, host: &str) {
        self.programs.retain(|(own, _)| own != host);
    }

    /// Who answers a host, and whom it sees; or how curl failed: 7 refused, 28 too late.
    pub(crate) fn ask(&mut self, host: &str, url: &str) -> anyhow::Result<Result<String, i32>> {
        let words = ["curl", "-sk", "-m", "20", url];
        let output = self.site.lab.command(host, &words)?.output()?;
        Ok(if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(output.status.code().unwrap_or(-1))
        })
    }

    pub(crate) fn status(&self) -> anyhow::Result<Value> {
        let (said, code) = self.site.farosctl(&["balancer", "--output", "json"])?;
        ensure!(code == 0, "{said}");
        serde_json::from_str(&said).context("farosctl prints JSON")
    }

    /// A service's servers, in the order of the site.
    pub(crate) fn backends(&self, service: &str) -> anyhow::Result<Vec<Value>> {
        let status = self.status()?;
        let services = status["services"].as_array().context("services")?;
        let own = services.iter().find(|own| own["name"] == service);
        let backends = own.context("the service")?["backends"].as_array();
        Ok(backends.context("backends")?.clone())
    }

    /// Names of a service's servers with a share, in the order of the site.
    pub(crate) fn takers(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let backends = self.backends(service)?;
        let takers = backends.iter().filter(|own| own["share"].as_u64() > Some(0));
        Ok(takers
            .filter_map(|own| Some(own["name"].as_str()?.to_owned()))
            .collect())
    }

    pub(crate) fn wait_for(&self, service: &str, takers: &[&str]) -> anyhow::Result<()> {
        eventually(&format!("{takers:?} serve {service}"), || {
            Ok(self.takers(service)? == takers)
        })
    }

    pub(crate) fn saw(&self, kind: &str, key: &str, text: &str) -> anyhow::Result<bool> {
        let events = self.site.events()?;
        let mut own = events.iter().filter(|event| event.kind.as_str() == kind);
        Ok(own.any(|event| {
            event
                .detail
                .get(key)
                .is_some_and(|value| value.to_string().contains(text))
        }))
    }
}
