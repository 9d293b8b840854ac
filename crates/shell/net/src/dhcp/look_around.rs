//! The question by which other DHCP servers are found: a DHCPDISCOVER of a machine that does not exist.

/// The MAC under which the bastion asks for other servers: locally administered, and of nobody.
const LOOK_AROUND_MAC: [u8; 6] = [0x02, 0xfa, 0x20, 0x05, 0, 1];

pub(super) fn message() -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(b"faro");
    message[10] = 0x80;
    message[28..34].copy_from_slice(&LOOK_AROUND_MAC);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1, 255]);
    message.resize(300, 0);
    message
}

pub(super) fn is_own(message: &[u8]) -> bool {
    message.get(28..34) == Some(&LOOK_AROUND_MAC)
}
