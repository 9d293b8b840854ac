//! The host's clock: what the kernel knows of it, who keeps it, and how it is put right.
//!
//! `adjtimex(2)` through `rtime-clock`, whose wrapper is one function around the system call; neither rustix nor
//! nix has it. The kernel's own loop steers, as with systemd-timesyncd: what was told to it last goes on if
//! this process ends.

use std::{fs, io};

use faros_ntp::{Correction, KernelClock, Leap};
use jiff::SignedDuration;
use rtime_clock::adjtime::{Timex, adjtimex};

use crate::ports::Holder;

// From <linux/timex.h>.
const ADJ_OFFSET: u32 = 0x0001;
const ADJ_MAXERROR: u32 = 0x0004;
const ADJ_ESTERROR: u32 = 0x0008;
const ADJ_STATUS: u32 = 0x0010;
const ADJ_TIMECONST: u32 = 0x0020;
const ADJ_SETOFFSET: u32 = 0x0100;
const ADJ_NANO: u32 = 0x2000;
const STA_PLL: i32 = 0x0001;
const STA_INS: i32 = 0x0010;
const STA_DEL: i32 = 0x0020;
const STA_UNSYNC: i32 = 0x0040;

/// Programs that keep a host's clock, by the name that the kernel has of them (15 bytes at most).
const DAEMONS: &[&str] = &[
    "chronyd",
    "ntpd",
    "ntp-daemon",
    "openntpd",
    "phc2sys",
    "systemd-timesyn",
    "timemaster",
];

/// What the kernel knows of its clock. Changes nothing.
///
/// # Errors
/// If the kernel does not tell, as in a sandbox that forbids the call.
pub fn read() -> io::Result<KernelClock> {
    let mut timex = Timex::new();
    adjtimex(&mut timex)?;
    Ok(KernelClock {
        synchronized: timex.0.status & STA_UNSYNC == 0,
        max_error: SignedDuration::from_micros(timex.0.maxerror),
    })
}

/// Puts the clock right.
///
/// # Errors
/// If the kernel refuses, as it does without `CAP_SYS_TIME`.
pub fn correct(correction: Correction) -> io::Result<()> {
    adjtimex(&mut order(correction)).map(drop)
}

fn order(correction: Correction) -> Timex {
    let mut timex = Timex::new();
    match correction {
        Correction::Step(by) => {
            let nanos = by.as_nanos();
            timex.0.modes = ADJ_SETOFFSET | ADJ_NANO | ADJ_STATUS;
            // Known to be about right, and not to be trusted until it was measured again.
            timex.0.status = STA_PLL | STA_UNSYNC;
            // Nanoseconds are not negative here, whatever the sign of the whole.
            timex.0.time.tv_sec = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default();
            timex.0.time.tv_usec = i64::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
        }
        Correction::Slew {
            offset,
            time_constant,
            max_error,
            leap,
        } => {
            let leap = match leap {
                Leap::Insert => STA_INS,
                Leap::Delete => STA_DEL,
                Leap::None | Leap::Unknown => 0,
            };
            let micros = |error: SignedDuration| i64::try_from(error.as_micros()).unwrap_or(i64::MAX);
            timex.0.modes = ADJ_OFFSET | ADJ_NANO | ADJ_STATUS | ADJ_TIMECONST | ADJ_MAXERROR | ADJ_ESTERROR;
            timex.0.status = STA_PLL | leap;
            timex.0.offset = i64::try_from(offset.as_nanos()).unwrap_or_default();
            timex.0.constant = i64::from(time_constant);
            timex.0.maxerror = micros(max_error);
            timex.0.esterror = micros(offset.abs());
        }
    }
    timex
}

/// The time daemon that runs on this host, if there is one that is known. It keeps the clock, whatever it is doing
/// at the moment: two that steer one clock are worse than either.
pub fn time_daemon() -> Option<Holder> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let command = fs::read_to_string(process.path().join("comm")).ok()?;
        let command = command.trim();
        DAEMONS.contains(&command).then(|| Holder {
            pid,
            command: command.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_its_clock() -> io::Result<()> {
        let clock = read()?;
        assert!(!clock.max_error.is_negative());
        Ok(())
    }

    #[test]
    fn a_clock_is_set_forth_and_back_by_whole_seconds_and_positive_nanoseconds() {
        for (nanos, seconds, rest) in [
            (3_600_250_000_000, 3600, 250_000_000),
            (-3_600_250_000_000, -3601, 750_000_000),
            (-1, -1, 999_999_999),
        ] {
            let order = order(Correction::Step(SignedDuration::from_nanos(nanos))).0;
            assert_eq!(
                (order.time.tv_sec, order.time.tv_usec),
                (seconds, rest),
                "{nanos}"
            );
            assert_eq!(order.modes & (ADJ_OFFSET | ADJ_MAXERROR), 0);
        }
    }

    #[test]
    fn a_clock_is_steered_with_its_error_and_leap_told_to_the_kernel() {
        let order = order(Correction::Slew {
            offset: SignedDuration::from_millis(-3),
            time_constant: 4,
            max_error: SignedDuration::from_millis(20),
            leap: Leap::Insert,
        });
        let order = order.0;
        assert_eq!((order.offset, order.constant), (-3_000_000, 4));
        assert_eq!((order.maxerror, order.esterror), (20_000, 3_000));
        assert_eq!(order.status, STA_PLL | STA_INS);
    }

    /// How far the clock is from one that nobody sets, as well as it can be told between two looks at that.
    fn beside_monotonic(since: std::time::Instant) -> SignedDuration {
        let looks = (0..1000).map(|_| {
            let before = since.elapsed();
            let shown = jiff::Timestamp::now().duration_since(jiff::Timestamp::UNIX_EPOCH);
            let took = since.elapsed().saturating_sub(before);
            (took, shown - SignedDuration::try_from(before).unwrap_or_default())
        });
        looks
            .min_by_key(|(took, _)| *took)
            .map(|(_, beside)| beside)
            .unwrap_or_default()
    }

    #[test]
    #[ignore = "sets this machine's clock by a millisecond, and back at once"]
    fn the_kernel_sets_and_steers_its_clock_as_it_is_told() -> io::Result<()> {
        assert!(
            time_daemon().is_none(),
            "a time daemon keeps this machine's clock"
        );
        let since = std::time::Instant::now();
        let step = SignedDuration::from_millis(1);
        let before = beside_monotonic(since);
        correct(Correction::Step(step))?;
        let ahead = beside_monotonic(since);
        let unknown = read()?;
        correct(Correction::Step(-step))?;
        let after = beside_monotonic(since);
        correct(Correction::Slew {
            offset: SignedDuration::from_micros(1),
            time_constant: 4,
            max_error: SignedDuration::from_millis(20),
            leap: Leap::None,
        })?;
        let known = read()?;
        // It is nobody's again.
        correct(Correction::Step(SignedDuration::ZERO))?;
        let near = |by: SignedDuration| by.abs() < SignedDuration::from_micros(200);
        assert!(near(ahead - before - step), "{before:?} {ahead:?}");
        assert!(near(after - before), "{before:?} {after:?}");
        assert!(!unknown.synchronized, "set, and not measured since");
        assert!(known.synchronized, "{known:?}");
        assert!(known.max_error >= SignedDuration::from_millis(20), "{known:?}");
        assert!(known.max_error < SignedDuration::from_secs(1), "{known:?}");
        assert!(!read()?.synchronized);
        Ok(())
    }
}
