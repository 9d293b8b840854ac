//! Who holds a port, for the message that says that it cannot be had.

use std::{fs, net::Ipv4Addr, path::Path};

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process number.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

/// Who listens on a port of `address` (or of all addresses). `protocol` is `udp` or `tcp`. `None` if it
/// cannot be found out: the holder may be in another namespace of processes.
pub fn holder(protocol: &str, address: Ipv4Addr, port: u16) -> Option<Holder> {
    let table = fs::read_to_string(format!("/proc/self/net/{protocol}")).ok()?;
    let inode = inode(&table, address, port)?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd"))
            .ok()?
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == Path::new(&wanted)));
        let command = || fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        holds.then(|| Holder {
            pid,
            command: command().trim().to_owned(),
        })
    })
}

/// The socket in a table of `/proc/net/udp` or `tcp` that takes the port on the address.
fn inode(table: &str, address: Ipv4Addr, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (own, own_port) = words.get(1)?.split_once(':')?;
        // The kernel writes the address as it lies in memory.
        let own = Ipv4Addr::from(u32::from_str_radix(own, 16).ok()?.to_ne_bytes());
        let own_port = u16::from_str_radix(own_port, 16).ok()?;
        let remote = *words.get(2)?;
        let clash = own == address || own.is_unspecified() || address.is_unspecified();
        (own_port == port && clash && remote.ends_with(":0000")).then(|| words.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0108A8C0:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0 0
   1: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4343 2 0 0
";

    #[test]
    fn a_socket_is_found_by_its_address_and_port() {
        let bastion = Ipv4Addr::new(192, 168, 8, 1);
        assert_eq!(inode(TABLE, bastion, 53), Some(4242));
        assert_eq!(inode(TABLE, Ipv4Addr::new(192, 168, 8, 2), 53), None);
        assert_eq!(inode(TABLE, bastion, 67), Some(4343), "bound to all addresses");
        assert_eq!(inode(TABLE, bastion, 69), None);
        assert_eq!(inode("", bastion, 69), None);
    }

    #[test]
    fn this_process_is_found_by_a_port_that_it_holds() -> std::io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        let holder = holder("udp", Ipv4Addr::LOCALHOST, port);
        assert_eq!(holder.map(|holder| holder.pid), Some(std::process::id()));
        Ok(())
    }
}
