//! The packets, as bytes.

/// Longest file name that is looked at.
const MAX_NAME: usize = 255;

/// Error codes of RFC 1350 and RFC 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorCode {
    /// See the message.
    NotDefined = 0,
    /// There is no such file.
    FileNotFound = 1,
    /// The file is not for this machine.
    AccessViolation = 2,
    /// The operation is not allowed.
    IllegalOperation = 4,
    /// The packet came from a port that is not the transfer's.
    UnknownTransfer = 5,
    /// The options cannot be agreed on.
    OptionsRefused = 8,
}

/// What a client can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// It asks for a file.
    Read(ReadRequest),
    /// It has all blocks up to this one (modulo 65536).
    Ack(u16),
    /// It gives up.
    Error {
        /// Its code.
        code: u16,
        /// What it says, made printable.
        message: String,
    },
}

/// A request for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadRequest {
    /// The name as sent; at most 255 bytes of printable ASCII.
    pub file: String,
    /// `blksize` (RFC 2348), in bytes, 8 to 65464.
    pub block_size: Option<u16>,
    /// `tsize` (RFC 2349): the client wants to know the size.
    pub wants_size: bool,
    /// `timeout` (RFC 2349), in seconds, 1 to 255.
    pub timeout: Option<u8>,
    /// `windowsize` (RFC 7440), in blocks, 1 to 65535.
    pub window: Option<u16>,
}

/// Why a packet gets no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no packet of TFTP, or is cut off.
    Malformed,
    /// It wants to write.
    Write,
    /// It wants a translation of line ends.
    Mode,
}

impl Refused {
    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "tftp_malformed",
            Self::Write => "tftp_write_refused",
            Self::Mode => "tftp_mode_refused",
        }
    }

    /// What the client is told; nothing, if it may be no client at all.
    pub fn answer(self) -> Option<Vec<u8>> {
        match self {
            Self::Malformed => None,
            Self::Write => Some(error(ErrorCode::AccessViolation, "this server only sends files")),
            Self::Mode => Some(error(ErrorCode::IllegalOperation, "only octet mode is served")),
        }
    }
}

/// Reads a packet from a client.
///
/// # Errors
/// Why nothing comes of it.
pub fn parse(bytes: &[u8]) -> Result<Packet, Refused> {
    match bytes {
        [0, 1, rest @ ..] => read_request(rest).map(Packet::Read),
        [0, 2, ..] => Err(Refused::Write),
        // Some boot ROMs pad an acknowledgment.
        [0, 4, hi, lo, ..] => Ok(Packet::Ack(u16::from_be_bytes([*hi, *lo]))),
        [0, 5, hi, lo, rest @ ..] => {
            let text = rest.split(|b| *b == 0).next().unwrap_or_default();
            let printable = |b: &u8| {
                if (0x20..0x7f).contains(b) {
                    char::from(*b)
                } else {
                    '?'
                }
            };
            let message = text.iter().take(MAX_NAME).map(printable).collect();
            Ok(Packet::Error {
                code: u16::from_be_bytes([*hi, *lo]),
                message,
            })
        }
        _ => Err(Refused::Malformed),
    }
}

fn read_request(bytes: &[u8]) -> Result<ReadRequest, Refused> {
    // Every text ends with a zero byte; what follows the last one is padding.
    let end = bytes.iter().rposition(|b| *b == 0).ok_or(Refused::Malformed)?;
    let mut texts = bytes[..end].split(|b| *b == 0);
    let mut text = || {
        texts
            .next()
            .map(|text| std::str::from_utf8(text).map_err(|_| Refused::Malformed))
    };
    let (Some(file), Some(mode)) = (text().transpose()?, text().transpose()?) else {
        return Err(Refused::Malformed);
    };
    if file.is_empty() || file.len() > MAX_NAME || !file.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(Refused::Malformed);
    }
    if !mode.eq_ignore_ascii_case("octet") {
        return Err(if mode.eq_ignore_ascii_case("netascii") {
            Refused::Mode
        } else {
            Refused::Malformed
        });
    }
    let mut request = ReadRequest {
        file: file.to_owned(),
        ..ReadRequest::default()
    };
    // An option that is not understood, or has no sensible value, is left out of the answer (RFC 2347).
    while let (Some(Ok(name)), Some(Ok(value))) = (text(), text()) {
        match name.to_ascii_lowercase().as_str() {
            "blksize" if request.block_size.is_none() => {
                request.block_size = value.parse().ok().filter(|size| (8..=65_464).contains(size));
            }
            "tsize" => request.wants_size = true,
            "timeout" if request.timeout.is_none() => {
                request.timeout = value.parse().ok().filter(|seconds| *seconds >= 1);
            }
            "windowsize" if request.window.is_none() => {
                request.window = value.parse().ok().filter(|blocks| *blocks >= 1);
            }
            _ => (),
        }
    }
    Ok(request)
}

/// An error packet.
pub fn error(code: ErrorCode, message: &str) -> Vec<u8> {
    let mut bytes = vec![0, 5, 0, code as u8];
    bytes.extend_from_slice(message.as_bytes());
    bytes.push(0);
    bytes
}

/// What stands before the bytes of block `block`, which counts from 1 and wraps around on the wire.
pub const fn data_header(block: u64) -> [u8; 4] {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "block numbers wrap around at 65536"
    )]
    let [hi, lo] = (block as u16).to_be_bytes();
    [0, 3, hi, lo]
}

/// An option acknowledgment (RFC 2347).
pub(crate) fn option_ack(options: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = vec![0, 6];
    for (name, value) in options {
        for text in [*name, value] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}
