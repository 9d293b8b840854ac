//! Controls: the least that a server can do, so that the harness' own limit is seen.
//!
//! They are this very program, started a second time on a bastion, so that their CPU time is told as a peer's is.

mod dhcp;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context as _;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Control {
    /// Send each datagram back, with one system call each way.
    UdpEcho {
        address: SocketAddrV4,
        /// Mark it as an answer to a DNS query.
        #[arg(long)]
        dns: bool,
    },
    /// Answer every request with the whole of one file, by sendfile.
    Sendfile { port: u16, file: PathBuf },
    /// Give out addresses from `first` on, each on disk before it is promised.
    Dhcp {
        own: Ipv4Addr,
        first: Ipv4Addr,
        leases: PathBuf,
    },
}

pub(crate) fn run(control: &Control) -> anyhow::Result<()> {
    match control {
        Control::UdpEcho { address, dns } => echo(*address, *dns),
        Control::Sendfile { port, file } => send_files(*port, file),
        Control::Dhcp { own, first, leases } => dhcp::serve(*own, *first, leases),
    }
}

fn echo(address: SocketAddrV4, dns: bool) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot bind {address}"))?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if dns {
            buffer[2] |= 0x80;
        }
        // A full queue loses it, as the network may.
        let _ = socket.send_to(&buffer[..length], from);
    }
}

fn send_files(port: u16, file: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    loop {
        let (stream, _) = listener.accept()?;
        let file = File::open(file)?;
        thread::spawn(move || send_file(stream, &file));
    }
}

/// A client that goes away ends only its own answer.
fn send_file(mut stream: TcpStream, file: &File) -> anyhow::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    let length = file.metadata()?.len();
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    let mut at = 0;
    while at < length {
        let room = usize::try_from((length - at).min(1 << 30))?;
        rustix::fs::sendfile(&stream, file, Some(&mut at), room)?;
    }
    Ok(())
}
