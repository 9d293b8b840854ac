//! Tests, by side: what clients are told, what sources are worth, and what is done to the clock.

mod discipline;
mod server;
mod sources;
mod upstream;

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn ms(milliseconds: i64) -> SignedDuration {
    SignedDuration::from_millis(milliseconds)
}

fn peer(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}
