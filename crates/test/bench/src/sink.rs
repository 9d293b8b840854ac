//! Takes what HTTP servers send, and throws it away.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_bench::load::enter;

const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the file `/part`.
pub(crate) const PART: usize = 8 << 20;

/// What to take, and with how many connections at once.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    to: SocketAddrV4,
    path: String,
    clients: usize,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetched {
    bytes: u64,
    pub(crate) elapsed: Duration,
}

impl Fetch {
    pub(crate) fn new(to: SocketAddrV4, path: &str, clients: usize) -> Self {
        let path = path.to_owned();
        Self { to, path, clients }
    }
}

impl Fetched {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    pub(crate) fn gigabytes(self) -> f64 {
        self.bytes as f64 / 1e9
    }
}

/// Takes it from inside of a namespace, once for each client.
pub(crate) fn inside(namespace: &str, fetch: &Fetch) -> anyhow::Result<Fetched> {
    let begun = Instant::now();
    let threads: Vec<_> = (0..fetch.clients)
        .map(|_| {
            let (namespace, fetch) = (namespace.to_owned(), fetch.clone());
            thread::spawn(move || enter(&namespace, move || once(&fetch)))
        })
        .collect();
    let mut bytes = 0;
    for thread in threads {
        let own = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        bytes += own?;
    }
    Ok(Fetched {
        bytes,
        elapsed: begun.elapsed(),
    })
}

/// Takes it here; how many bytes there were.
pub(crate) fn once(fetch: &Fetch) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&fetch.to.into(), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let Fetch { to, path, .. } = fetch;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut buffer = vec![0; 256 << 10];
    let mut head = Vec::new();
    let end = loop {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "the connection ended in the head");
        head.extend_from_slice(&buffer[..n]);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let length = content_length(&head[..end]).context("no length of a good answer")?;
    let mut left = length.saturating_sub((head.len() - end) as u64);
    while left > 0 {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "{left} bytes are missing");
        left = left.saturating_sub(n as u64);
    }
    Ok(length)
}

/// The length of what follows, if the status is good.
fn content_length(head: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.get(9..10).filter(|digit| *digit == "2")?;
    head.lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_length() {
        let length = |head: &str| content_length(head.as_bytes());
        assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), Some(7));
        assert_eq!(
            length("HTTP/1.1 206 Partial\r\ncontent-length: 8\r\n\r\n"),
            Some(8)
        );
        assert_eq!(
            length("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n"),
            None
        );
        assert_eq!(length("HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
