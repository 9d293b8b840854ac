//! Assertions that hold for any bytes, shared by the fuzz target and unit tests.

use std::net::Ipv4Addr;

use faros_model::net::Subnet;
use jiff::{SignedDuration, Timestamp};

use crate::{Clock, LENGTH, Mode, NtpTime, Outcome, Packet, Server, Source};

/// Whatever comes, an answer is the answer to it and no longer than it, and a source takes nothing that does not
/// answer its question.
pub fn packet(bytes: &[u8]) {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000);
    if let Ok(packet) = Packet::decode(bytes) {
        // All bits of a header mean something but one: modes 6 and 7 are one here.
        let again = Packet::decode(&packet.encode());
        assert_eq!(again, Ok(packet));
    }

    let subnet = Subnet::of(Ipv4Addr::new(192, 168, 8, 0), 24);
    let mut server = Server::new(subnet, Ipv4Addr::new(192, 168, 8, 1));
    let client = Ipv4Addr::new(192, 168, 8, 9);
    if let Outcome::Answered(answer) | Outcome::Slowed(answer) =
        server.respond(bytes, client, now, &Clock::UNKNOWN, now)
    {
        assert!(bytes.len() >= LENGTH, "amplified");
        assert_eq!(answer[24..32], bytes[40..48], "the origin is the client's");
        let answer = Packet::decode(&answer);
        assert!(answer.is_ok_and(|answer| answer.mode == Mode::Server));
    }

    let mut source = Source::new(Ipv4Addr::new(192, 0, 2, 1));
    let nonce = 0x0123_4567_89ab_cdef;
    source.ask(nonce, now);
    if source
        .answered(bytes, now + SignedDuration::from_millis(1))
        .is_ok()
    {
        assert_eq!(
            Packet::decode(bytes).map(|answer| answer.origin),
            Ok(NtpTime(nonce))
        );
        assert!(source.estimate().is_ok());
    }
}
