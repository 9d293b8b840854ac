//! The least that a DHCP server can do that has every lease on disk before it promises it: one thread answers, another
//! writes what came meanwhile and syncs it once for all.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use anyhow::Context as _;

use crate::dhcp::message::{CHADDR, GIADDR, OPTIONS, YIADDR, option};

/// A promise, and whom it is for.
type Reply = (Vec<u8>, SocketAddrV4);

/// Answers on an interface, with leases in a file.
pub(super) fn serve(own: Ipv4Addr, first: Ipv4Addr, leases: &Path) -> anyhow::Result<()> {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)).context("cannot have port 67")?);
    socket.set_broadcast(true)?;
    let file = File::create(leases).with_context(|| format!("cannot write {}", leases.display()))?;
    let (promise, promised) = mpsc::channel();
    let through = Arc::clone(&socket);
    thread::spawn(move || keep(&through, file, &promised));
    let (mut buffer, mut next) = ([0; 2048], u32::from(first));
    loop {
        let length = socket.recv(&mut buffer)?;
        let asked = &buffer[..length];
        match option(asked, 53) {
            Some([1]) => {
                let (reply, to) = answer(asked, own, 2, Ipv4Addr::from(next));
                // Far fewer come than there are addresses.
                next += 1;
                // A full queue loses it, as the network may.
                let _ = socket.send_to(&reply, to);
            }
            Some([3]) => {
                let wanted = option(asked, 50).and_then(|own| <[u8; 4]>::try_from(own).ok());
                let wanted = wanted.map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
                promise.send(answer(asked, own, 5, wanted))?;
            }
            _ => (),
        }
    }
}

/// Writes, syncs, and then says so, a group at a time.
fn keep(socket: &UdpSocket, mut file: File, promised: &mpsc::Receiver<Reply>) -> anyhow::Result<()> {
    while let Ok(first) = promised.recv() {
        let group: Vec<Reply> = std::iter::once(first).chain(promised.try_iter()).collect();
        let mut rows = Vec::new();
        for (reply, _) in &group {
            // The address and the client's own.
            rows.extend_from_slice(&reply[YIADDR..YIADDR + 4]);
            rows.extend_from_slice(&reply[CHADDR..CHADDR + 16]);
        }
        file.write_all(&rows)?;
        file.sync_data()?;
        for (reply, to) in group {
            let _ = socket.send_to(&reply, to);
        }
    }
    Ok(())
}

/// An answer of this kind, and where it goes: to the relay, if it came by one.
fn answer(asked: &[u8], own: Ipv4Addr, kind: u8, address: Ipv4Addr) -> Reply {
    let mut reply = asked[..OPTIONS].to_vec();
    reply[0] = 2;
    reply[YIADDR..YIADDR + 4].copy_from_slice(&address.octets());
    reply[20..24].copy_from_slice(&own.octets());
    reply.extend([53, 1, kind, 51, 4]);
    reply.extend(43_200_u32.to_be_bytes());
    for (code, value) in [(1, Ipv4Addr::new(255, 255, 0, 0)), (3, own), (6, own), (54, own)] {
        reply.extend([code, 4]);
        reply.extend(value.octets());
    }
    reply.push(255);
    let relay = <[u8; 4]>::try_from(&asked[GIADDR..GIADDR + 4]).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let to = if relay.is_unspecified() {
        SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)
    } else {
        SocketAddrV4::new(relay, 67)
    };
    (reply, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_that_came_by_a_relay_is_answered_to_it() {
        let mut asked = vec![0; OPTIONS];
        asked[GIADDR..GIADDR + 4].copy_from_slice(&[10, 9, 64, 1]);
        asked.extend([0, 53, 1, 1, 50, 4, 10, 9, 128, 7, 255]);
        assert_eq!(option(&asked, 53), Some([1].as_slice()));
        assert_eq!(option(&asked, 12), None);
        let own = Ipv4Addr::new(10, 9, 0, 1);
        let (reply, to) = answer(&asked, own, 2, Ipv4Addr::new(10, 9, 128, 7));
        assert_eq!(to, SocketAddrV4::new(Ipv4Addr::new(10, 9, 64, 1), 67));
        assert_eq!(
            (reply[0], &reply[YIADDR..YIADDR + 4]),
            (2, [10, 9, 128, 7].as_slice())
        );
        assert_eq!(option(&reply, 54), Some([10, 9, 0, 1].as_slice()));
    }
}
