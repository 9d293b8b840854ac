//! Questions to the kernel's packet filter (nfnetlink), one message each.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    time::TimeVal,
};

/// A socket that waits so long for an answer.
pub(crate) fn open(patience: TimeVal) -> io::Result<OwnedFd> {
    let ask = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&ask, ReceiveTimeout, &patience)?;
    Ok(ask)
}

/// Sends one message. `nlmsghdr`: length, type, flags, sequence, port. `nfgenmsg`: family, version, resource.
pub(crate) fn send(ask: &OwnedFd, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(20 + attributes.len()).map_err(io::Error::other)?;
    let mut request = Vec::with_capacity(20 + attributes.len());
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, 0, 0, 0]);
    request.extend(attributes);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(ask.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
    Ok(())
}
