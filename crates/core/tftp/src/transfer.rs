//! One transfer, from the first packet to the last acknowledgment.
//!
//! Blocks count from 1 without wrapping here; only the wire has 16 bits. The window slides from the last
//! block that the client is known to have. A repeated acknowledgment moves nothing, except that in a window
//! of several blocks it says that the first of them was lost: then the window is sent once more, and not
//! again until something else happens (the Sorcerer's Apprentice bug is an answer to every duplicate).

use jiff::{SignedDuration, Timestamp};

use crate::packet::{ReadRequest, option_ack};

/// Most times that one packet is sent again.
const MAX_TRIES: u32 = 6;
/// First wait for an acknowledgment, unless the client asks for another.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// Longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(8);

/// What the bastion agrees to at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest block in bytes: what fits a packet of the LAN.
    pub block_size: u16,
    /// Largest window in blocks.
    pub window: u16,
}

impl Limits {
    /// What suits a LAN with this MTU: blocks that need no fragments (IP, UDP and TFTP headers take 32 bytes).
    pub const fn for_mtu(mtu: u16) -> Self {
        Self {
            block_size: if mtu > 576 { mtu - 32 } else { 512 },
            window: 64,
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, then wait until [`Transfer::deadline`].
    Send(Vec<u8>),
    /// Send the blocks `first..=last`, then wait until [`Transfer::deadline`].
    SendBlocks {
        /// The first block.
        first: u64,
        /// The last block; the file's last one may be short or empty.
        last: u64,
    },
    /// Go on waiting.
    Wait,
    /// The client has the whole file.
    Done,
    /// The client does not answer.
    GiveUp,
}

/// One transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    size: u64,
    block_size: u16,
    window: u16,
    /// Length of the file in blocks, the short one at its end included.
    blocks: u64,
    /// Last block that the client is known to have.
    acked: u64,
    /// Last block that was sent since.
    sent: u64,
    /// The window after `acked` was sent again because of a repeated acknowledgment.
    repeated: bool,
    /// The option acknowledgment, until the client answers it.
    opening: Option<Vec<u8>>,
    wait: SignedDuration,
    first_wait: SignedDuration,
    tries: u32,
    deadline: Timestamp,
}

impl Transfer {
    /// Begins a transfer of a file of `size` bytes, and says what to send first.
    pub fn begin(now: Timestamp, request: &ReadRequest, size: u64, limits: Limits) -> (Self, Step) {
        let block_size = request
            .block_size
            .map_or(512, |wanted| wanted.min(limits.block_size).max(8));
        let window = request
            .window
            .map_or(1, |wanted| wanted.min(limits.window).max(1));
        let first_wait = request
            .timeout
            .map_or(FIRST_WAIT, |s| SignedDuration::from_secs(i64::from(s)));
        let mut options = Vec::new();
        options.extend(request.block_size.map(|_| ("blksize", block_size.to_string())));
        options.extend(request.wants_size.then(|| ("tsize", size.to_string())));
        options.extend(request.timeout.map(|timeout| ("timeout", timeout.to_string())));
        options.extend(request.window.map(|_| ("windowsize", window.to_string())));
        let mut transfer = Self {
            size,
            block_size,
            window,
            blocks: size / u64::from(block_size) + 1,
            acked: 0,
            sent: 0,
            repeated: false,
            opening: (!options.is_empty()).then(|| option_ack(&options)),
            wait: first_wait,
            first_wait,
            tries: 0,
            deadline: now,
        };
        let step = transfer.push(now);
        (transfer, step)
    }

    /// The client has everything up to `block` (modulo 65536).
    pub fn on_ack(&mut self, now: Timestamp, block: u16) -> Step {
        if self.opening.is_some() {
            if block != 0 {
                return Step::Wait;
            }
            self.opening = None;
            return self.advance(now, 0);
        }
        // The one block of the window with these low bits; the window is far smaller than 65536.
        let ahead = u64::from(block.wrapping_sub(low_bits(self.acked)));
        let block = self.acked + ahead;
        if block > self.sent {
            return Step::Wait;
        }
        if block == self.blocks {
            self.acked = block;
            return Step::Done;
        }
        if ahead > 0 {
            return self.advance(now, block);
        }
        if self.window > 1 && !self.repeated {
            self.repeated = true;
            return self.push(now);
        }
        Step::Wait
    }

    /// The deadline has come, and nothing was heard.
    pub fn on_timeout(&mut self, now: Timestamp) -> Step {
        if now < self.deadline {
            return Step::Wait;
        }
        self.tries += 1;
        if self.tries >= MAX_TRIES {
            return Step::GiveUp;
        }
        self.wait = (self.wait * 2).min(LONGEST_WAIT.max(self.first_wait));
        self.push(now)
    }

    /// When the next time-out is due.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Where block `block` stands in the file: its offset and length in bytes.
    pub fn place(&self, block: u64) -> (u64, usize) {
        let size = u64::from(self.block_size);
        let offset = (block - 1) * size;
        let length = self.size.saturating_sub(offset).min(size);
        (offset, usize::try_from(length).unwrap_or(0))
    }

    /// How many bytes the client is known to have.
    pub fn bytes_acked(&self) -> u64 {
        (self.acked * u64::from(self.block_size)).min(self.size)
    }

    fn advance(&mut self, now: Timestamp, acked: u64) -> Step {
        self.acked = acked;
        self.repeated = false;
        self.tries = 0;
        self.wait = self.first_wait;
        self.push(now)
    }

    /// Sends what comes after the last acknowledgment.
    fn push(&mut self, now: Timestamp) -> Step {
        // A time that cannot be reached is no deadline; the clock does not go there.
        self.deadline = now.checked_add(self.wait).unwrap_or(Timestamp::MAX);
        if let Some(opening) = &self.opening {
            return Step::Send(opening.clone());
        }
        let last = (self.acked + u64::from(self.window)).min(self.blocks);
        self.sent = self.sent.max(last);
        Step::SendBlocks {
            first: self.acked + 1,
            last,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "block numbers wrap around at 65536"
)]
const fn low_bits(block: u64) -> u16 {
    block as u16
}
