//! Sends the blocks of a window: one read and one system call for many of them.
//!
//! The kernel cuts what it is given into datagrams of equal length (udp(7), `UDP_SEGMENT`), so the blocks lie behind
//! each other with their headers between them. A kernel or an interface that cannot do that gets them one by one.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::RangeInclusive,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
};

use faros_tftp::{Transfer, data_header};
use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg},
};
use tokio::{io::Interest, net::UdpSocket};

use super::lossy;

/// The header of a block, in bytes.
const HEADER: usize = 4;
/// Most blocks at a time. A kernel takes 64 or more.
const AT_ONCE: usize = 32;
/// Most bytes at a time: what one datagram of UDP could have, and less.
const MOST: usize = 48 << 10;

/// Room for blocks under way.
#[derive(Debug)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    /// Whether the kernel cuts, as far as is known.
    is_cut: bool,
}

impl Burst {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            is_cut: true,
        }
    }

    /// Sends blocks of a file. What the network does not take is lost.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) async fn send(
        &mut self,
        socket: &UdpSocket,
        file: &File,
        transfer: &Transfer,
        blocks: RangeInclusive<u64>,
    ) -> io::Result<()> {
        let (mut first, last) = blocks.into_inner();
        while first <= last {
            let (offset, size) = transfer.place(first);
            let stride = HEADER + size;
            let at_once = if self.is_cut {
                (MOST / stride).clamp(1, AT_ONCE)
            } else {
                1
            };
            let end = last.min(first + at_once as u64 - 1);
            // All but the file's last block have the same length.
            let (offset_of_last, size_of_last) = transfer.place(end);
            let before_last = usize::try_from(end - first).unwrap_or(0) * stride;
            self.bytes.clear();
            self.bytes.resize(before_last + HEADER + size_of_last, 0);
            for (block, bytes) in (first..).zip(self.bytes.chunks_mut(stride)) {
                bytes[..HEADER].copy_from_slice(&data_header(block));
            }
            let n_bytes = usize::try_from(offset_of_last - offset).unwrap_or(0) + size_of_last;
            self.read(file, offset, stride, n_bytes)?;
            self.hand_over(socket, stride).await;
            first = end + 1;
        }
        // Whoever has a window waits most of the time, and there may be hundreds of them.
        self.bytes = Vec::new();
        Ok(())
    }

    /// Reads the file's bytes to behind the headers.
    fn read(&mut self, file: &File, offset: u64, stride: usize, n_bytes: usize) -> io::Result<()> {
        let mut parts: Vec<IoSliceMut<'_>> = self
            .bytes
            .chunks_mut(stride)
            .map(|bytes| IoSliceMut::new(&mut bytes[HEADER..]))
            .collect();
        if rustix::io::preadv(file, &mut parts, offset)? == n_bytes {
            return Ok(());
        }
        let mut offset = offset;
        for bytes in self.bytes.chunks_mut(stride) {
            file.read_exact_at(&mut bytes[HEADER..], offset)?;
            offset += (bytes.len() - HEADER) as u64;
        }
        Ok(())
    }

    async fn hand_over(&mut self, socket: &UdpSocket, stride: usize) {
        let bytes = self.bytes.as_slice();
        if bytes.len() > stride {
            match cut(socket, bytes, stride).await {
                Err(error) if cannot_cut(&error) => self.is_cut = false,
                done => return lossy(done),
            }
        }
        for block in bytes.chunks(stride) {
            lossy(socket.send(block).await);
        }
    }
}

/// Sends datagrams of this length, the last of which may be shorter.
async fn cut(socket: &UdpSocket, bytes: &[u8], stride: usize) -> io::Result<usize> {
    let length = u16::try_from(stride).map_err(|_| Errno::EINVAL)?;
    let send = || {
        let parts = [io::IoSlice::new(bytes)];
        let control = [ControlMessage::UdpGsoSegments(&length)];
        let sent = sendmsg::<SockaddrIn>(socket.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, None)?;
        Ok(sent)
    };
    socket.async_io(Interest::WRITABLE, send).await
}

/// Whether this is what a kernel says that does not cut, or not for this interface.
fn cannot_cut(error: &io::Error) -> bool {
    let unable = [
        Errno::EINVAL,
        Errno::EIO,
        Errno::EMSGSIZE,
        Errno::ENOPROTOOPT,
        Errno::EOPNOTSUPP,
    ];
    unable.iter().any(|own| error.raw_os_error() == Some(*own as i32))
}
