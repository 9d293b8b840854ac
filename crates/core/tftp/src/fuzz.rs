//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use jiff::{SignedDuration, Timestamp};

use crate::{Limits, Packet, ReadRequest, Step, Transfer, parse};

/// Whatever the bytes, what is read keeps its limits.
pub fn request(bytes: &[u8]) {
    if let Ok(Packet::Read(request)) = parse(bytes) {
        assert!((1..=255).contains(&request.file.len()));
        assert!(request.block_size.is_none_or(|size| (8..=65_464).contains(&size)));
    }
}

/// Whatever a client acknowledges, only blocks of the file are sent, and the transfer ends.
pub fn transfer(bytes: &[u8]) {
    let [size_hi, size_lo, block_size, window, acks @ ..] = bytes else {
        return;
    };
    let size = u64::from(u16::from_be_bytes([*size_hi, *size_lo])) * 17;
    let request = ReadRequest {
        file: "x".to_owned(),
        block_size: Some(u16::from(*block_size) * 8 + 8),
        window: Some(u16::from(*window) + 1),
        ..ReadRequest::default()
    };
    let mut now = Timestamp::UNIX_EPOCH;
    let limits = Limits::for_mtu(1500);
    let (mut transfer, mut step) = Transfer::begin(now, &request, size, limits);
    let mut acks = acks.iter();
    loop {
        match step {
            Step::Done | Step::GiveUp => break,
            Step::SendBlocks { first, last } => {
                assert!(first <= last && last - first < u64::from(limits.window));
                let (offset, length) = transfer.place(last);
                assert!(offset + length as u64 <= size);
            }
            Step::Send(_) | Step::Wait => (),
        }
        step = if let Some(ack) = acks.next().filter(|ack| **ack != 255) {
            transfer.on_ack(now, u16::from(*ack))
        } else {
            now += SignedDuration::from_secs(10);
            transfer.on_timeout(now)
        };
    }
}
