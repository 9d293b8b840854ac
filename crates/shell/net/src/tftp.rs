//! Runs TFTP on the bastion's LAN address: one socket for requests, and one with a port of its own for each
//! transfer (RFC 1350 section 4).

mod burst;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use faros_model::{api::ServiceState, ports::TFTP};
use faros_tftp::{ErrorCode, Limits, Packet, ReadRequest, Step, Transfer, error, parse};
use tokio::{net::UdpSocket, sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use self::burst::Burst;
use crate::{
    clock::Clock,
    pages::{Ended, Loaders, OpenFile},
    service::{BindError, Health},
    socket,
};

/// Most transfers at a time; a site has a few dozen machines.
const MAX_TRANSFERS: usize = 256;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// The TFTP service.
pub struct Tftp {
    address: Ipv4Addr,
    socket: UdpSocket,
    pages: Arc<dyn Loaders>,
    health: Health,
    room: Arc<Semaphore>,
}

impl std::fmt::Debug for Tftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tftp")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Tftp {
    /// Takes the port.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind(address: Ipv4Addr, pages: Arc<dyn Loaders>, health: Health) -> Result<Self, BindError> {
        let socket = socket::udp(SocketAddrV4::new(address, TFTP))?;
        Ok(Self {
            address,
            socket,
            pages,
            health,
            room: Arc::new(Semaphore::new(MAX_TRANSFERS)),
        })
    }

    /// Serves until told to stop; transfers under way end with it.
    pub async fn run(self, stop: CancellationToken) {
        self.health.set(ServiceState::Ready, "");
        let mut buffer = vec![0; 1024];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.socket.recv_from(&mut buffer) => received,
            };
            let Ok((length, SocketAddr::V4(from))) = received else {
                continue;
            };
            self.request(&buffer[..length], from, &stop);
        }
    }

    fn request(&self, bytes: &[u8], from: SocketAddrV4, stop: &CancellationToken) {
        let count = |label| self.health.counter(label).add(1);
        if !self.pages.serves(*from.ip()) {
            return count("tftp_outsider");
        }
        let request = match parse(bytes) {
            Ok(Packet::Read(request)) => request,
            // Acknowledgments and errors belong on the port of a transfer.
            Ok(Packet::Ack(_)) => {
                return self.answer(from, &error(ErrorCode::UnknownTransfer, "no such transfer"));
            }
            Ok(Packet::Error { .. }) => return count("tftp_stray_error"),
            Err(refused) => {
                count(refused.label());
                if let Some(answer) = refused.answer() {
                    self.answer(from, &answer);
                }
                return;
            }
        };
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            count("tftp_overload");
            return;
        };
        count("tftp_requests");
        let (pages, health, stop, own) = (
            Arc::clone(&self.pages),
            self.health.clone(),
            stop.clone(),
            self.address,
        );
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = stop.cancelled() => (),
                served = serve(own, from, &request, &*pages, &health) => if let Err(error) = served {
                    tracing::debug!(%from, file = request.file, %error, "cannot serve");
                },
            }
        });
    }

    fn answer(&self, to: SocketAddrV4, bytes: &[u8]) {
        if let Err(error) = self.socket.try_send_to(bytes, to.into()) {
            tracing::debug!(%to, %error, "cannot answer");
        }
    }
}

/// Serves one request on a port of its own.
async fn serve(
    own: Ipv4Addr,
    from: SocketAddrV4,
    request: &ReadRequest,
    pages: &dyn Loaders,
    health: &Health,
) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddrV4::new(own, 0)).await?;
    socket.connect(SocketAddr::V4(from)).await?;
    let name = request.file.trim_start_matches('/').to_owned();
    let Some(file) = pages.loader(*from.ip(), name).await else {
        health.counter("tftp_not_found").add(1);
        socket
            .send(&error(
                ErrorCode::FileNotFound,
                "there is no such file for this machine",
            ))
            .await?;
        return Ok(());
    };
    let started = Instant::now();
    let result = transfer(&socket, request, &file, pages, *from.ip()).await;
    // UEFI firmware asks for the size and breaks off, before it asks for the file.
    if let Err((0, _)) = &result
        && request.wants_size
    {
        health.counter("tftp_size_asked").add(1);
        return Ok(());
    }
    let (bytes, failed) = match result {
        Ok(bytes) => (bytes, None),
        Err((bytes, why)) => (bytes, Some(why)),
    };
    health
        .counter(if failed.is_none() {
            "tftp_sent"
        } else {
            "tftp_failed"
        })
        .add(1);
    let (from, of) = (*from.ip(), file.size);
    pages.ended(Ended {
        from,
        file,
        bytes,
        of,
        elapsed: started.elapsed(),
        protocol: "tftp",
        failed,
    });
    Ok(())
}

/// Runs a transfer to its end: the bytes that arrived, and why it ended early if it did.
async fn transfer(
    socket: &UdpSocket,
    request: &ReadRequest,
    file: &OpenFile,
    pages: &dyn Loaders,
    from: Ipv4Addr,
) -> Result<u64, (u64, String)> {
    let limits = Limits::for_mtu(pages.mtu());
    let clock = Clock::default();
    let (mut transfer, mut step) = Transfer::begin(clock.now(), request, file.size, limits);
    let mut burst = Burst::new();
    let mut received = [0; 600];
    let mut told = Instant::now();
    loop {
        match &step {
            Step::Done => return Ok(file.size),
            Step::GiveUp => return Err((transfer.bytes_acked(), "the client no longer answers".to_owned())),
            Step::Wait => (),
            Step::Send(bytes) => lossy(socket.send(bytes).await),
            Step::SendBlocks { first, last } => {
                let sent = burst.send(socket, &file.file, &transfer, *first..=*last);
                if let Err(error) = sent.await {
                    lossy(
                        socket
                            .send(&faros_tftp::error(ErrorCode::NotDefined, "cannot read the file"))
                            .await,
                    );
                    return Err((transfer.bytes_acked(), format!("cannot read the file: {error}")));
                }
            }
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            pages.progress(from, &file.name, transfer.bytes_acked(), file.size);
        }
        let left = transfer.deadline().duration_since(clock.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        step = match tokio::time::timeout(left, socket.recv(&mut received)).await {
            Err(_) => transfer.on_timeout(clock.now()),
            // The client's port is closed: it is gone.
            Ok(Err(error)) => return Err((transfer.bytes_acked(), format!("the client is gone: {error}"))),
            Ok(Ok(length)) => match parse(&received[..length]) {
                Ok(Packet::Ack(block)) => transfer.on_ack(clock.now(), block),
                Ok(Packet::Error { code, message }) => {
                    // Firmware asks for the size first, and then breaks off with code 8.
                    let why = format!("the client broke off: {message} (error {code})");
                    return Err((transfer.bytes_acked(), why));
                }
                Ok(Packet::Read(_)) | Err(_) => Step::Wait,
            },
        };
    }
}

/// A datagram that cannot be sent is lost, as on any network; time-outs see to it.
fn lossy(sent: io::Result<usize>) {
    if let Err(error) = sent {
        tracing::trace!(%error, "lost a datagram");
    }
}
