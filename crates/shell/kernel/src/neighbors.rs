//! Which MAC the kernel has for an address on the LAN.

use std::{fs, net::Ipv4Addr};

use faros_model::ids::MacAddr;

/// The MAC to which the kernel sends what is for `address`; `None` if it has none, or if the address is not on
/// a network of this machine.
pub fn mac_of(address: Ipv4Addr) -> Option<MacAddr> {
    in_table(&fs::read_to_string("/proc/self/net/arp").ok()?, address)
}

/// The MAC in a table of `/proc/net/arp`. Entries that are not complete have the flag 0x2 unset.
fn in_table(table: &str, address: Ipv4Addr) -> Option<MacAddr> {
    // Only the address is looked at in most lines: the table is as long as the LAN is large.
    let address = address.to_string();
    table.lines().skip(1).find_map(|line| {
        let mut words = line.strip_prefix(&address)?.split_ascii_whitespace();
        // The address of another host may begin like this one.
        let (true, Some(_type), Some(flags), Some(mac)) = (
            line[address.len()..].starts_with(' '),
            words.next(),
            words.next(),
            words.next(),
        ) else {
            return None;
        };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        (flags & 2 != 0).then(|| mac.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_entries_count() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.8.11     0x1         0x2         52:54:00:08:00:01     *        lan0\n\
                     192.168.8.12     0x1         0x0         00:00:00:00:00:00     *        lan0\n\
                     192.168.8.111    0x1         0x6         52:54:00:08:00:09     *        lan0\n";
        let mac = |last: u8| in_table(table, Ipv4Addr::new(192, 168, 8, last));
        assert_eq!(mac(11), Some(MacAddr([0x52, 0x54, 0, 8, 0, 1])));
        assert_eq!(mac(12), None);
        assert_eq!(mac(1), None);
        assert_eq!(mac(111), Some(MacAddr([0x52, 0x54, 0, 8, 0, 9])));
    }
}
