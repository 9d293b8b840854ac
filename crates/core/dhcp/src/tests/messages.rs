//! Messages as bytes: where their options stand, and how they are read and written.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use proptest::prelude::*;

use super::script::{message, tables};
use crate::{Destination, Effect, Malformed, Message, MessageType, Server, fuzz, opt, reply};

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

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(
        options in proptest::collection::btree_map(100_u8..250, proptest::collection::vec(any::<u8>(), 1..600), 0..3),
    ) {
        let mut asked = message("discover 01 relay=192.168.8.3 id=me");
        asked.pop();
        asked.extend([opt::MAX_SIZE, 2, 5, 220, 255]);
        let asked = Message::parse(&asked).unwrap();
        let server = Ipv4Addr::new(192, 168, 8, 1);
        let mut reply = reply::Reply::new(&asked, MessageType::Offer, server, Ipv4Addr::new(192, 168, 8, 11));
        let (mut room, mut fits) = (1500 - 28 - 240 - 40, std::collections::BTreeMap::new());
        for (code, value) in options {
            let needed = value.len() + 2 * value.len().div_ceil(255);
            if needed < room {
                room -= needed;
                reply.option(code, &value);
                fits.insert(code, value);
            }
        }
        let bytes = reply.encode();
        prop_assert!(bytes.ends_with(&[255]) || bytes.len() == 300, "the end comes last");
        let read = Message::parse(&bytes).unwrap();
        prop_assert_eq!((read.op, read.xid, read.mac, read.giaddr), (2, asked.xid, asked.mac, asked.giaddr));
        for code in [opt::CLIENT_ID, opt::RELAY] {
            prop_assert_eq!(read.options.get(code), asked.options.get(code));
        }
        for (code, value) in &fits {
            prop_assert_eq!(read.options.get(*code), Some(value.as_slice()));
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
}
