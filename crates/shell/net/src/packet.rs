//! Whole Ethernet frames on one interface: for clients that have no address yet, and for ARP.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use faros_model::ids::MacAddr;
use nix::sys::socket::{AddressFamily, MsgFlags, SockaddrLike as _, bind, recv, send};
use rustix::net::{Protocol, SocketFlags, SocketType, socket_with};

/// A packet socket on one interface.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// A socket that only sends.
    pub(crate) fn sender(interface: &str) -> io::Result<Self> {
        Self::open(interface, None)
    }

    /// A socket that also gets the ARP packets of the interface, and only those: others would fill its queue
    /// while images are sent, and hide an answer to a probe.
    pub(crate) fn arp_listener(interface: &str) -> io::Result<Self> {
        let socket = Self::open(interface, Some(rustix::net::eth::ARP))?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket.fd, 1 << 20)?;
        Ok(socket)
    }

    fn open(interface: &str, protocol: Option<Protocol>) -> io::Result<Self> {
        // The list of interfaces holds link addresses ready to bind to; no address is put together by hand.
        let link = nix::ifaddrs::getifaddrs()?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| {
                entry
                    .address
                    .filter(|own| own.family() == Some(AddressFamily::Packet))
            })
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such interface"))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(
            rustix::net::AddressFamily::PACKET,
            SocketType::RAW,
            flags,
            protocol,
        )?;
        bind(fd.as_raw_fd(), &link)?;
        Ok(Self { fd })
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// The next frame, if there is one.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).ok()?;
        buffer.get(..length)
    }
}

/// A UDP datagram in an IPv4 packet in an Ethernet frame, with checksums (RFC 768, RFC 791).
pub(crate) fn udp_frame(
    from: (MacAddr, Ipv4Addr, u16),
    to: (MacAddr, Ipv4Addr, u16),
    payload: &[u8],
) -> Vec<u8> {
    let udp_length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(42 + payload.len());
    frame.extend(to.0.0);
    frame.extend(from.0.0);
    frame.extend([0x08, 0x00]);

    let mut ip = [0_u8; 20];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(udp_length + 20).to_be_bytes());
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&from.1.octets());
    ip[16..20].copy_from_slice(&to.1.octets());
    let check = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    frame.extend(ip);

    let mut udp = [0_u8; 8];
    udp[..2].copy_from_slice(&from.2.to_be_bytes());
    udp[2..4].copy_from_slice(&to.2.to_be_bytes());
    udp[4..6].copy_from_slice(&udp_length.to_be_bytes());
    let length = udp_length.to_be_bytes();
    let pseudo = [0, 17, length[0], length[1]];
    let check = match checksum(&[&ip[12..20], &pseudo, &udp, payload]) {
        0 => u16::MAX,
        check => check,
    };
    udp[6..].copy_from_slice(&check.to_be_bytes());
    frame.extend(udp);
    frame.extend_from_slice(payload);
    frame
}

/// The Internet checksum (RFC 1071) over parts; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "the sum was folded to 16 bits")]
    let sum = sum as u16;
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn checksums_add_up() {
        let frame = udp_frame(
            (A, Ipv4Addr::new(192, 168, 8, 1), 67),
            (B, Ipv4Addr::new(192, 168, 8, 11), 68),
            b"odd",
        );
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        let pseudo = [0, 17, 0, 11];
        assert_eq!(checksum(&[&frame[26..34], &pseudo, &frame[34..]]), 0);
    }
}
