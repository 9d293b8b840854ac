//! ARP frames (RFC 826, RFC 5227): whether anyone has an address that is about to be given away or taken.

use std::net::Ipv4Addr;

use faros_model::ids::MacAddr;

/// An ARP probe (RFC 5227 section 2.1.1): who has `address`, asked by nobody.
pub fn probe(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend([0xff; 6]);
    frame.extend(mac.0);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend([0; 4]);
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

/// An ARP announcement (RFC 5227 section 2.3): `address` is here.
pub fn announcement(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = probe(mac, address);
    frame[28..32].copy_from_slice(&address.octets());
    frame
}

/// Who says in an ARP packet that it has which address.
pub fn sender(frame: &[u8]) -> Option<(MacAddr, Ipv4Addr)> {
    let arp = frame.strip_prefix_at(12, &[0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4])?;
    let mac: [u8; 6] = arp.get(2..8)?.try_into().ok()?;
    let address: [u8; 4] = arp.get(8..12)?.try_into().ok()?;
    let address = Ipv4Addr::from(address);
    (!address.is_unspecified()).then_some((MacAddr(mac), address))
}

trait StripAt {
    fn strip_prefix_at(&self, at: usize, prefix: &[u8]) -> Option<&[u8]>;
}

impl StripAt for [u8] {
    fn strip_prefix_at(&self, at: usize, prefix: &[u8]) -> Option<&[u8]> {
        self.get(at..)?.strip_prefix(prefix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn an_answer_to_a_probe_tells_who_has_the_address() {
        let address = Ipv4Addr::new(192, 168, 8, 200);
        let asked = probe(A, address);
        assert_eq!(sender(&asked), None, "a probe claims nothing");
        let mut answer = asked;
        answer[21] = 2;
        answer[22..28].copy_from_slice(&B.0);
        answer[28..32].copy_from_slice(&address.octets());
        assert_eq!(sender(&answer), Some((B, address)));
        assert_eq!(sender(&answer[..30]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_confuse_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz::arp(&bytes);
            let mut whole = announcement(A, Ipv4Addr::new(192, 168, 8, 200));
            whole.truncate(22);
            whole.extend(&bytes);
            fuzz::arp(&whole);
        }
    }
}
