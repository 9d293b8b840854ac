//! A thread of its own for one UDP socket, where what a packet costs is what the kernel takes to carry it.
//!
//! Nobody asks first whether there is a packet: the thread sleeps in the very call that takes it.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::net::{Shutdown, shutdown};
use tokio_util::sync::CancellationToken;

/// What is needed of memory is small.
const STACK: usize = 256 << 10;
/// How long to rest when the socket is broken, which is said of none that is bound.
const REST: Duration = Duration::from_millis(50);

/// The thread, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Arc<UdpSocket>,
    ends: Arc<AtomicBool>,
    ended: CancellationToken,
}

/// Whether the thread is to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'a>(&'a AtomicBool);

impl Ends<'_> {
    /// To be asked after each time that a packet was waited for, and before it is looked at: who waits is woken by
    /// what is no packet.
    pub(crate) fn now(self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Listening {
    /// Has `work` do on a thread what is to be done with the packets of a socket.
    pub(crate) fn start(
        name: &str,
        socket: UdpSocket,
        work: impl FnOnce(&Arc<UdpSocket>, Ends<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        let (socket, ends) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let ended = CancellationToken::new();
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK)
            .spawn({
                let (socket, ends, ended) = (Arc::clone(&socket), Arc::clone(&ends), ended.clone());
                move || {
                    // Told in the end, also after a panic, and when the socket is let go.
                    let _ended = ended.drop_guard();
                    let socket = socket;
                    work(&socket, Ends(&ends));
                }
            })?;
        Ok(Self { socket, ends, ended })
    }

    /// Waits until the thread has ended.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Has the thread end.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Release);
        // Whoever waits for a packet is woken, though the kernel says that there is no connection to shut down.
        let _ = shutdown(&*self.socket, Shutdown::Both);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

/// What to do when a packet that was waited for could not be taken: a broken socket must not cost all there is.
pub(crate) fn rest_after(error: &io::Error) {
    if error.kind() != io::ErrorKind::Interrupted {
        tracing::debug!(%error, "cannot receive");
        thread::sleep(REST);
    }
}
