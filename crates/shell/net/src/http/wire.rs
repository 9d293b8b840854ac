//! A connection that answers go out on, in the clear or over TLS.
//!
//! In the clear, files go from the page cache to the socket by `sendfile(2)`, never through this process. Over TLS
//! they have to be encrypted, so they come through in pieces.

use std::{fs::File, io, os::unix::fs::FileExt as _, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::sendfile,
    net::SendFlags,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take none of its answer.
const STALLED: Duration = Duration::from_mins(1);
/// After so long it is told how far a slow client has come.
const SLOW: Duration = Duration::from_millis(500);
/// Bytes for one `sendfile`.
const PIECE: usize = 1 << 20;
/// Bytes between two turns of the other connections: long enough to cost nothing, short enough to be fair.
const TURN: u64 = 8 << 20;
/// The same in time, where the disk is slower than the client.
const SHARE: Duration = Duration::from_millis(2);
/// Bytes that are encrypted at a time: two records. Each connection that sends a file has so many in memory.
const TLS_PIECE: usize = 32 << 10;
/// How long, and for how many bytes, a client that was refused may go on sending, so that it reads why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// A connection that was accepted; over TLS, once its handshake is done.
    pub(super) async fn open(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(match tls {
            None => Self::Plain(stream),
            Some(tls) => Self::Tls(Box::new(tls.accept(stream).await?)),
        })
    }

    /// `http` or `https`.
    pub(super) const fn protocol(&self) -> &'static str {
        match self {
            Self::Plain(_) => "http",
            Self::Tls(_) => "https",
        }
    }

    /// Reads what is there; 0 bytes when the client is done.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    /// Sends bytes, to the last.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = async {
            match self {
                Self::Plain(stream) => stream.write_all(bytes).await,
                Self::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
            }
        };
        timeout(STALLED, write).await?
    }

    /// Sends bytes that more bytes follow, so that a head does not travel alone.
    pub(super) async fn write_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => return timeout(STALLED, stream.write_all(bytes)).await?,
        };
        let mut left = bytes;
        while !left.is_empty() {
            let ready = stream.async_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(
                    &*stream,
                    left,
                    SendFlags::MORE | SendFlags::NOSIGNAL,
                )?)
            });
            let sent = timeout(STALLED, ready).await??;
            left = &left[sent..];
        }
        Ok(())
    }

    /// Sends the next bytes of a file, at most `count`, and says how many; `piece` is room to work in.
    pub(super) async fn send(
        &mut self,
        file: &File,
        offset: &mut u64,
        count: u64,
        piece: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let sent = match self {
            Self::Plain(stream) => {
                let from = *offset;
                send_plain(stream, file, offset, from + count.min(TURN)).await?;
                *offset - from
            }
            Self::Tls(stream) => {
                piece.resize(usize::try_from(count).unwrap_or(TLS_PIECE).min(TLS_PIECE), 0);
                let read = file.read_at(piece, *offset)?;
                timeout(STALLED, stream.write_all(&piece[..read])).await??;
                *offset += read as u64;
                read as u64
            }
        };
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter",
            ));
        }
        Ok(sent)
    }

    /// Sends what is held back.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => timeout(STALLED, stream.flush()).await?,
        }
    }

    /// Ends the connection. A client that still sends is let send for a moment: what it does not read in the end is
    /// the answer, if the kernel has to tell it that nobody listens.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        let end = async {
            match self {
                Self::Plain(stream) => stream.shutdown().await?,
                Self::Tls(stream) => stream.shutdown().await?,
            }
            let mut left = Vec::with_capacity(4096);
            let mut n_bytes = 0;
            while n_bytes < LINGER_BYTES {
                left.clear();
                match self.read(&mut left).await? {
                    0 => break,
                    n => n_bytes += n,
                }
            }
            Ok(())
        };
        timeout(LINGER, end).await.unwrap_or(Ok(()))
    }
}

/// Sends a file from `offset` to `end`; less of it if the client is slow, or the file has become shorter.
///
/// A socket that is full has a little room again very soon. Who fills that at once is called for every few packets; so
/// this waits until the kernel has room for a good part, which is what `poll(2)` calls writable.
async fn send_plain(stream: &TcpStream, file: &File, offset: &mut u64, end: u64) -> io::Result<()> {
    let from = *offset;
    let begun = Instant::now();
    loop {
        let sending = stream.async_io(Interest::WRITABLE, || {
            let turn = Instant::now();
            while *offset < end && turn.elapsed() < SHARE {
                let piece = usize::try_from(end - *offset).unwrap_or(PIECE).min(PIECE);
                let sent = sendfile(stream, file, Some(&mut *offset), piece)?;
                if sent == 0 {
                    break;
                }
                let mut socket = [PollFd::new(stream, PollFlags::OUT)];
                if sent < piece && poll(&mut socket, Some(&Timespec::default()))? == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Ok(())
        });
        match timeout(SLOW, sending).await {
            Ok(ended) => return ended,
            Err(_) if *offset > from => return Ok(()),
            Err(nothing) if begun.elapsed() >= STALLED => return Err(nothing.into()),
            Err(_) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A connection, its other end, and a file of so many bytes, none of which is like its neighbors.
    async fn connected(size: u32) -> io::Result<(Wire, TcpStream, File)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let file = tempfile::tempfile()?;
        file.write_all_at(&bytes(0, size), 0)?;
        Ok((Wire::open(listener.accept().await?.0, None).await?, client, file))
    }

    fn bytes(from: u32, size: u32) -> Vec<u8> {
        let byte = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0];
        (from..from + size).map(byte).collect()
    }

    #[tokio::test]
    async fn whoever_reads_slowly_gets_all_of_it() -> io::Result<()> {
        let size = 24 << 20;
        let (mut wire, mut client, file) = connected(size).await?;
        let sending = tokio::spawn(async move {
            let mut offset = 0;
            let mut n_turns = 0;
            while offset < u64::from(size) {
                let left = u64::from(size) - offset;
                wire.send(&file, &mut offset, left, &mut vec![]).await?;
                n_turns += 1;
            }
            wire.end().await.map(|()| n_turns)
        });
        let (mut buffer, mut came) = (vec![0; 1 << 20], vec![]);
        loop {
            match client.read(&mut buffer).await? {
                0 => break,
                n => came.extend_from_slice(&buffer[..n]),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(client);
        assert!(sending.await?? >= 3, "the others had their turns");
        assert!(came == bytes(0, size), "{} bytes came", came.len());
        Ok(())
    }

    #[tokio::test]
    async fn of_a_client_that_takes_little_it_is_told_how_far_it_came() -> io::Result<()> {
        let (mut wire, _client, file) = connected(16 << 20).await?;
        let (mut offset, mut piece) = (0, vec![]);
        let told = wire.send(&file, &mut offset, 16 << 20, &mut piece);
        let sent = timeout(STALLED / 2, told).await??;
        assert!(sent > 0 && sent < TURN && sent == offset, "{sent}");
        Ok(())
    }

    #[tokio::test]
    async fn a_connection_that_breaks_says_why() -> io::Result<()> {
        let (mut wire, client, file) = connected(16 << 20).await?;
        let sending = tokio::spawn(async move {
            let mut offset = 0;
            loop {
                if let Err(error) = wire.send(&file, &mut offset, 16 << 20, &mut vec![]).await {
                    return error.kind();
                }
            }
        });
        client.readable().await?;
        // What is unread makes it a reset.
        drop(client);
        assert_eq!(sending.await?, io::ErrorKind::ConnectionReset);
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_told_at_once() -> io::Result<()> {
        let (mut wire, _client, file) = connected(1000).await?;
        let mut offset = 0;
        let sent = timeout(SLOW, wire.send(&file, &mut offset, 2000, &mut vec![])).await??;
        assert_eq!(sent, 1000);
        let told = timeout(SLOW, wire.send(&file, &mut offset, 1000, &mut vec![])).await?;
        assert_eq!(
            told.map_err(|error| error.kind()),
            Err(io::ErrorKind::UnexpectedEof)
        );
        Ok(())
    }
}
