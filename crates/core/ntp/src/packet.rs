//! The 48 bytes of an NTP packet, and its two kinds of numbers (RFC 5905 sections 6 and 7.3).
//!
//! What follows the header (extension fields, a MAC) is left alone here: only the server must know whether it
//! is there. Differences of timestamps are taken modulo 2^64, so that they are right across the end of the era
//! in 2036 as long as two clocks are less than 68 years apart.

use jiff::{SignedDuration, Timestamp};

/// Length of the header, which is all of a packet without extension fields and MAC.
pub const LENGTH: usize = 48;

/// Seconds from 1900 to 1970.
const UNIX_EPOCH: i64 = 2_208_988_800;

/// A point in time: seconds since 1900 modulo 2^32, and 2^-32 parts of a second. Zero means "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The instant of a clock reading.
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "modulo 2^32 is what the format has; nanoseconds of a second are not negative once split"
    )]
    pub fn of(at: Timestamp) -> Self {
        let nanos = at.as_nanosecond();
        let seconds = nanos.div_euclid(1_000_000_000) as i64 + UNIX_EPOCH;
        let part = ((nanos.rem_euclid(1_000_000_000) as u64) << 32) / 1_000_000_000;
        Self(((seconds as u64) << 32) | part)
    }

    /// How much later this is than `other`, as the nearer of the two ways round.
    pub fn since(self, other: Self) -> SignedDuration {
        let difference = i128::from(self.0.wrapping_sub(other.0).cast_signed());
        let nanos = (difference * 1_000_000_000) >> 32;
        SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// A duration of up to 18 hours in 2^-16 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Short(pub u32);

impl Short {
    /// The duration rounded up, so that no error is told smaller than it is; the longest if it does not fit.
    pub fn of(duration: SignedDuration) -> Self {
        let nanos = duration.as_nanos().max(0);
        let parts = ((nanos << 16) + 999_999_999) / 1_000_000_000;
        Self(u32::try_from(parts).unwrap_or(u32::MAX))
    }

    /// As a duration.
    pub fn duration(self) -> SignedDuration {
        let nanos = (u64::from(self.0) * 1_000_000_000) >> 16;
        SignedDuration::from_nanos(nanos.cast_signed())
    }
}

/// Whether a leap second is coming, or the clock is not synchronized (RFC 5905 figure 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// Nothing is coming.
    None,
    /// The last minute of the day has 61 seconds.
    Insert,
    /// The last minute of the day has 59 seconds.
    Delete,
    /// The clock is not synchronized.
    Unknown,
}

/// What a packet is (RFC 5905 figure 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A question.
    Client,
    /// An answer.
    Server,
    /// Control messages (mode 6) and the private ones (mode 7), which amplify.
    Control,
    /// Anything else: symmetric, broadcast, reserved.
    Other(u8),
}

/// The header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Leap indicator.
    pub leap: Leap,
    /// Version of the protocol.
    pub version: u8,
    /// What it is.
    pub mode: Mode,
    /// 1 for a server with a reference clock, one more on each hop; 0 for none or for a kiss-o'-death.
    pub stratum: u8,
    /// Interval between questions, as a power of two in seconds.
    pub poll: i8,
    /// Precision of the clock, as a power of two in seconds.
    pub precision: i8,
    /// Round trip to the reference clock.
    pub root_delay: Short,
    /// How far the clock may be off besides.
    pub root_dispersion: Short,
    /// Where the time comes from, or the code of a kiss-o'-death.
    pub reference: [u8; 4],
    /// When the clock was last compared.
    pub reference_time: NtpTime,
    /// In an answer: what the question had as its time of sending.
    pub origin: NtpTime,
    /// In an answer: when the question came in.
    pub receive: NtpTime,
    /// When this was sent.
    pub transmit: NtpTime,
}

/// Fewer bytes than a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPacket;

impl Packet {
    /// Reads the header.
    ///
    /// # Errors
    /// If there are too few bytes for one. Every 48 bytes are a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAPacket> {
        let header: &[u8; LENGTH] = bytes.first_chunk().ok_or(NotAPacket)?;
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let time = |at: usize| NtpTime((u64::from(word(at)) << 32) | u64::from(word(at + 4)));
        Ok(Self {
            leap: match header[0] >> 6 {
                0 => Leap::None,
                1 => Leap::Insert,
                2 => Leap::Delete,
                _ => Leap::Unknown,
            },
            version: (header[0] >> 3) & 7,
            mode: match header[0] & 7 {
                3 => Mode::Client,
                4 => Mode::Server,
                6 | 7 => Mode::Control,
                other => Mode::Other(other),
            },
            stratum: header[1],
            poll: header[2].cast_signed(),
            precision: header[3].cast_signed(),
            root_delay: Short(word(4)),
            root_dispersion: Short(word(8)),
            reference: [header[12], header[13], header[14], header[15]],
            reference_time: time(16),
            origin: time(24),
            receive: time(32),
            transmit: time(40),
        })
    }

    /// The bytes of the header. A control message is none that is sent, and becomes mode 6.
    pub fn encode(&self) -> [u8; LENGTH] {
        let leap: u8 = match self.leap {
            Leap::None => 0,
            Leap::Insert => 1,
            Leap::Delete => 2,
            Leap::Unknown => 3,
        };
        let mode = match self.mode {
            Mode::Client => 3,
            Mode::Server => 4,
            Mode::Control => 6,
            Mode::Other(other) => other & 7,
        };
        let mut out = [0; LENGTH];
        out[0] = (leap << 6) | ((self.version & 7) << 3) | mode;
        out[1] = self.stratum;
        out[2] = self.poll.cast_unsigned();
        out[3] = self.precision.cast_unsigned();
        out[4..8].copy_from_slice(&self.root_delay.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.root_dispersion.0.to_be_bytes());
        out[12..16].copy_from_slice(&self.reference);
        for (at, time) in [
            (16, self.reference_time),
            (24, self.origin),
            (32, self.receive),
            (40, self.transmit),
        ] {
            out[at..at + 8].copy_from_slice(&time.0.to_be_bytes());
        }
        out
    }
}
