//! `curl`, `openssl`, Python and `nft` around a real farosd: who answers behind the virtual IPs, and what becomes of
//! connections when servers, farosd or the rules go away.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};
use serde_json::Value;

const VIP: &str = "192.168.8.2";
const LAPTOP: &str = "client:laptop=52:54:00:08:09:09";
const BASTION_OUTSIDE: &str = "203.0.113.2";

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

/// Sends back what it gets, on any number of connections.
const ECHO: &str = "
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
async def serve(reader, writer):
    try:
        while data := await reader.read(64):
            writer.write(data)
            await writer.drain()
    except OSError: pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, '0.0.0.0', 80, backlog=4096)
    await server.serve_forever()
asyncio.run(main())";

/// Opens connections, and whenever it gets a line says over how many of them an answer came.
const MANY: &str = "
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
async def ask(own, text):
    reader, writer = own
    try:
        writer.write(text); await writer.drain()
        return await asyncio.wait_for(reader.readexactly(len(text)), 60) == text
    except Exception: return False
async def main():
    count, out = int(sys.argv[1]), open(sys.argv[2], 'w')
    own = []
    while len(own) < count:
        own += await asyncio.gather(*[asyncio.open_connection('192.168.8.2', 80) for _ in range(200)])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        good = await asyncio.gather(*[ask(one, line.encode()) for one in own])
        print(sum(good), file=out, flush=True)
asyncio.run(main())";

/// Opens a connection, asks once, then only listens, and writes down how that ends.
const LISTENS: &str = "
import socket, sys
own = socket.create_connection(('192.168.8.2', 80))
own.sendall(b'hello'); own.recv(64)
out = open(sys.argv[1], 'w')
print('listening', own.getsockname()[1], file=out, flush=True)
try: print('ended' if not own.recv(64) else 'data', file=out, flush=True)
except OSError as error: print(type(error).__name__, file=out, flush=True)";

struct Balancer {
    site: Site,
    children: Vec<(String, Child)>,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn node(n: u8) -> String {
    format!("client:node-{n}=52:54:00:08:00:0{n}")
}

impl Balancer {
    /// A lab with the demo's site, in which three hosts have the nodes' addresses.
    fn up(name: &str) -> anyhow::Result<Self> {
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
            site,
            children: vec![],
        };
        own.apply("", "")?;
        Ok(own)
    }

    fn folder(&self) -> String {
        self.site.lab.folder().path().display().to_string()
    }

    /// Applies the site with one text in the place of another. Its API servers are nobody's, unless `to` says whose.
    fn apply(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let mut text = fs::read_to_string(root().join("examples/three-nodes.yaml"))?;
        ensure!(text.contains(from), "no `{from}` in the site");
        if !to.contains("cluster:") {
            text += "  cluster: {distribution: none}\n";
        }
        let path = self.site.lab.folder().path().join("changed.yaml");
        fs::write(&path, text.replacen(from, to, 1))?;
        self.site.lab.apply(&path)
    }

    fn start(&mut self, host: &str, script: &str, args: &[&str]) -> anyhow::Result<()> {
        let namespace = self.site.lab.host(host)?.1.namespace;
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &namespace, "python3", "-c", script])
            .args(args);
        let child = command.stdin(Stdio::piped()).spawn()?;
        self.children.push((host.to_owned(), child));
        Ok(())
    }

    fn serve(&mut self, n: u8, port: u16) -> anyhow::Result<()> {
        let folder = self.folder();
        self.start(
            &node(n),
            SERVER,
            &[&format!("node-{n}"), &port.to_string(), &folder],
        )
    }

    fn kill(&mut self, host: &str) {
        for (own, child) in &mut self.children {
            if own == host {
                drop(child.kill());
                drop(child.wait());
            }
        }
        self.children.retain(|(own, _)| own != host);
    }

    /// Who answers a host, and whom it sees; or how curl failed: 7 refused, 28 too late.
    fn ask(&mut self, host: &str, url: &str) -> anyhow::Result<Result<String, i32>> {
        let words = ["curl", "-sk", "-m", "20", url];
        let output = self.site.lab.command(host, &words)?.output()?;
        Ok(if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(output.status.code().unwrap_or(-1))
        })
    }

    fn status(&self) -> anyhow::Result<Value> {
        let (said, code) = self.site.farosctl(&["balancer", "--output", "json"])?;
        ensure!(code == 0, "{said}");
        serde_json::from_str(&said).context("farosctl prints JSON")
    }

    /// A service's servers, in the order of the site.
    fn backends(&self, service: &str) -> anyhow::Result<Vec<Value>> {
        let status = self.status()?;
        let services = status["services"].as_array().context("services")?;
        let own = services.iter().find(|own| own["name"] == service);
        let backends = own.context("the service")?["backends"].as_array();
        Ok(backends.context("backends")?.clone())
    }

    /// Names of a service's servers with a share, in the order of the site.
    fn takers(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let backends = self.backends(service)?;
        let takers = backends.iter().filter(|own| own["share"].as_u64() > Some(0));
        Ok(takers
            .filter_map(|own| Some(own["name"].as_str()?.to_owned()))
            .collect())
    }

    fn wait_for(&self, service: &str, takers: &[&str]) -> anyhow::Result<()> {
        eventually(&format!("{takers:?} serve {service}"), || {
            Ok(self.takers(service)? == takers)
        })
    }

    fn saw(&self, kind: &str, key: &str, text: &str) -> anyhow::Result<bool> {
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

fn eventually(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn whoever_may_is_led_to_who_is_well_and_told_at_once_if_nobody_is() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-vip")?;
    let api = format!("https://{VIP}:6443/");
    assert_eq!(
        lab.ask(LAPTOP, &api)?,
        Err(7),
        "nobody is there: refused, and no waiting"
    );
    lab.serve(1, 6443)?;
    lab.serve(2, 6443)?;
    lab.serve(1, 80)?;
    lab.wait_for("api", &["node-1", "node-2"])?;
    lab.wait_for("ingress-http", &["node-1"])?;
    // The way back is by the bastion, for a neighbor as for who is led to itself, and for the bastion.
    let by_bastion = Ok("node-1 192.168.8.1".to_owned());
    for host in [LAPTOP.to_owned(), node(1), node(3), "bastion".to_owned()] {
        assert_eq!(lab.ask(&host, &format!("http://{VIP}/"))?, by_bastion, "{host}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        seen.extend(lab.ask(LAPTOP, &api)?);
    }
    assert_eq!(seen.len(), 2, "chance leads to both: {seen:?}");
    // From the outside: what is published, with the client's own address.
    let published =
        "    interface: uplink0\n    trustedNetworks: [203.0.113.0/24]\n    publish: [ingress-http, api]\n";
    lab.apply("    interface: uplink0\n", published)?;
    eventually("the uplink is led to the node", || {
        let said = lab.ask("uplink", &format!("http://{BASTION_OUTSIDE}/"))?;
        Ok(said == Ok("node-1 203.0.113.1".to_owned()))
    })?;
    // A drained node gets nothing new; the last one is not drained by mistake.
    let (_, code) = lab.site.farosctl(&["balancer", "drain", "node-2"])?;
    assert_eq!(code, 0);
    lab.wait_for("api", &["node-1"])?;
    let (said, code) = lab.site.farosctl(&["balancer", "drain", "node-1"])?;
    assert_eq!(code, 6, "{said}");
    lab.site.kill_and_start()?;
    lab.wait_for("api", &["node-1"])?;
    let (_, code) = lab.site.farosctl(&["balancer", "drain", "node-2", "--lift"])?;
    assert_eq!(code, 0);
    lab.wait_for("api", &["node-1", "node-2"])?;
    // An authority that did not sign the servers' certificates: none of them counts.
    let other = "  balancer:\n    apiCa: |\n      ";
    let everything = fs::read_to_string(root().join("examples/everything.yaml"))?;
    let begin = everything.find("-----BEGIN").context("a certificate")?;
    let end = everything.find("-----END CERTIFICATE-----").context("its end")? + 25;
    let other = format!("{other}{}\n  nodeDefaults:\n", &everything[begin..end]);
    lab.apply("  nodeDefaults:\n", &other)?;
    lab.wait_for("api", &[])?;
    assert!(lab.saw("backend-down", "reason", "certificate")?);
    let own = fs::read_to_string(format!("{}/ca.crt", lab.folder()))?;
    let own = own.trim().replace('\n', "\n      ");
    lab.apply(
        "  nodeDefaults:\n",
        &format!("  balancer:\n    apiCa: |\n      {own}\n  nodeDefaults:\n"),
    )?;
    lab.wait_for("api", &["node-1", "node-2"])?;
    // In a cluster that Faros makes they have certificates of the cluster's own authority, or do not count.
    let kubeadm = "  cluster: {distribution: kubeadm}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", kubeadm)?;
    lab.wait_for("api", &[])?;
    assert_eq!(lab.status()?["apiCertificates"], "ca");
    Ok(())
}

#[test]
fn machine_config_is_for_nodes_alone_and_for_openshift() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-config")?;
    let config = format!("https://{VIP}:22623/");
    lab.serve(1, 22623)?;
    let openshift = "  cluster: {distribution: openshift}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", openshift)?;
    lab.wait_for("machine-config", &["node-1"])?;
    assert_eq!(lab.ask(&node(2), &config)?, Ok("node-1 192.168.8.1".to_owned()));
    assert_eq!(lab.ask(LAPTOP, &config)?, Err(28), "not for laptops");
    // Nobody has one in another distribution, and nobody is asked for one.
    lab.apply("  nodeDefaults:\n", "  nodeDefaults:\n")?;
    let (said, _) = lab.site.farosctl(&["balancer"])?;
    assert!(!said.contains("machine-config"), "{said}");
    Ok(())
}

#[test]
fn clients_of_a_machine_that_dies_are_told_even_those_that_only_listen() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-dies")?;
    for n in [1, 2] {
        lab.start(&node(n), ECHO, &[])?;
    }
    lab.wait_for("ingress-http", &["node-1", "node-2"])?;
    // Who came in last has its full share only after a while.
    eventually("both have their share", || {
        let backends = lab.backends("ingress-http")?;
        Ok([0, 1]
            .iter()
            .all(|idx| backends[*idx]["share"].as_u64() >= Some(40)))
    })?;
    // Enough listeners that both have some.
    let logs: Vec<String> = (0..12).map(|n| format!("{}/listen-{n}", lab.folder())).collect();
    for log in &logs {
        lab.start(LAPTOP, LISTENS, &[log])?;
    }
    let read = |log: &String| fs::read_to_string(log).unwrap_or_default();
    eventually("all listen", || {
        Ok(logs.iter().all(|log| read(log).starts_with("listening")))
    })?;
    lab.site.run(&node(1), &["ip", "link", "set", "eth0", "down"])?;
    lab.wait_for("ingress-http", &["node-2"])?;
    eventually("its connections are ended", || {
        lab.saw("connections-ended", "address", "192.168.8.11:80")
    })?;
    let events = lab.site.events()?;
    let ended = events
        .iter()
        .filter(|event| event.kind.as_str() == "connections-ended");
    let ended: u64 = ended
        .filter_map(|event| event.detail["connections"].as_u64())
        .sum();
    assert!(
        ended > 0,
        "twelve listeners, and none of them at one of two servers"
    );
    let reset = || {
        logs.iter()
            .filter(|log| read(log).contains("ConnectionResetError"))
            .count()
    };
    eventually("who listens to the dead machine is told", || {
        Ok(reset() as u64 == ended)
    })?;
    let backends = lab.backends("ingress-http")?;
    let left = backends[1]["connections"].as_u64();
    assert_eq!(left, Some(12 - ended), "and nobody else: {backends:?}");
    assert!(lab.saw("backend-down", "reason", "does not answer at all")?);

    // A process that dies is noticed as well, and what flaps leaves the service served.
    lab.start(&node(3), ECHO, &[])?;
    lab.wait_for("ingress-http", &["node-2", "node-3"])?;
    for _ in 0..8 {
        lab.kill(&node(3));
        lab.wait_for("ingress-http", &["node-2"])?;
        lab.start(&node(3), ECHO, &[])?;
        let said = lab.site.said(
            LAPTOP,
            &["sh", "-c", &format!("echo hello | nc -N -w 5 {VIP} 80")],
        )?;
        assert_eq!(said.trim(), "hello");
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

#[test]
fn thousands_of_connections_outlive_farosd_and_the_rules() -> anyhow::Result<()> {
    const COUNT: usize = 10_000;
    let mut lab = Balancer::up("t-many")?;
    for n in [1, 2, 3] {
        lab.start(&node(n), ECHO, &[])?;
    }
    lab.wait_for("ingress-http", &["node-1", "node-2", "node-3"])?;
    let log = format!("{}/many", lab.folder());
    lab.start(LAPTOP, MANY, &[&COUNT.to_string(), &log])?;
    let mut rounds = 0;
    let mut ask = |lab: &mut Balancer, when: &str| -> anyhow::Result<()> {
        use std::io::Write as _;
        let (_, child) = lab.children.last_mut().context("the client")?;
        child.stdin.as_mut().context("its input")?.write_all(b"hello\n")?;
        rounds += 1;
        let lines = || {
            fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        eventually(when, || Ok(lines().len() == rounds))?;
        assert_eq!(lines()[rounds - 1], COUNT.to_string(), "{when}");
        Ok(())
    };
    ask(&mut lab, "all are there")?;
    faros_lab::daemon::stop(lab.site.lab.folder(), true)?;
    ask(&mut lab, "without farosd")?;
    // Nobody has to run for a new one, either.
    lab.site.run(LAPTOP, &["nc", "-z", "-w", "5", VIP, "80"])?;
    faros_lab::daemon::start(lab.site.lab.name(), lab.site.lab.folder())?;
    lab.site.lab.wait_until_ready()?;
    ask(&mut lab, "with the next farosd")?;
    // The rules are loaded anew, with the slots that were there.
    lab.site
        .run("bastion", &["nft", "delete", "table", "inet", "faros"])?;
    let in_map = |lab: &mut Balancer| -> anyhow::Result<usize> {
        let map = lab.site.said(
            "bastion",
            &["nft", "list", "map", "inet", "faros", "to_ingress-http"],
        )?;
        Ok(map.matches(" . 80").count())
    };
    eventually("the slots are back", || Ok(in_map(&mut lab)? == 128))?;
    ask(&mut lab, "with new rules")?;
    lab.site.run(
        "bastion",
        &["nft", "flush", "map", "inet", "faros", "to_ingress-http"],
    )?;
    eventually("the slots are back", || Ok(in_map(&mut lab)? == 128))?;
    eventually("it is told", || {
        lab.saw("router-repaired", "found", "128 slots of ingress-http")
    })?;
    // Who is out gets nothing new, and keeps what it has.
    let (_, code) = lab.site.farosctl(&["balancer", "drain", "node-3"])?;
    assert_eq!(code, 0);
    lab.wait_for("ingress-http", &["node-1", "node-2"])?;
    ask(&mut lab, "with a drained server")?;
    let backends = lab.backends("ingress-http")?;
    let sum = |key: &str| backends.iter().filter_map(|own| own[key].as_u64()).sum::<u64>();
    assert_eq!(sum("connections"), COUNT as u64, "{backends:?}");
    assert!(sum("bytesIn") > 0 && sum("bytesOut") > 0, "{backends:?}");
    Ok(())
}

#[test]
fn a_virtual_ip_that_someone_else_has_is_told_and_not_fought_over() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-taken")?;
    let other = "192.168.8.77";
    lab.site.run(
        LAPTOP,
        &["ip", "address", "add", &format!("{other}/24"), "dev", "eth0"],
    )?;
    let subnet = "    subnet: 192.168.8.0/24\n";
    lab.apply(subnet, &format!("{subnet}    addresses: {{api: {other}}}\n"))?;
    eventually("it is told", || {
        lab.saw("virtual-address-taken", "mac", "52:54:00:08:09:09")
    })?;
    let holds = |lab: &mut Balancer, address: &str| -> anyhow::Result<bool> {
        let said = lab
            .site
            .run("bastion", &["ip", "-4", "address", "show", "dev", "lan0"])?;
        Ok(said.contains(&format!("{address}/32")))
    };
    assert!(!holds(&mut lab, other)?);
    assert!(!holds(&mut lab, VIP)?, "the one of before is given back");
    let (said, _) = lab.site.farosctl(&["status"])?;
    assert!(
        said.contains("192.168.8.77 is used by 52:54:00:08:09:09"),
        "{said}"
    );
    lab.site.run(
        LAPTOP,
        &["ip", "address", "del", &format!("{other}/24"), "dev", "eth0"],
    )?;
    eventually("it is taken once it is free", || holds(&mut lab, other))?;
    // Somebody takes it away, and somebody else takes it as well: it is kept, and told. Who comes later announces
    // itself, as machines do; the bastion announces nothing against it.
    lab.site.run(
        "bastion",
        &["ip", "address", "del", &format!("{other}/32"), "dev", "lan0"],
    )?;
    eventually("it is back", || holds(&mut lab, other))?;
    let (said, _) = lab.site.farosctl(&["balancer"])?;
    assert!(said.contains("held"), "{said}");
    let held = |lab: &Balancer| -> anyhow::Result<usize> {
        let events = lab.site.events()?;
        let own = events
            .iter()
            .filter(|event| event.kind.as_str() == "virtual-address-held");
        Ok(own.filter(|event| event.detail["address"] == other).count())
    };
    let before = held(&lab)?;
    let thief =
        format!("ip address add {other}/24 dev eth0 && arping -q -c 1 -U -I eth0 {other} || test $? -eq 1");
    lab.site.run(LAPTOP, &["sh", "-c", &thief])?;
    eventually("it is told", || {
        let events = lab.site.events()?;
        let mut taken = events
            .iter()
            .filter(|event| event.kind.as_str() == "virtual-address-taken");
        Ok(taken.any(|event| event.detail["held"] == true && event.detail["mac"] == "52:54:00:08:09:09"))
    })?;
    let (said, _) = lab.site.farosctl(&["status"])?;
    assert!(
        said.contains("192.168.8.77 is used by 52:54:00:08:09:09 as well"),
        "{said}"
    );
    assert!(holds(&mut lab, other)?, "it is kept");
    assert_eq!(held(&lab)?, before, "and not taken anew");
    lab.site.run(
        LAPTOP,
        &["ip", "address", "del", &format!("{other}/24"), "dev", "eth0"],
    )?;
    eventually("the other has let go of it", || {
        let (said, _) = lab.site.farosctl(&["status"])?;
        Ok(!said.contains("is used by"))
    })?;
    // The bastion's own address does as well, and then none is held beside it.
    lab.serve(1, 80)?;
    let own = "    addresses: {bastion: 192.168.8.1, api: 192.168.8.1}\n";
    lab.apply(subnet, &format!("{subnet}{own}"))?;
    lab.wait_for("ingress-http", &["node-1"])?;
    let said = lab.ask(LAPTOP, "http://192.168.8.1/")?;
    assert_eq!(said, Ok("node-1 192.168.8.1".to_owned()));
    assert!(!holds(&mut lab, other)?);
    Ok(())
}

#[test]
fn haproxy_and_keepalived_take_what_is_rendered_for_them() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-render")?;
    let folder = lab.folder();
    for example in ["three-nodes", "everything", "smallest", "branch-office"] {
        let file = root()
            .join(format!("examples/{example}.yaml"))
            .display()
            .to_string();
        for program in ["haproxy", "keepalived"] {
            let (text, code) = lab.site.farosctl(&["render", program, &file])?;
            ensure!(code == 0, "{text}");
            // The authority's certificates, and an interface, that are there.
            let text = text.replace("/etc/haproxy/api-ca.crt", &format!("{folder}/ca.crt"));
            let text = ["enp2s0", "faros-lan"]
                .iter()
                .fold(text, |text, own| text.replace(own, "lan0"));
            let path = format!("{folder}/{example}.{program}");
            fs::write(&path, text)?;
            let said = match program {
                "haproxy" => lab.site.run("bastion", &["haproxy", "-c", "-f", &path]),
                _ => lab
                    .site
                    .run("bastion", &["keepalived", "--config-test", "-f", &path]),
            };
            said.with_context(|| fs::read_to_string(&path).unwrap_or_default())?;
        }
    }
    // And HAProxy does with it what the bastion does.
    lab.serve(1, 80)?;
    let off = "  services: {balancer: {enabled: false}}\n  nodeDefaults:\n";
    lab.apply("  nodeDefaults:\n", off)?;
    lab.site.run(
        "bastion",
        &["ip", "address", "add", "192.168.8.2/32", "dev", "lan0"],
    )?;
    let namespace = lab.site.lab.host("bastion")?.1.namespace;
    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        &namespace,
        "haproxy",
        "-db",
        "-f",
        &format!("{folder}/three-nodes.haproxy"),
    ]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    lab.children.push(("bastion".to_owned(), child));
    eventually("HAProxy leads to the node", || {
        let said = lab.ask("bastion", &format!("http://{VIP}/"))?;
        Ok(said.is_ok_and(|said| said.starts_with("node-1 ")))
    })
}
