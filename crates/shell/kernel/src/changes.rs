//! What the kernel tells of itself when somebody changes it: interfaces, addresses, routes, settings, rules.
//!
//! Nothing is believed of what it tells but that something changed: whoever waits here looks for itself then.
//! The kernel tells of `forwarding`, `rp_filter` and few others of an interface's settings, and drops what does
//! not fit into the socket's buffer, which it says. So a slow look stays good practice.

use std::{fmt, io, time::Duration};

use rtnetlink::sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use tokio::time::{Instant, sleep_until};

/// The least time between two changes that are told; what happens in between is one change.
const REST: Duration = Duration::from_millis(200);

/// Groups of `NETLINK_ROUTE`, as bits: links (1), IPv4 addresses (5), IPv4 routes (7), IPv4 settings (24).
const LINKS: u32 = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 23;

/// The group of `NETLINK_NETFILTER` for tables (`NFNLGRP_NFTABLES`, 7), as a bit.
const TABLES: u32 = 1 << 6;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN`.
pub(crate) const NEW_GENERATION: u16 = (10 << 8) | 15;

/// `NFPROTO_INET`.
const INET: u8 = 1;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// An interface, an address, a route or a setting.
    pub links: bool,
    /// The watched table.
    pub table: bool,
}

/// Who changed the watched table, as the kernel names a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Its number.
    pub pid: u32,
    /// Its name, cut off after 15 bytes.
    pub name: String,
}

/// The most authors that are remembered.
const AUTHORS: usize = 64;

/// A table, and what the kernel tells of it.
struct Watched {
    socket: TokioSocket,
    table: &'static str,
    /// Whether the transaction that is being told has touched it.
    is_touched: bool,
    authors: Vec<Author>,
}

impl Watched {
    /// Ends when a transaction was told as a whole that touched the table: who made it is said last.
    async fn hear(&mut self) {
        let mut buffer = Vec::with_capacity(16 << 10);
        loop {
            buffer.clear();
            // The one error is `ENOBUFS`: there was more than fits.
            if self.socket.recv(&mut buffer).await.is_err() {
                return;
            }
            self.is_touched |= is_about(&buffer, self.table);
            if let Some(author) = messages(&buffer).find_map(author)
                && std::mem::take(&mut self.is_touched)
            {
                if self.authors.len() < AUTHORS && !self.authors.contains(&author) {
                    self.authors.push(author);
                }
                return;
            }
        }
    }
}

/// Waits for changes. What happens while nobody waits is told to whoever waits next.
pub struct Changes {
    links: TokioSocket,
    tables: Option<Watched>,
    told_at: Option<Instant>,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.tables.as_ref().map(|own| own.table);
        f.debug_struct("Changes")
            .field("table", &table)
            .finish_non_exhaustive()
    }
}

impl Changes {
    /// Changes of interfaces. Needs a runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket, as in a sandbox that forbids it.
    pub fn of_links() -> io::Result<Self> {
        Ok(Self {
            links: listen(NETLINK_ROUTE, LINKS)?,
            tables: None,
            told_at: None,
        })
    }

    /// Changes of interfaces, and of this table of the family `inet`.
    ///
    /// # Errors
    /// As [`Self::of_links`].
    pub fn of_links_and(table: &'static str) -> io::Result<Self> {
        Ok(Self {
            tables: Some(Watched {
                socket: listen(NETLINK_NETFILTER, TABLES)?,
                table,
                is_touched: false,
                authors: vec![],
            }),
            ..Self::of_links()?
        })
    }

    /// Who changed the table since this was asked last, in so far as it was told. What we do ourselves is among it.
    pub fn authors(&mut self) -> Vec<Author> {
        let own = self.tables.as_mut();
        own.map(|own| std::mem::take(&mut own.authors))
            .unwrap_or_default()
    }

    /// Ends when something changed.
    pub async fn next(&mut self) -> Changed {
        let mut changed = self.take().await;
        if let Some(told_at) = self.told_at {
            sleep_until(told_at + REST).await;
        }
        // What is told already: it is the same change.
        loop {
            tokio::select! {
                biased;
                more = self.take() => {
                    changed.links |= more.links;
                    changed.table |= more.table;
                }
                () = std::future::ready(()) => break,
            }
        }
        self.told_at = Some(Instant::now());
        changed
    }

    /// What the kernel tells next that counts.
    async fn take(&mut self) -> Changed {
        let Self { links, tables, .. } = self;
        let table = async {
            match tables {
                Some(tables) => tables.hear().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hear(links) => Changed { links: true, table: false },
            () = table => Changed { links: false, table: true },
        }
    }
}

fn listen(protocol: isize, groups: u32) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    Ok(socket)
}

/// Ends with a message. That some were lost counts as one.
async fn hear(socket: &TokioSocket) {
    // The one error is `ENOBUFS`: there was more than fits.
    let _ = socket.recv(&mut Vec::with_capacity(16 << 10)).await;
}

/// Whether any message of a datagram is about this table of the family `inet`.
///
/// A message is `nlmsghdr` (16 bytes, the first four its length), `nfgenmsg` (4, the first its family), and
/// attributes; of all messages of nftables but the one of the new generation's number, attribute 1 is the table.
fn is_about(told: &[u8], table: &str) -> bool {
    // One that was cut off was large.
    messages(told).any(|message| match message {
        Ok(message) => message.get(16) == Some(&INET) && string_of(message, 1) == Some(table.as_bytes()),
        Err(CutOff) => true,
    })
}

/// What there was no room for.
struct CutOff;

fn messages(told: &[u8]) -> impl Iterator<Item = Result<&[u8], CutOff>> {
    let mut rest = told;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX).max(16);
        let message = rest.get(..length).ok_or(CutOff);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Who made a transaction: `NFTA_GEN_PROC_PID` (2) and `NFTA_GEN_PROC_NAME` (3) of `NFT_MSG_NEWGEN`, its last message.
fn author(message: Result<&[u8], CutOff>) -> Option<Author> {
    let message = message.ok()?;
    if u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?) != NEW_GENERATION {
        return None;
    }
    let pid = attribute(message, 2).and_then(|pid| pid.try_into().ok());
    let name = string_of(message, 3).unwrap_or_default();
    Some(Author {
        pid: pid.map(u32::from_be_bytes).unwrap_or_default(),
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

fn string_of(message: &[u8], wanted: u16) -> Option<&[u8]> {
    attribute(message, wanted)?.strip_suffix(&[0])
}

pub(crate) fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(20..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message about a table, with one attribute before it.
    fn message(family: u8, table: &str) -> Vec<u8> {
        let mut attributes = vec![6, 0, 9, 0, 1, 1, 0, 0];
        let length = u16::try_from(table.len() + 5).unwrap_or_default();
        attributes.extend(length.to_ne_bytes());
        attributes.extend(1_u16.to_ne_bytes());
        attributes.extend(table.as_bytes());
        attributes.push(0);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        let length = u32::try_from(20 + attributes.len()).unwrap_or_default();
        let mut message = length.to_ne_bytes().to_vec();
        message.resize(16, 0);
        message.extend([family, 0, 0, 0]);
        message.extend(attributes);
        message
    }

    #[test]
    fn only_the_own_table_counts() {
        let (own, other) = (message(INET, "faros"), message(INET, "docker"));
        let (other_family, longer) = (message(2, "faros"), message(INET, "faros2"));
        for (told, is_ours) in [
            (own.clone(), true),
            (other.clone(), false),
            (other_family, false),
            (longer, false),
            ([other.clone(), own.clone()].concat(), true),
            ([other, own[..24].to_vec()].concat(), true),
            (vec![], false),
            (vec![0; 64], false),
            (vec![0xff; 64], true),
        ] {
            assert_eq!(is_about(&told, "faros"), is_ours, "{told:?}");
        }
    }

    /// What is told after each command in a network of its own; `None` if nothing is.
    async fn told_of(commands: &[&str]) -> io::Result<(Vec<Option<Changed>>, Vec<Author>)> {
        let mut changes = Changes::of_links_and("faros")?;
        let mut told = Vec::new();
        for command in commands {
            let mut words = command.split_whitespace();
            let program = words.next().unwrap_or("true");
            let done = std::process::Command::new(program).args(words).status()?;
            assert!(done.success(), "{command}");
            // The kernel tells before a command ends.
            told.push(tokio::time::timeout(REST * 3, changes.next()).await.ok());
        }
        Ok((told, changes.authors()))
    }

    #[test]
    fn what_is_changed_is_told_and_what_nobody_changes_is_not() -> io::Result<()> {
        // A network belongs to the thread that asks for it, and goes with it.
        let told = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(told_of(&[
                "true",
                "ip link set lo up",
                "true",
                "nft add table inet docker",
                "nft add table inet faros",
                "ip address add 192.0.2.1/32 dev lo",
            ]))
        });
        let (told, authors) = told.join().map_err(|_| io::Error::other("the thread died"))??;
        let links = Some(Changed {
            links: true,
            table: false,
        });
        let table = Some(Changed {
            links: false,
            table: true,
        });
        assert_eq!(told, [None, links, None, None, table, links]);
        let names: Vec<&str> = authors.iter().map(|author| author.name.as_str()).collect();
        assert_eq!(names, ["nft"], "who changed the one table");
        Ok(())
    }
}
