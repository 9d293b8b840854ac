//! Scripts of messages and what comes of them, at the smallest site with a printer beside it.

use std::{fmt::Write as _, net::Ipv4Addr, sync::Arc};

use expect_test::Expect;
use faros_model::ids::MacAddr;
use jiff::{SignedDuration, Timestamp};

use crate::{Destination, Effect, Message, Server, Tables, opt};

pub(super) const SITE: &str = "
apiVersion: faros.dev/v1alpha1
kind: Site
metadata: {name: kiosk}
spec:
  domain: edge.example.com
  sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample]
  uplink: {interface: up0}
  lan:
    interfaces: [lan0]
    dynamicRange: 192.168.8.200-192.168.8.202
    ignoredMacs: ['02:00:00:00:00:ee']
    hosts: [{name: printer, mac: '02:00:00:00:00:f0', address: 192.168.8.60}]
  nodes:
    - {name: node-1, bootMac: '02:00:00:00:00:01', installDisk: /dev/disk/by-id/x}
";

pub(super) fn tables() -> Arc<Tables> {
    Arc::new(Tables::compile(&faros_site::load(SITE).unwrap().site))
}

/// A message as a script line writes it: `discover aa`, `request aa server=… want=… from=…`.
///
/// A client is the last octet of its MAC in hexadecimal. Further words: `ipxe`, `pxe=ARCH`, `http=ARCH`,
/// `broadcast`, `relay=ADDRESS`, `id=TEXT`, `ask=CODES` (the options it wants, commas between).
pub(super) fn message(line: &str) -> Vec<u8> {
    let mut words = line.split_whitespace();
    let kind = match words.next().unwrap() {
        "discover" => 1,
        "offer" => 2,
        "request" => 3,
        "decline" => 4,
        "ack" => 5,
        "release" => 7,
        "inform" => 8,
        other => panic!("{other}"),
    };
    let client = u8::from_str_radix(words.next().unwrap(), 16).unwrap();
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[if matches!(kind, 2 | 5) { 2 } else { 1 }, 1, 6, 0]);
    bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, kind]);
    let address = |text: &str| text.parse::<Ipv4Addr>().unwrap().octets();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "server" => bytes.extend([54, 4].into_iter().chain(address(value))),
            "want" => bytes.extend([50, 4].into_iter().chain(address(value))),
            "from" => bytes[12..16].copy_from_slice(&address(value)),
            "relay" => {
                bytes[24..28].copy_from_slice(&address(value));
                bytes.extend([82, 3, 1, 1, 7]);
            }
            "broadcast" => bytes[10] = 0x80,
            "id" => {
                bytes.extend([61, u8::try_from(value.len()).unwrap()]);
                bytes.extend(value.bytes());
            }
            "ask" => {
                let codes: Vec<u8> = value.split(',').map(|code| code.parse().unwrap()).collect();
                bytes.extend([55, u8::try_from(codes.len()).unwrap()]);
                bytes.extend(codes);
            }
            "ipxe" => bytes.extend([77, 4].into_iter().chain(*b"iPXE")),
            "pxe" | "http" => {
                let class: &[u8] = if key == "pxe" {
                    b"PXEClient:Arch"
                } else {
                    b"HTTPClient:Arch"
                };
                bytes.extend([60, u8::try_from(class.len()).unwrap()]);
                bytes.extend(class);
                bytes.extend([93, 2, 0, value.parse().unwrap()]);
            }
            other => panic!("{other}"),
        }
    }
    bytes.push(255);
    bytes
}

/// Shows what comes of a script. Lines: a message, `wait SECONDS`, or `in-use` (the next probe is answered).
pub(super) fn run(server: &mut Server, script: &str) -> String {
    let mut now = Timestamp::UNIX_EPOCH;
    let mut in_use = false;
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(seconds) = line.strip_prefix("wait ") {
            now += SignedDuration::from_secs(seconds.parse().unwrap());
            continue;
        }
        if line == "in-use" {
            in_use = true;
            continue;
        }
        writeln!(out, "{line}").unwrap();
        let mut todo = std::collections::VecDeque::from(server.on_datagram(now, &message(line)));
        while let Some(effect) = todo.pop_front() {
            let more = match effect {
                Effect::Send { to, bytes } => {
                    writeln!(out, "  -> {}", show(to, &bytes)).unwrap();
                    vec![]
                }
                Effect::Commit { ticket, lease } => {
                    writeln!(out, "  disk {} {} {:?}", lease.address, lease.mac, lease.state).unwrap();
                    server.on_committed(ticket, true)
                }
                Effect::Probe { ticket, address } => {
                    writeln!(out, "  probe {address}").unwrap();
                    let by = std::mem::take(&mut in_use).then_some(MacAddr([2, 0, 0, 0, 0, 0x99]));
                    server.on_probed(now, ticket, by)
                }
                Effect::Saw(sighting) => {
                    if matches!(sighting.kind.as_str(), "rogue-dhcp-server" | "address-conflict") {
                        writeln!(out, "  saw {}", sighting.kind).unwrap();
                    }
                    vec![]
                }
                Effect::Ignore(why) => {
                    writeln!(out, "  silent: {}", why.label()).unwrap();
                    vec![]
                }
            };
            todo.extend(more);
        }
    }
    out
}

fn show(to: Destination, bytes: &[u8]) -> String {
    let reply = Message::parse(bytes).unwrap();
    let to = match to {
        Destination::Broadcast => "all".to_owned(),
        Destination::Unconfigured { address, mac } => format!("{mac}/{address}"),
        Destination::Client(address) => address.to_string(),
        Destination::Relay(address) => format!("relay {address}"),
    };
    let mut out = format!("{:?} {} to {to}", reply.kind, reply.yiaddr);
    if let Some(file) = reply.text(opt::BOOT_FILE) {
        write!(out, " boot {file}").unwrap();
    }
    if let Some(class) = reply.text(opt::VENDOR_CLASS) {
        write!(out, " class {class}").unwrap();
    }
    if let Some(why) = reply.text(opt::MESSAGE) {
        write!(out, " ({why})").unwrap();
    }
    out
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes values")]
pub(super) fn check(script: &str, expected: Expect) {
    expected.assert_eq(&run(&mut Server::new(tables(), vec![]), script));
}
