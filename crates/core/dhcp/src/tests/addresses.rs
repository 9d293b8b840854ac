//! Who gets which address, who keeps it, and that nobody else does.

use std::{net::Ipv4Addr, sync::Arc};

use expect_test::expect;
use faros_model::{
    ids::MacAddr,
    lease::{Lease, LeaseState},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::script::{SITE, check, message, run, tables};
use crate::{Destination, Effect, Ignored, Message, MessageType, Server, Tables};

#[test]
fn a_stranger_gets_an_address_that_nobody_uses_and_nothing_to_boot() {
    check(
        "in-use
         discover aa pxe=7
         request aa server=192.168.8.1 want=192.168.8.201",
        expect![[r"
            discover aa pxe=7
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
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            request aa server=192.168.8.1 want=192.168.8.200
              disk 192.168.8.200 02:00:00:00:00:aa Active
              -> Ack 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover bb
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:bb/192.168.8.201
            request bb server=192.168.8.1 want=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:bb Active
              -> Ack 192.168.8.201 to 02:00:00:00:00:bb/192.168.8.201
            discover cc
              probe 192.168.8.202
              -> Offer 192.168.8.202 to 02:00:00:00:00:cc/192.168.8.202
            request cc server=192.168.8.1 want=192.168.8.202
              disk 192.168.8.202 02:00:00:00:00:cc Active
              -> Ack 192.168.8.202 to 02:00:00:00:00:cc/192.168.8.202
            discover dd
              silent: dhcp_pool_empty
            release bb from=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:bb Released
              silent: dhcp_noted
            discover aa
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover dd
              probe 192.168.8.201
              -> Offer 192.168.8.201 to 02:00:00:00:00:dd/192.168.8.201
            request dd server=192.168.8.1 want=192.168.8.201
              disk 192.168.8.201 02:00:00:00:00:dd Active
              -> Ack 192.168.8.201 to 02:00:00:00:00:dd/192.168.8.201
            discover bb
              silent: dhcp_pool_empty
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
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
              probe 192.168.8.200
              -> Offer 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            discover aa
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

proptest! {
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
