//! What a client is told besides its address, who is told nothing, and what the site hears of it.

use std::net::Ipv4Addr;

use expect_test::expect;
use faros_model::event::EventKind;
use jiff::Timestamp;
use proptest::prelude::*;

use super::script::{check, message, tables};
use crate::{Effect, Message, Server, fuzz, opt};

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
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:00/192.168.8.200
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
    assert_eq!(reply.options.get(opt::CLIENT_ID).unwrap(), &[1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(
        reply.text(opt::BOOT_FILE),
        None,
        "the boot script has another name"
    );
}

#[test]
fn a_machine_of_the_site_is_known_by_its_mac_whatever_it_calls_itself_and_by_no_other_identifier() {
    check(
        "discover 01 id=firmware
         request 01 id=firmware server=192.168.8.1 want=192.168.8.11
         discover 01 id=system
         discover aa id=firmware",
        expect![[r"
            discover 01 id=firmware
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
            request 01 id=firmware server=192.168.8.1 want=192.168.8.11
              disk 192.168.8.11 02:00:00:00:00:01 Active
              -> Ack 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
            discover 01 id=system
              -> Offer 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
            discover aa id=firmware
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
        "]],
    );
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
    fn no_datagrams_confuse_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz::server(&tables(), &bytes);
    }
}

#[test]
fn in_a_flood_of_strangers_it_is_told_who_has_what_and_little_more() {
    let mut server = Server::new(tables(), vec![]);
    let mut told = |at: i64, line: &str| -> Vec<EventKind> {
        let now = Timestamp::from_second(at).unwrap();
        let mut effects = server.on_datagram(now, &message(line));
        let mut kinds = vec![];
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Commit { ticket, .. } => effects.extend(server.on_committed(ticket, true)),
                Effect::Probe { ticket, .. } => effects.extend(server.on_probed(now, ticket, None)),
                Effect::Saw(sighting) => kinds.push(sighting.kind),
                Effect::Send { .. } | Effect::Ignore(_) => (),
            }
        }
        kinds
    };
    let all = [
        EventKind::DhcpOffer,
        EventKind::DhcpDiscover,
        EventKind::DhcpRequest,
        EventKind::DhcpAck,
    ];
    let mut exchange = |at: i64, who: &str, want: &str| {
        let mut kinds = told(at, &format!("discover {who}"));
        let mut second = told(at, &format!("request {who} server=192.168.8.1 want={want}"));
        second.sort_by_key(|kind| *kind == EventKind::DhcpAck);
        kinds.extend(second);
        kinds
    };
    assert_eq!(exchange(0, "aa", "192.168.8.200"), all);
    for _ in 0..300 {
        exchange(1, "bb", "192.168.8.201");
    }
    assert_eq!(
        exchange(2, "cc", "192.168.8.202"),
        [EventKind::DhcpDiscover, EventKind::DhcpAck]
    );
    assert_eq!(exchange(2, "01", "192.168.8.11"), all, "a node");
    assert_eq!(exchange(60, "cc", "192.168.8.202"), all, "a minute later");
}
