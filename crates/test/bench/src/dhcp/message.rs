//! Where things are in a DHCP message (RFC 2131 section 2), for those that need no more of it.

pub(crate) const XID: usize = 4;
pub(crate) const YIADDR: usize = 16;
pub(crate) const GIADDR: usize = 24;
pub(crate) const CHADDR: usize = 28;
pub(crate) const COOKIE: usize = 236;
pub(crate) const OPTIONS: usize = 240;

/// An option of a message.
pub(crate) fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut left = message.get(OPTIONS..)?;
    loop {
        match left {
            [0, rest @ ..] => left = rest,
            [code, length, rest @ ..] if *code != 255 => {
                let value = rest.get(..usize::from(*length))?;
                if *code == wanted {
                    return Some(value);
                }
                left = &rest[value.len()..];
            }
            _ => return None,
        }
    }
}
