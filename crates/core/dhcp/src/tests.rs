//! Scripts of messages and what comes of them, at the smallest site with a printer beside it.

use std::{fmt::Write as _, net::Ipv4Addr, sync::Arc};

use expect_test::{Expect, expect};
use faros_model::{
    event::EventKind,
    ids::MacAddr,
    lease::{Lease, LeaseState},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

mod rfc2131;

const SITE: &str = "
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

pub(crate) fn tables() -> Arc<Tables> {
    Arc::new(Tables::compile(&faros_site::load(SITE).unwrap().site))
}

/// A message as a script line writes it: `discover aa`, `request aa server=… want=… from=…`.
///
/// A client is the last octet of its MAC in hexadecimal. Further words: `ipxe`, `pxe=ARCH`, `http=ARCH`,
/// `broadcast`, `relay=ADDRESS`, `id=TEXT`, `answer` (the message comes from a server).
fn message(line: &str) -> Vec<u8> {
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
fn run(server: &mut Server, script: &str) -> String {
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
                    if matches!(
                        sighting.kind.as_str(),
                        "rogue-dhcp-server" | "address-conflict" | "machine-discovered"
                    ) {
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
pub(crate) fn check(script: &str, expected: Expect) {
    expected.assert_eq(&run(&mut Server::new(tables(), vec![]), script));
}

#[test]
fn a_node_gets_its_own_address_and_what_its_firmware_can_load() {
    check(
        "discover 01 pxe=0
         discover 01 pxe=7
         discover 01 pxe=9
         discover 01 pxe=11
         discover 01 pxe=6
         discover 01 http=16
         discover 01 http=19
         discover 01 pxe=7 ipxe
         discover 01",
        expect![[r"
            discover 01 pxe=0
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot undionly.kpxe class PXEClient
            discover 01 pxe=7
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot snponly.efi class PXEClient
            discover 01 pxe=9
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot snponly.efi class PXEClient
            discover 01 pxe=11
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot snponly-arm64.efi class PXEClient
            discover 01 pxe=6
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
            discover 01 http=16
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot http://192.168.8.1:8080/loader/ipxe.efi class HTTPClient
            discover 01 http=19
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot http://192.168.8.1:8080/loader/ipxe-arm64.efi class HTTPClient
            discover 01 pxe=7 ipxe
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11 boot http://192.168.8.1:8080/boot/02-00-00-00-00-01.ipxe
            discover 01
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
        "]],
    );
}

#[test]
fn a_stranger_gets_an_address_that_nobody_uses_and_nothing_to_boot() {
    check(
        "in-use
         discover aa pxe=7
         request aa server=192.168.8.1 want=192.168.8.201",
        expect![[r"
            discover aa pxe=7
              saw machine-discovered
              probe 192.168.8.200
              saw address-conflict
              disk 192.168.8.200 02:00:00:00:00:99 Declined
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:aa/192.168.8.201
            request aa server=192.168.8.1 want=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:aa Active
              -> Ack 192.168.8.201 to 02:00:00:00:00:aa/192.168.8.201
        "]],
    );
}

#[test]
fn a_returning_client_keeps_its_address_and_an_empty_pool_is_silent() {
    check(
        "discover aa
         request aa server=192.168.8.1 want=192.168.8.200
         discover bb
         request bb server=192.168.8.1 want=192.168.8.201
         discover cc
         request cc server=192.168.8.1 want=192.168.8.202
         discover dd
         release bb from=192.168.8.201
         discover aa
         discover dd
         request dd server=192.168.8.1 want=192.168.8.201
         discover bb",
        expect![[r"
            discover aa
              saw machine-discovered
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            request aa server=192.168.8.1 want=192.168.8.200
              disk 192.168.8.200 02:00:00:00:00:aa Active
              -> Ack 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover bb
              saw machine-discovered
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:bb/192.168.8.201
            request bb server=192.168.8.1 want=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:bb Active
              -> Ack 192.168.8.201 to 02:00:00:00:00:bb/192.168.8.201
            discover cc
              saw machine-discovered
              probe 192.168.8.202
              -> Offer 192.168.8.202 to 02:00:00:00:00:cc/192.168.8.202
            request cc server=192.168.8.1 want=192.168.8.202
              disk 192.168.8.202 02:00:00:00:00:cc Active
              -> Ack 192.168.8.202 to 02:00:00:00:00:cc/192.168.8.202
            discover dd
              saw machine-discovered
              silent: dhcp_pool_empty
            release bb from=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:bb Released
              silent: dhcp_noted
            discover aa
              saw machine-discovered
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover dd
              saw machine-discovered
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:dd/192.168.8.201
            request dd server=192.168.8.1 want=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:dd Active
              -> Ack 192.168.8.201 to 02:00:00:00:00:dd/192.168.8.201
            discover bb
              saw machine-discovered
              silent: dhcp_pool_empty
        "]],
    );
}

#[test]
fn another_server_is_reported_once_in_a_while() {
    check(
        "request aa server=192.168.8.250 want=192.168.8.5
         request aa server=192.168.8.250 want=192.168.8.5
         offer bb server=192.168.8.251
         offer bb server=192.168.8.1
         wait 301
         request aa server=192.168.8.250 want=192.168.8.5",
        expect![[r"
            request aa server=192.168.8.250 want=192.168.8.5
              saw rogue-dhcp-server
              silent: dhcp_other_server
            request aa server=192.168.8.250 want=192.168.8.5
              silent: dhcp_other_server
            offer bb server=192.168.8.251
              saw rogue-dhcp-server
              silent: dhcp_from_server
            offer bb server=192.168.8.1
            request aa server=192.168.8.250 want=192.168.8.5
              saw rogue-dhcp-server
              silent: dhcp_other_server
        "]],
    );
}

#[test]
fn what_must_not_be_answered_is_not() {
    check(
        "discover ee
         discover aa relay=10.0.0.1
         discover 00",
        expect![[r"
            discover ee
              silent: dhcp_ignored_mac
            discover aa relay=10.0.0.1
              silent: dhcp_foreign_relay
            discover 00
              saw machine-discovered
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:00/192.168.8.200
        "]],
    );
}

#[test]
fn nothing_is_acknowledged_that_is_not_on_disk() {
    let mut server = Server::new(tables(), vec![]);
    let effects = server.on_datagram(Timestamp::UNIX_EPOCH, &message("request 01 want=192.168.8.11"));
    let commit = effects.iter().find_map(|effect| match effect {
        Effect::Commit { ticket, .. } => Some(*ticket),
        _ => None,
    });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send { .. })));
    assert_eq!(
        server.on_committed(commit.unwrap(), false),
        [Effect::Ignore(Ignored::NotStored)]
    );
}

#[test]
fn the_boot_file_stands_in_the_header_too_and_long_values_in_pieces() {
    let mut server = Server::new(tables(), vec![]);
    let effects = server.on_datagram(Timestamp::UNIX_EPOCH, &message("discover 01 pxe=0 broadcast"));
    let Some(Effect::Send { to, bytes }) = effects.iter().find(|e| matches!(e, Effect::Send { .. })) else {
        panic!("{effects:?}")
    };
    assert_eq!(*to, Destination::Broadcast);
    assert_eq!(&bytes[108..121], b"undionly.kpxe");
    assert_eq!(&bytes[20..24], &[192, 168, 8, 1]);
    assert!(bytes.len() >= 300);
}

#[test]
fn options_are_joined_and_read_from_the_header_fields() {
    let mut bytes = message("discover 01");
    bytes.pop();
    bytes.extend([52, 1, 3, 12, 2, b'a', b'b', 12, 1, b'c', 255]);
    bytes[108..113].copy_from_slice(&[12, 1, b'd', 255, 9]);
    bytes[44..48].copy_from_slice(&[12, 1, b'e', 255]);
    assert_eq!(
        Message::parse(&bytes).unwrap().text(opt::HOST_NAME).as_deref(),
        Some("abcde")
    );
    bytes[108..111].copy_from_slice(&[12, 200, 1]);
    assert_eq!(Message::parse(&bytes), Err(Malformed::Options));
}

#[test]
fn a_uuid_is_shown_as_smbios_does() {
    let mut bytes = message("discover 01");
    bytes.pop();
    bytes.extend([97, 17, 0]);
    bytes.extend([
        0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    ]);
    let uuid = Message::parse(&bytes).unwrap().uuid();
    assert_eq!(uuid.as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
}

#[test]
fn a_client_that_asks_again_during_a_probe_is_answered_once_and_as_it_asked_last() {
    let mut server = Server::new(tables(), vec![]);
    let now = Timestamp::UNIX_EPOCH;
    let probe = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Probe { ticket, .. } => Some(*ticket),
            _ => None,
        })
    };
    let first = probe(&server.on_datagram(now, &message("discover aa"))).unwrap();
    let again = server.on_datagram(now, &message("discover aa broadcast"));
    assert!(again.contains(&Effect::Ignore(Ignored::Probing)));
    assert_eq!(probe(&again), None);
    let effects = server.on_probed(now, first, None);
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, .. } => Some(*to),
        _ => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), [Destination::Broadcast]);
}

#[test]
fn an_address_that_was_left_alone_for_long_is_probed_again() {
    check(
        "request aa server=192.168.8.1 want=192.168.8.200
         discover aa
         wait 89000
         discover aa
         wait 4000
         discover aa
         wait 61
         discover aa",
        expect![[r"
            request aa server=192.168.8.1 want=192.168.8.200
              disk 192.168.8.200 02:00:00:00:00:aa Active
              -> Ack 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              saw machine-discovered
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              saw machine-discovered
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              saw machine-discovered
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              saw machine-discovered
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
        "]],
    );
}

#[test]
fn only_who_holds_an_address_can_spoil_it() {
    check(
        "decline bb server=192.168.8.1 want=192.168.8.200
         request aa server=192.168.8.1 want=192.168.8.200
         decline bb server=192.168.8.1 want=192.168.8.200
         decline aa server=192.168.8.250 want=192.168.8.200
         release aa server=192.168.8.250 from=192.168.8.200
         decline aa server=192.168.8.1 want=192.168.8.200
         discover aa
         decline 01 server=192.168.8.1 want=192.168.8.11
         discover 01",
        expect![[r"
            decline bb server=192.168.8.1 want=192.168.8.200
              silent: dhcp_noted
            request aa server=192.168.8.1 want=192.168.8.200
              disk 192.168.8.200 02:00:00:00:00:aa Active
              -> Ack 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            decline bb server=192.168.8.1 want=192.168.8.200
              silent: dhcp_noted
            decline aa server=192.168.8.250 want=192.168.8.200
              silent: dhcp_other_server
            release aa server=192.168.8.250 from=192.168.8.200
              silent: dhcp_other_server
            decline aa server=192.168.8.1 want=192.168.8.200
              saw address-conflict
              disk 192.168.8.200 02:00:00:00:00:aa Declined
              silent: dhcp_noted
            discover aa
              saw machine-discovered
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:aa/192.168.8.201
            decline 01 server=192.168.8.1 want=192.168.8.11
              saw address-conflict
              silent: dhcp_noted
            discover 01
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
        "]],
    );
}

#[test]
fn a_machine_is_known_by_its_conventional_client_identifier_too() {
    let mut server = Server::new(tables(), vec![]);
    let mut bytes = message("discover aa");
    bytes.pop();
    bytes.extend([61, 7, 1, 2, 0, 0, 0, 0, 1, 255]);
    let effects = server.on_datagram(Timestamp::UNIX_EPOCH, &bytes);
    let Some(Effect::Send { bytes, .. }) = effects.iter().find(|e| matches!(e, Effect::Send { .. })) else {
        panic!("{effects:?}")
    };
    let reply = Message::parse(bytes).unwrap();
    assert_eq!(reply.yiaddr, Ipv4Addr::new(192, 168, 8, 11));
    assert_eq!(
        reply.options.get(&opt::CLIENT_ID).unwrap(),
        &[1, 2, 0, 0, 0, 0, 1]
    );
    assert_eq!(
        reply.text(opt::BOOT_FILE),
        None,
        "the boot script has another name"
    );
}

#[test]
fn an_address_that_a_stranger_still_has_is_not_given_to_its_new_owner() {
    let stranger = Lease {
        address: Ipv4Addr::new(192, 168, 8, 11),
        mac: MacAddr([2, 0, 0, 0, 0, 0xaa]),
        client_id: None,
        hostname: None,
        state: LeaseState::Active,
        since: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
    };
    let mut server = Server::new(tables(), vec![stranger]);
    let shown = run(
        &mut server,
        "request 01 want=192.168.8.11
         in-use
         discover 01
         discover 01
         request 01 server=192.168.8.1 want=192.168.8.11
         request aa from=192.168.8.11",
    );
    expect![[r"
        request 01 want=192.168.8.11
          -> Nak 0.0.0.0 to all (02:00:00:00:00:aa still has it)
        discover 01
          probe 192.168.8.11
          saw address-conflict
          silent: dhcp_address_in_use
        discover 01
          probe 192.168.8.11
          -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
        request 01 server=192.168.8.1 want=192.168.8.11
          disk 192.168.8.11 02:00:00:00:00:01 Active
          -> Ack 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
        request aa from=192.168.8.11
          -> Nak 0.0.0.0 to all (it is kept for another machine)
    "]]
    .assert_eq(&shown);
}

#[test]
fn a_full_pool_of_the_largest_size_answers_as_fast_as_an_empty_one() {
    let text = SITE.replace("192.168.8.60", "10.0.0.60").replace(
        "dynamicRange: 192.168.8.200-192.168.8.202",
        "subnet: 10.0.0.0/14\n    dynamicRange: 10.1.0.0-10.3.255.250",
    );
    let text = text.replace("  nodes:\n", "  cluster: {distribution: none}\n  nodes:\n");
    let tables = Arc::new(Tables::compile(&faros_site::load(&text).unwrap().site));
    let mut server = Server::new(tables, vec![]);
    let now = Timestamp::UNIX_EPOCH;
    let mut empty = 0;
    for client in 0_u32..70_000 {
        let mut bytes = message("discover 00");
        bytes[30..34].copy_from_slice(&client.to_be_bytes());
        let mut todo = server.on_datagram(now, &bytes);
        while let Some(effect) = todo.pop() {
            match effect {
                Effect::Probe { ticket, .. } => todo.extend(server.on_probed(now, ticket, None)),
                Effect::Ignore(Ignored::PoolEmpty) => empty += 1,
                Effect::Send { .. } | Effect::Saw(_) | Effect::Commit { .. } | Effect::Ignore(_) => (),
            }
        }
    }
    // The node, the printer and the ignored machine are among the clients.
    assert_eq!(empty, 70_000 - 65_536 - 3);
}

#[test]
fn an_acknowledgment_is_told_with_the_keys_that_its_kind_names() {
    let mut server = Server::new(tables(), vec![]);
    let asked = server.on_datagram(
        Timestamp::UNIX_EPOCH,
        &message("request 01 pxe=0 server=192.168.8.1 want=192.168.8.11"),
    );
    let commit = asked.iter().find_map(|effect| match effect {
        Effect::Commit { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let told = server.on_committed(commit.unwrap(), true);
    let Some(Effect::Saw(sighting)) = told.last() else {
        panic!("{told:?}")
    };
    assert_eq!(sighting.kind, EventKind::DhcpAck);
    assert!(sighting.mac.is_some() && sighting.address.is_some());
    let keys: Vec<_> = sighting.detail.keys().map(String::as_str).collect();
    assert_eq!(keys, ["address", "bootFile", "leaseSeconds", "mac"]);
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(
        options in proptest::collection::btree_map(100_u8..250, proptest::collection::vec(any::<u8>(), 1..600), 0..3),
    ) {
        let mut asked = Message::parse(&message("discover 01 relay=192.168.8.3 id=me")).unwrap();
        asked.options.insert(opt::MAX_SIZE, 1500_u16.to_be_bytes().to_vec());
        let server = Ipv4Addr::new(192, 168, 8, 1);
        let mut reply = reply::Reply::new(&asked, MessageType::Offer, server, Ipv4Addr::new(192, 168, 8, 11));
        let (mut room, mut fits) = (1500 - 28 - 240 - 40, std::collections::BTreeMap::new());
        for (code, value) in options {
            let needed = value.len() + 2 * value.len().div_ceil(255);
            if needed < room {
                room -= needed;
                reply.option(code, value.clone());
                fits.insert(code, value);
            }
        }
        let bytes = reply.encode();
        prop_assert!(bytes.ends_with(&[255]) || bytes.len() == 300, "the end comes last");
        let read = Message::parse(&bytes).unwrap();
        prop_assert_eq!((read.op, read.xid, read.mac, read.giaddr), (2, asked.xid, asked.mac, asked.giaddr));
        for code in [opt::CLIENT_ID, opt::RELAY] {
            prop_assert_eq!(read.options.get(&code), asked.options.get(&code));
        }
        for (code, value) in &fits {
            prop_assert_eq!(read.options.get(code), Some(value));
        }
    }

    #[test]
    fn no_bytes_confuse_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::message(&bytes);
        let mut whole = message("discover 01");
        whole.pop();
        whole.extend(&bytes);
        fuzz::message(&whole);
    }

    #[test]
    fn no_datagrams_confuse_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz::server(&tables(), &bytes);
    }

    /// Clients come, go, ask for what they like, and the server dies in between and goes on from what was
    /// on disk: never do two clients hold one acknowledged address at the same time.
    #[test]
    fn no_address_is_given_twice(steps in proptest::collection::vec((0_u8..6, 0_u8..6, 0_u8..5, any::<bool>()), 1..80)) {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut server = Server::new(tables(), vec![]);
        let mut disk: std::collections::HashMap<Ipv4Addr, Lease> = std::collections::HashMap::new();
        let mut held: std::collections::HashMap<Ipv4Addr, (MacAddr, Timestamp)> = std::collections::HashMap::new();
        for (what, client, address, stored) in steps {
            now += SignedDuration::from_secs(20_000);
            let client = format!("{:02x}", 0xa0 + client);
            let address = Ipv4Addr::new(192, 168, 8, 199 + address);
            let line = match what {
                0 => format!("discover {client} want={address}"),
                1 => format!("request {client} server=192.168.8.1 want={address}"),
                2 => format!("request {client} from={address}"),
                3 => format!("release {client} from={address}"),
                4 => format!("decline {client} want={address} server=192.168.8.1"),
                _ => {
                    server = Server::new(tables(), disk.values().cloned().collect());
                    continue;
                }
            };
            let mut todo = server.on_datagram(now, &message(&line));
            while let Some(effect) = todo.pop() {
                match effect {
                    Effect::Commit { ticket, lease } => {
                        // A client that gave its address back does not hold it, whatever the disk says.
                        if lease.state != LeaseState::Active {
                            held.remove(&lease.address);
                        }
                        if stored {
                            disk.insert(lease.address, lease);
                        }
                        todo.extend(server.on_committed(ticket, stored));
                    }
                    Effect::Probe { ticket, .. } => todo.extend(server.on_probed(now, ticket, None)),
                    Effect::Send { bytes, .. } => {
                        let reply = Message::parse(&bytes).unwrap();
                        if reply.kind == MessageType::Ack {
                            let until = now + SignedDuration::from_hours(24);
                            let before = held.insert(reply.yiaddr, (reply.mac, until));
                            let double = before.filter(|(mac, until)| *mac != reply.mac && *until > now);
                            prop_assert!(double.is_none(), "{} was {double:?}'s", reply.yiaddr);
                        }
                    }
                    Effect::Saw(_) | Effect::Ignore(_) => (),
                }
            }
        }
    }
}
