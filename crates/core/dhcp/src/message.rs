//! The message as bytes: the fixed part, and options wherever they stand.
//!
//! Options that come several times are joined (RFC 3396), and the `sname` and `file` fields are read as
//! options where option 52 says so. Every length is checked against what is there.

use std::{fmt::Write as _, net::Ipv4Addr};

use faros_model::ids::MacAddr;

use crate::options::{Options, Pieces};

/// Length of the part before the options, magic cookie included.
pub(crate) const FIXED: usize = 240;
/// RFC 2131 section 3.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Option numbers (RFC 2132 and those named).
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub mod opt {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const BROADCAST: u8 = 28;
    pub const NTP: u8 = 42;
    pub const VENDOR: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL: u8 = 58;
    pub const REBINDING: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    /// RFC 3004.
    pub const USER_CLASS: u8 = 77;
    /// RFC 3046.
    pub const RELAY: u8 = 82;
    /// RFC 4578.
    pub const ARCHITECTURE: u8 = 93;
    /// RFC 4578.
    pub const CLIENT_UUID: u8 = 97;
    /// RFC 3397.
    pub const SEARCH: u8 = 119;
    /// RFC 3442.
    pub const ROUTES: u8 = 121;
}

/// What a message is (RFC 2132 section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// A client asks for an address.
    Request = 3,
    /// A client found its address in use.
    Decline = 4,
    /// A server confirms.
    Ack = 5,
    /// A server refuses.
    Nak = 6,
    /// A client gives its address back.
    Release = 7,
    /// A client with an address asks for options.
    Inform = 8,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// 1 from a client, 2 from a server.
    pub op: u8,
    /// Number of the exchange.
    pub xid: u32,
    /// The broadcast flag: the client cannot take unicast yet.
    pub broadcast: bool,
    /// The client's address, if it has one.
    pub ciaddr: Ipv4Addr,
    /// "Your" address, from a server.
    pub yiaddr: Ipv4Addr,
    /// The relay's address, if there is a relay.
    pub giaddr: Ipv4Addr,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// What kind of message it is.
    pub kind: MessageType,
    /// All other options, joined.
    pub options: Options,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the fixed part, or without the cookie: BOOTP, or no DHCP at all.
    NotDhcp,
    /// Not Ethernet.
    Hardware,
    /// An option goes beyond its field.
    Options,
    /// There is no message type, or an unknown one.
    Type,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// Why the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; FIXED] = bytes.first_chunk().ok_or(Malformed::NotDhcp)?;
        if fixed[236..] != COOKIE || !matches!(fixed[0], 1 | 2) {
            return Err(Malformed::NotDhcp);
        }
        if (fixed[1], fixed[2]) != (1, 6) {
            return Err(Malformed::Hardware);
        }
        let mut pieces = Pieces::default();
        pieces.read(&bytes[FIXED..])?;
        // RFC 2131 section 4.1: `file` is read before `sname`.
        let overload = pieces.bytes(opt::OVERLOAD).next().unwrap_or(0);
        if overload & 1 != 0 {
            pieces.read(&fixed[108..236])?;
        }
        if overload & 2 != 0 {
            pieces.read(&fixed[44..108])?;
        }
        let kind = {
            let mut bytes = pieces.bytes(opt::MESSAGE_TYPE);
            (bytes.next(), bytes.next())
        };
        let kind = match kind {
            (Some(1), None) => MessageType::Discover,
            (Some(2), None) => MessageType::Offer,
            (Some(3), None) => MessageType::Request,
            (Some(4), None) => MessageType::Decline,
            (Some(5), None) => MessageType::Ack,
            (Some(6), None) => MessageType::Nak,
            (Some(7), None) => MessageType::Release,
            (Some(8), None) => MessageType::Inform,
            _ => return Err(Malformed::Type),
        };
        let address = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        let mut mac = [0; 6];
        mac.copy_from_slice(&fixed[28..34]);
        Ok(Self {
            op: fixed[0],
            xid: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            broadcast: fixed[10] & 0x80 != 0,
            ciaddr: address(12),
            yiaddr: address(16),
            giaddr: address(24),
            mac: MacAddr(mac),
            kind,
            options: pieces.joined_without([opt::OVERLOAD, opt::MESSAGE_TYPE]),
        })
    }

    /// The value of an option that is one address.
    pub fn address(&self, option: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.options.get(option)?.try_into().ok()?;
        Some(bytes.into())
    }

    /// The value of an option that is text, made printable; `None` if it is empty.
    pub fn text(&self, option: u8) -> Option<String> {
        let bytes = self.options.get(option)?;
        let bytes = bytes.split(|b| *b == 0).next()?;
        let printable = |b: &u8| {
            if (0x20..0x7f).contains(b) {
                char::from(*b)
            } else {
                '?'
            }
        };
        let text: String = bytes.iter().map(printable).collect();
        (!text.is_empty()).then_some(text)
    }

    /// The client's system architecture (option 93, RFC 4578): the first of the list.
    pub fn architecture(&self) -> Option<u16> {
        match self.options.get(opt::ARCHITECTURE)? {
            [hi, lo, ..] => Some(u16::from_be_bytes([*hi, *lo])),
            _ => None,
        }
    }

    /// The user class (option 77): as iPXE sends it, plain, or the first with a length before it (RFC 3004).
    pub fn user_class(&self) -> Option<String> {
        let bytes = self.options.get(opt::USER_CLASS)?;
        match bytes {
            [length, rest @ ..] if usize::from(*length) <= rest.len() && *length > 0 && *length < 0x20 => {
                Some(String::from_utf8_lossy(&rest[..usize::from(*length)]).into_owned())
            }
            _ => self.text(opt::USER_CLASS),
        }
    }

    /// Whether it is iPXE that asks, not the firmware.
    pub fn is_ipxe(&self) -> bool {
        self.user_class().as_deref() == Some("iPXE")
    }

    /// The machine's UUID (option 97, RFC 4578) in the form of SMBIOS, whose first three fields are
    /// little-endian.
    pub fn uuid(&self) -> Option<String> {
        let [0, uuid @ ..] = self.options.get(opt::CLIENT_UUID)? else {
            return None;
        };
        let uuid: &[u8; 16] = uuid.try_into().ok()?;
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut text = String::with_capacity(36);
        for (idx, at) in order.into_iter().enumerate() {
            if matches!(idx, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{:02x}", uuid[at]);
        }
        Some(text)
    }
}
