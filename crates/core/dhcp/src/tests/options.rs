//! Every option of an answer, with its value.

use std::{fmt::Write as _, net::Ipv4Addr, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;

use super::script::{SITE, message};
use crate::{Effect, Message, Server, Tables, opt};

/// What clients ask for, taken together.
const ASK: &str = "ask=1,3,6,12,15,26,28,42,51,54,58,59,66,67,119,121";

/// The one answer to a message that `site` gives, the lease of an acknowledgment being stored.
fn answer(site: &str, line: &str) -> Message {
    let tables = Tables::compile(&faros_site::load(site).unwrap().site);
    let mut server = Server::new(Arc::new(tables), vec![]);
    let mut effects = server.on_datagram(Timestamp::UNIX_EPOCH, &message(line));
    let ticket = effects.iter().find_map(|effect| match effect {
        Effect::Commit { ticket, .. } => Some(*ticket),
        _ => None,
    });
    if let Some(ticket) = ticket {
        effects = server.on_committed(ticket, true);
    }
    let sent: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect();
    let [bytes] = sent[..] else { panic!("{effects:?}") };
    Message::parse(bytes).unwrap()
}

/// An option's value as its RFC reads it.
fn value(code: u8, bytes: &[u8]) -> String {
    match code {
        opt::SUBNET_MASK | opt::ROUTER | opt::DNS | opt::BROADCAST | opt::NTP | opt::SERVER_ID => {
            Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap()).to_string()
        }
        opt::LEASE_TIME | opt::RENEWAL | opt::REBINDING => {
            format!("{} s", u32::from_be_bytes(bytes.try_into().unwrap()))
        }
        opt::MTU => u16::from_be_bytes(bytes.try_into().unwrap()).to_string(),
        opt::SEARCH | opt::ROUTES | opt::VENDOR => bytes.escape_ascii().to_string(),
        _ => std::str::from_utf8(bytes).unwrap().to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes values")]
fn check(site: &str, line: &str, expected: Expect) {
    let answer = answer(site, line);
    let mut out = format!("{:?} your address {}\n", answer.kind, answer.yiaddr);
    for (code, bytes) in answer.options.iter() {
        writeln!(out, "{code:>3} {}", value(code, bytes)).unwrap();
    }
    expected.assert_eq(&out);
}

#[test]
fn a_node_is_told_all_that_it_asks_for() {
    check(
        SITE,
        &format!("request 01 server=192.168.8.1 want=192.168.8.11 pxe=7 {ASK}"),
        expect![[r"
            Ack your address 192.168.8.11
              1 255.255.255.0
              3 192.168.8.1
              6 192.168.8.1
             12 node-1
             15 kiosk.edge.example.com
             26 1500
             28 192.168.8.255
             42 192.168.8.1
             43 \x06\x01\x08\xff
             51 86400 s
             54 192.168.8.1
             58 43200 s
             59 75600 s
             60 PXEClient
             66 192.168.8.1
             67 snponly.efi
            119 \x05kiosk\x04edge\x07example\x03com\x00
            121 \x00\xc0\xa8\x08\x01
        "]],
    );
}

#[test]
fn a_client_that_asks_for_nothing_is_told_what_every_client_understands() {
    check(
        SITE,
        "request f0 server=192.168.8.1 want=192.168.8.60",
        expect![[r"
            Ack your address 192.168.8.60
              1 255.255.255.0
              3 192.168.8.1
              6 192.168.8.1
             12 printer
             15 kiosk.edge.example.com
             26 1500
             28 192.168.8.255
             42 192.168.8.1
             51 86400 s
             54 192.168.8.1
             58 43200 s
             59 75600 s
        "]],
    );
}

#[test]
fn without_mask_router_and_resolver_a_client_is_lost_whether_it_asked_or_not() {
    check(
        SITE,
        "request f0 server=192.168.8.1 want=192.168.8.60 ask=26",
        expect![[r"
            Ack your address 192.168.8.60
              1 255.255.255.0
              3 192.168.8.1
              6 192.168.8.1
             26 1500
             51 86400 s
             54 192.168.8.1
             58 43200 s
             59 75600 s
        "]],
    );
}

#[test]
fn the_mtu_is_the_lan_s() {
    let narrow = SITE.replace("interfaces: [lan0]", "interfaces: [lan0]\n    mtu: 1400");
    check(
        &narrow,
        "discover 01 ask=26",
        expect![[r"
        Offer your address 192.168.8.11
          1 255.255.255.0
          3 192.168.8.1
          6 192.168.8.1
         26 1400
         51 86400 s
         54 192.168.8.1
         58 43200 s
         59 75600 s
    "]],
    );
}

/// RFC 2131 section 4.3.5: there is no lease, so there are no times of one, and no address.
#[test]
fn who_has_an_address_already_is_told_of_the_network_and_of_no_lease() {
    check(
        SITE,
        &format!("inform 01 from=192.168.8.11 {ASK}"),
        expect![[r"
            Ack your address 0.0.0.0
              1 255.255.255.0
              3 192.168.8.1
              6 192.168.8.1
             12 node-1
             15 kiosk.edge.example.com
             26 1500
             28 192.168.8.255
             42 192.168.8.1
             54 192.168.8.1
            119 \x05kiosk\x04edge\x07example\x03com\x00
            121 \x00\xc0\xa8\x08\x01
        "]],
    );
}
