use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    block_size: 1468,
    window: 16,
};

fn request(texts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn read(texts: &[&str]) -> ReadRequest {
    match parse(&request(texts)) {
        Ok(Packet::Read(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Runs a transfer by a script of `ack N`, `wait SECONDS`, and shows each step.
fn check(options: &[&str], size: u64, script: &str, expected: &str) {
    let mut now = Timestamp::UNIX_EPOCH;
    let texts: Vec<&str> = ["loader", "octet"].iter().chain(options).copied().collect();
    let (mut transfer, step) = Transfer::begin(now, &read(&texts), size, LIMITS);
    let show = |step: &Step| match step {
        Step::Send(bytes) => String::from_utf8_lossy(&bytes[2..])
            .replace('\0', " ")
            .trim()
            .to_owned(),
        Step::SendBlocks { first, last } => format!("blocks {first}-{last}"),
        Step::Wait => "-".to_owned(),
        Step::Done => "done".to_owned(),
        Step::GiveUp => "give up".to_owned(),
    };
    let mut shown = vec![show(&step)];
    for line in script.split(',').map(str::trim).filter(|line| !line.is_empty()) {
        let (what, number) = line.split_once(' ').unwrap();
        let step = if what == "ack" {
            transfer.on_ack(now, number.parse().unwrap())
        } else {
            now += SignedDuration::from_secs(number.parse().unwrap());
            transfer.on_timeout(now)
        };
        shown.push(show(&step));
    }
    assert_eq!(shown.join("; "), expected);
}

#[test]
fn a_plain_request_gets_blocks_of_512_one_by_one() {
    check(
        &[],
        1024,
        "ack 1, ack 2, ack 3",
        "blocks 1-1; blocks 2-2; blocks 3-3; done",
    );
}

#[test]
fn options_are_agreed_on_before_the_first_block() {
    check(
        &[
            "blksize",
            "65464",
            "tsize",
            "0",
            "windowsize",
            "100",
            "timeout",
            "3",
            "unknown",
            "x",
        ],
        3000,
        "ack 0, ack 3",
        "blksize 1468 tsize 3000 timeout 3 windowsize 16; blocks 1-3; done",
    );
}

#[test]
fn options_without_a_sensible_value_are_left_out() {
    check(
        &["blksize", "4", "windowsize", "0", "timeout", "0", "tsize", "0"],
        3,
        "",
        "tsize 3",
    );
    check(&["blksize", "99999"], 3, "", "blocks 1-1");
}

#[test]
fn a_lost_block_inside_of_a_window_is_sent_again_from_there() {
    check(
        &["windowsize", "4"],
        4096,
        "ack 0, ack 2, ack 6, ack 9",
        "windowsize 4; blocks 1-4; blocks 3-6; blocks 7-9; done",
    );
}

#[test]
fn a_repeated_acknowledgment_repeats_a_window_once() {
    check(
        &["windowsize", "4"],
        8192,
        "ack 0, ack 4, ack 4, ack 4, ack 8",
        "windowsize 4; blocks 1-4; blocks 5-8; blocks 5-8; -; blocks 9-12",
    );
}

#[test]
fn a_repeated_acknowledgment_of_a_single_block_is_ignored() {
    check(
        &[],
        1024,
        "ack 1, ack 1, ack 1, ack 2, ack 1",
        "blocks 1-1; blocks 2-2; -; -; blocks 3-3; -",
    );
}

#[test]
fn acknowledgments_of_what_was_never_sent_are_ignored() {
    check(
        &[],
        1024,
        "ack 7, ack 65535, ack 1",
        "blocks 1-1; -; -; blocks 2-2",
    );
    check(&["tsize", "0"], 1024, "ack 1, ack 0", "tsize 1024; -; blocks 1-1");
}

#[test]
fn silence_is_answered_by_sending_again_ever_later_and_then_giving_up() {
    check(
        &[],
        10,
        "wait 1, wait 1, wait 1, wait 4, wait 8, wait 8, wait 8",
        "blocks 1-1; blocks 1-1; -; blocks 1-1; blocks 1-1; blocks 1-1; blocks 1-1; give up",
    );
}

#[test]
fn a_file_that_fills_its_blocks_ends_with_an_empty_one() {
    let (transfer, _) = Transfer::begin(Timestamp::UNIX_EPOCH, &read(&["f", "octet"]), 1024, LIMITS);
    assert_eq!(transfer.place(2), (512, 512));
    assert_eq!(transfer.place(3), (1024, 0));
}

#[test]
fn block_numbers_wrap_around() {
    let mut now = Timestamp::UNIX_EPOCH;
    let (mut transfer, mut step) = Transfer::begin(now, &read(&["f", "octet"]), 512 * 70_000, LIMITS);
    let mut blocks = 0;
    while let Step::SendBlocks { first, .. } = step {
        blocks += 1;
        assert_eq!(first, blocks);
        now += SignedDuration::from_millis(1);
        let [_, _, hi, lo] = data_header(first);
        step = transfer.on_ack(now, u16::from_be_bytes([hi, lo]));
    }
    assert_eq!((step, blocks), (Step::Done, 70_001));
}

#[test]
fn what_is_no_request_for_bytes_is_refused() {
    let table: &[(&[u8], Refused)] = &[
        (b"", Refused::Malformed),
        (b"\0", Refused::Malformed),
        (b"\0\x01", Refused::Malformed),
        (b"\0\x01file", Refused::Malformed),
        (b"\0\x01file\0octet", Refused::Malformed),
        (b"\0\x01\0octet\0", Refused::Malformed),
        (b"\0\x01fi\x1ble\0octet\0", Refused::Malformed),
        (b"\0\x01file\0mail\0", Refused::Malformed),
        (b"\0\x01file\0netascii\0", Refused::Mode),
        (b"\0\x02file\0octet\0", Refused::Write),
        (b"\0\x03\0\x01", Refused::Malformed),
        (b"\0\x04\0", Refused::Malformed),
        (b"\0\x09", Refused::Malformed),
    ];
    for (bytes, refused) in table {
        assert_eq!(parse(bytes), Err(*refused), "{bytes:?}");
    }
    assert_eq!(
        parse(&request(&["f", "OcTeT"])),
        Ok(Packet::Read(read(&["f", "octet"])))
    );
}

proptest! {
    #[test]
    fn no_bytes_confuse_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz::request(&bytes);
        let mut read = vec![0, 1];
        read.extend(&bytes);
        fuzz::request(&read);
    }

    #[test]
    fn no_client_confuses_a_transfer(bytes in proptest::collection::vec(any::<u8>(), 4..300)) {
        fuzz::transfer(&bytes);
    }

    /// A client behind a bad cable ends with exactly the file's blocks.
    #[test]
    fn a_file_arrives_whole_over_any_bad_cable(
        size in 0_u64..20_000,
        window in 1_u16..20,
        fates in proptest::collection::vec(0_u8..10, 4000),
    ) {
        let mut fates = fates.into_iter();
        let mut lost = move || fates.next() == Some(0);
        let mut now = Timestamp::UNIX_EPOCH;
        let request = read(&["f", "octet", "windowsize", &window.to_string()]);
        let (mut transfer, mut step) = Transfer::begin(now, &request, size, LIMITS);
        let (mut have, mut bytes) = (0_u64, 0_u64);
        for _ in 0..2000 {
            let mut answers = Vec::new();
            match step {
                Step::Done => break,
                Step::GiveUp => return Ok(()),
                Step::Send(_) if !lost() => answers.push(0),
                Step::SendBlocks { first, last } => {
                    for block in (first..=last).filter(|_| !lost()) {
                        if block == have + 1 {
                            have = block;
                            bytes += transfer.place(block).1 as u64;
                        }
                    }
                    answers.push(u16::try_from(have % 65_536).unwrap());
                }
                Step::Send(_) | Step::Wait => (),
            }
            answers.retain(|_| !lost());
            step = if let Some(ack) = answers.first() {
                transfer.on_ack(now, *ack)
            } else {
                now += SignedDuration::from_secs(8);
                transfer.on_timeout(now)
            };
            if step == Step::Wait {
                now += SignedDuration::from_secs(8);
                step = transfer.on_timeout(now);
            }
        }
        prop_assert_eq!(step, Step::Done);
        prop_assert_eq!(bytes, size);
    }
}
