//! Who holds a port, for the message that says that it cannot be had; and all who listen, as `ss -tuln` has them.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use faros_model::site::Transport;

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
    let wanted = inode(&table, address, port)?;
    let (_, pid) = sockets().find(|(inode, _)| *inode == wanted)?;
    Some(Holder::of(pid))
}

impl Holder {
    fn of(pid: u32) -> Self {
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self {
            pid,
            command: command.trim().to_owned(),
        }
    }
}

/// A socket that takes what anyone sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// TCP or UDP.
    pub transport: Transport,
    /// The address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The process that holds it, where that can be found out.
    pub holder: Option<Holder>,
}

/// All sockets that listen in the network of a process, each once.
///
/// # Errors
/// If the kernel's tables cannot be read: the process is gone.
pub fn listening(pid: u32) -> io::Result<Vec<Listening>> {
    let mut found: Vec<(Transport, IpAddr, u16, u64)> = Vec::new();
    for (name, transport) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        match fs::read_to_string(format!("/proc/{pid}/net/{name}")) {
            Ok(table) => {
                let own = table.lines().skip(1).filter_map(|line| listener(transport, line));
                found.extend(own.map(|(address, port, inode)| (transport, address, port, inode)));
            }
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.ends_with('6') => (),
            Err(error) => return Err(error),
        }
    }
    let wanted: HashSet<u64> = found.iter().map(|(.., inode)| *inode).collect();
    let mut holders: HashMap<u64, Holder> = HashMap::new();
    for (inode, pid) in sockets().filter(|(inode, _)| wanted.contains(inode)) {
        holders.entry(inode).or_insert_with(|| Holder::of(pid));
    }
    let mut listening: Vec<Listening> = found
        .into_iter()
        .map(|(transport, address, port, inode)| Listening {
            transport,
            address,
            port,
            holder: holders.get(&inode).cloned(),
        })
        .collect();
    listening.sort_by_key(|own| (own.port, own.transport, own.address));
    listening.dedup_by(|one, other| {
        (one.transport, one.address, one.port) == (other.transport, other.address, other.port)
    });
    Ok(listening)
}

/// The ports that the kernel gives to whoever does not care, in this network.
pub fn ephemeral() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => (first, last),
        // The kernel's own default.
        _ => (32768, 60999),
    }
}

/// A line of a table, if its socket listens: TCP in state LISTEN, UDP that is not connected.
fn listener(transport: Transport, line: &str) -> Option<(IpAddr, u16, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let state = match transport {
        Transport::Tcp => "0A",
        Transport::Udp => "07",
    };
    if *words.get(3)? != state {
        return None;
    }
    let (address, port) = words.get(1)?.split_once(':')?;
    let address = match address.len() {
        8 => IpAddr::V4(u32::from_str_radix(address, 16).ok()?.to_ne_bytes().into()),
        32 => {
            let mut bytes = [0; 16];
            for (idx, part) in bytes.chunks_exact_mut(4).enumerate() {
                let word = u32::from_str_radix(address.get(idx * 8..idx * 8 + 8)?, 16).ok()?;
                part.copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((
        address,
        u16::from_str_radix(port, 16).ok()?,
        words.get(9)?.parse().ok()?,
    ))
}

/// Every socket that a process holds: its number, and the process', as far as they can be looked into.
fn sockets() -> impl Iterator<Item = (u64, u32)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.flat_map(|process| {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        let fds = pid.and_then(|_: u32| fs::read_dir(process.path().join("fd")).ok());
        let own = fds.into_iter().flatten().flatten();
        own.filter_map(move |fd| {
            let link = fs::read_link(fd.path()).ok()?;
            let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some((number.parse().ok()?, pid?))
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
    fn who_listens_is_told_apart_from_who_talks() {
        let of = |transport, table: &str| -> Vec<(String, u16, u64)> {
            let lines = table.lines().filter_map(|line| listener(transport, line));
            lines
                .map(|(address, port, inode)| (address.to_string(), port, inode))
                .collect()
        };
        let tcp = "\
   0: 0108A8C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0108A8C0:1F90 0B08A8C0:C001 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 13 1
   3: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 14 1";
        let bastion = |port, inode| ("192.168.8.1".to_owned(), port, inode);
        assert_eq!(
            of(Transport::Tcp, tcp),
            [
                bastion(8080, 11),
                ("::".to_owned(), 22, 13),
                ("127.0.0.1".to_owned(), 80, 14)
            ]
        );
        let any = ("0.0.0.0".to_owned(), 67, 4343);
        assert_eq!(of(Transport::Udp, TABLE), [bastion(53, 4242), any]);
        assert_eq!(of(Transport::Udp, "1: nonsense\n2:\n\n"), []);
    }

    #[test]
    fn this_process_listens() -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        let found = listening(std::process::id())?;
        let own = found
            .iter()
            .find(|own| own.port == port && own.transport == Transport::Udp);
        let holder = own.and_then(|own| own.holder.as_ref());
        assert_eq!(holder.map(|holder| holder.pid), Some(std::process::id()));
        assert!(ephemeral().0 <= port && port <= ephemeral().1);
        Ok(())
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
