//! A connection that answers go out on, in the clear or over TLS.
//!
//! In the clear, files go from the page cache to the socket by `sendfile(2)`, never through this process. Over TLS
//! they have to be encrypted, so they come through in pieces.

use std::{fs::File, io, os::unix::fs::FileExt as _, time::Duration};

use rustix::{fs::sendfile, net::SendFlags};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take none of its answer.
const STALLED: Duration = Duration::from_mins(1);
/// Bytes for one `sendfile`: long enough to cost nothing, short enough to be fair.
const PIECE: usize = 1 << 20;
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
    ) -> io::Result<usize> {
        let at_most = |limit: usize| usize::try_from(count).unwrap_or(limit).min(limit);
        let sent = match self {
            Self::Plain(stream) => {
                let sent = stream.async_io(Interest::WRITABLE, || {
                    Ok(sendfile(&*stream, file, Some(&mut *offset), at_most(PIECE))?)
                });
                timeout(STALLED, sent).await??
            }
            Self::Tls(stream) => {
                piece.resize(at_most(TLS_PIECE), 0);
                let read = file.read_at(piece, *offset)?;
                timeout(STALLED, stream.write_all(&piece[..read])).await??;
                *offset += read as u64;
                read
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
