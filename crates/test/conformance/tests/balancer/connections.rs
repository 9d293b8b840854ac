//! What becomes of connections when servers, farosd or the rules go away.

use std::{fs, thread, time::Duration};

use anyhow::Context as _;
use faros_conformance::eventually;

use crate::world::{Balancer, LAPTOP, VIP, node};

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
        let (_, client) = lab.programs.last_mut().context("the client")?;
        client
            .0
            .stdin
            .as_mut()
            .context("its input")?
            .write_all(b"hello\n")?;
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
