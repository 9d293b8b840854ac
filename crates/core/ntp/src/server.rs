//! What a client is told (RFC 5905 section 9.2, server side).
//!
//! An answer has 48 bytes, whatever the question's length: nothing is amplified. Only questions of version 3 and
//! 4 from the site's own network are answered. Control messages, symmetric and broadcast packets, and questions
//! that want authentication, for which no key is kept, get silence, each under a name.

use std::net::Ipv4Addr;

use faros_model::{net::Subnet, site::Site};
use jiff::Timestamp;

use crate::{
    Clock, LENGTH, Leap, Mode, NtpTime, Packet,
    limit::{Allowed, Limit},
};

/// What the time service takes from the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The network whose hosts are answered.
    pub lan: Subnet,
    /// The bastion's own address in it.
    pub bastion: Ipv4Addr,
    /// Upstream servers, names or addresses.
    pub sources: Vec<String>,
    /// Stratum to claim when no source answers.
    pub orphan_stratum: u8,
}

impl Tables {
    /// The tables of a site.
    pub fn compile(site: &Site) -> Self {
        Self {
            lan: site.lan.subnet,
            bastion: site.lan.addresses.bastion,
            sources: site.time.sources.clone(),
            orphan_stratum: site.time.orphan_stratum,
        }
    }
}

/// Says who is answered, and how often.
#[derive(Debug)]
pub struct Server {
    lan: Subnet,
    bastion: Ipv4Addr,
    limit: Limit,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The time.
    Answered([u8; LENGTH]),
    /// A kiss-o'-death: the client is to ask less often.
    Slowed([u8; LENGTH]),
    /// Nothing.
    Silent(Silent),
}

/// Why a packet is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// Fewer bytes than a header has, or a tail that is none.
    Malformed,
    /// From outside of the site's network.
    Outsider,
    /// A version that is not spoken.
    Version,
    /// Mode 6 or 7.
    Control,
    /// No question: an answer, symmetric, broadcast.
    NoQuestion,
    /// With a MAC.
    Authenticated,
    /// Too often, and told so already.
    TooOften,
}

impl Silent {
    /// The name of the counter.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "ntp_malformed",
            Self::Outsider => "ntp_outsider",
            Self::Version => "ntp_version",
            Self::Control => "ntp_control",
            Self::NoQuestion => "ntp_no_question",
            Self::Authenticated => "ntp_authenticated",
            Self::TooOften => "ntp_too_often",
        }
    }
}

impl Server {
    /// A server for this network, with this address in it.
    pub fn new(lan: Subnet, bastion: Ipv4Addr) -> Self {
        Self {
            lan,
            bastion,
            limit: Limit::default(),
        }
    }

    /// Takes another network; what is known of clients stays.
    pub fn serve(&mut self, tables: &Tables) {
        self.lan = tables.lan;
        self.bastion = tables.bastion;
    }

    /// Decides on one packet, which came in at `received`; the answer is sent at `now`.
    pub fn respond(
        &mut self,
        packet: &[u8],
        from: Ipv4Addr,
        received: Timestamp,
        clock: &Clock,
        now: Timestamp,
    ) -> Outcome {
        let question = match self.question(packet, from) {
            Ok(question) => question,
            Err(why) => return Outcome::Silent(why),
        };
        match self.limit.ask(from, now) {
            Allowed::Answer => Outcome::Answered(clock.answer(&question, received, now).encode()),
            Allowed::Kiss => Outcome::Slowed(kiss(&question, received, now).encode()),
            Allowed::Nothing => Outcome::Silent(Silent::TooOften),
        }
    }

    fn question(&self, bytes: &[u8], from: Ipv4Addr) -> Result<Packet, Silent> {
        if from == self.bastion || !self.lan.contains(from) {
            return Err(Silent::Outsider);
        }
        // A control message may be shorter than a header, and is to be counted as what it is.
        if bytes.first().is_some_and(|first| matches!(first & 7, 6 | 7)) {
            return Err(Silent::Control);
        }
        let packet = Packet::decode(bytes).map_err(|_| Silent::Malformed)?;
        if packet.mode != Mode::Client {
            return Err(Silent::NoQuestion);
        }
        if !matches!(packet.version, 3 | 4) {
            return Err(Silent::Version);
        }
        match bytes.len() - LENGTH {
            0 => Ok(packet),
            // A key's number with a digest of 16 or 20 bytes, or a refused one (RFC 5905 section 7.3).
            4 | 20 | 24 => Err(Silent::Authenticated),
            // Extension fields, the last of which has 28 bytes at least (RFC 7822 section 3); none is known here.
            28.. if packet.version == 4 && bytes.len().is_multiple_of(4) => Ok(packet),
            _ => Err(Silent::Malformed),
        }
    }
}

/// `RATE` (RFC 5905 section 7.4). The client believes it only if the origin is its own.
fn kiss(question: &Packet, received: Timestamp, now: Timestamp) -> Packet {
    Packet {
        leap: Leap::Unknown,
        mode: Mode::Server,
        stratum: 0,
        // Not below what the client has, and as often as it may ask in the long run.
        poll: question.poll.max(6),
        reference: *b"RATE",
        origin: question.transmit,
        receive: NtpTime::of(received),
        transmit: NtpTime::of(now),
        ..*question
    }
}
