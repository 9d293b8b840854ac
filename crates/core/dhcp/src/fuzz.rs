//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{Effect, Message, Server, Tables, arp};

/// Whatever the bytes, reading ends; what was read says the same things again.
pub fn message(bytes: &[u8]) {
    if let Ok(message) = Message::parse(bytes) {
        drop((
            message.architecture(),
            message.user_class(),
            message.uuid(),
            message.text(12),
        ));
        assert!(message.op == 1 || message.op == 2);
    }
}

/// Whatever the frame, nobody has no address, and who has one says the same again.
pub fn arp(bytes: &[u8]) {
    if let Some((mac, address)) = arp::sender(bytes) {
        assert!(!address.is_unspecified());
        assert_eq!(
            arp::sender(&arp::announcement(mac, address)),
            Some((mac, address))
        );
    }
}

/// Whatever datagrams come, no address is promised to two clients, and every answer is a message.
pub fn server(tables: &Arc<Tables>, bytes: &[u8]) {
    let mut server = Server::new(Arc::clone(tables), vec![]);
    let mut now = Timestamp::UNIX_EPOCH;
    let mut rest = bytes;
    while let [length, more @ ..] = rest {
        let (datagram, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        now += SignedDuration::from_secs(1);
        // The fixed part is given, so that the bytes go into what is interesting.
        let mut message = vec![0_u8; 240];
        message[..4].copy_from_slice(&[1, 1, 6, 0]);
        message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, datagram.first().copied().unwrap_or(1)]);
        message[236..240].copy_from_slice(&[99, 130, 83, 99]);
        message.extend_from_slice(datagram.get(1..).unwrap_or_default());
        let mut effects = server.on_datagram(now, &message);
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Send { bytes, .. } => {
                    assert!(
                        Message::parse(&bytes).is_ok_and(|reply| reply.op == 2),
                        "{bytes:?}"
                    );
                }
                Effect::Commit { ticket, .. } => effects.extend(server.on_committed(ticket, true)),
                Effect::Probe { ticket, .. } => effects.extend(server.on_probed(now, ticket, None)),
                Effect::Saw(_) | Effect::Ignore(_) => (),
            }
        }
        let mut held: Vec<_> = server.leases().map(|lease| lease.address).collect();
        let all = held.len();
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), all);
    }
}
