//! Which sources are believed (RFC 5905 section 11.2).
//!
//! Each source says that the true offset is within an interval. The offset that most intervals share is believed
//! if more than half of the sources that know the time share it, so that one liar among three is left out, and
//! two that contradict each other are both not believed.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::{Estimate, Leap, Status};

/// A source that is further off than this helps nobody (RFC 5905's MAXDIST).
const MAX_DISTANCE: SignedDuration = SignedDuration::from_millis(1500);

/// How a source is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was not asked often enough yet to say.
    Asking,
    /// It does not answer.
    Unreachable,
    /// It answers that it does not know the time.
    Unsynchronized,
    /// It has its time from this bastion.
    Loop,
    /// It may be too far off.
    TooFar,
    /// It is not with the majority.
    Disagrees,
    /// It is with the majority.
    Agrees,
    /// It is the best of the majority.
    Best,
}

impl Verdict {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Unreachable => "unreachable",
            Self::Unsynchronized => "unsynchronized",
            Self::Loop => "loop",
            Self::TooFar => "too-far",
            Self::Disagrees => "disagrees",
            Self::Agrees => "agrees",
            Self::Best => "best",
        }
    }
}

/// What the sources say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The best source.
    pub peer: Ipv4Addr,
    /// Its stratum.
    pub stratum: u8,
    /// Its leap indicator.
    pub leap: Leap,
    /// How far true time is ahead of the clock.
    pub offset: SignedDuration,
    /// Round trip to the reference clock.
    pub root_delay: SignedDuration,
    /// How far that may be off besides, at `at`.
    pub root_dispersion: SignedDuration,
    /// When that was measured.
    pub at: Timestamp,
    /// How many samples it stands on.
    pub samples: usize,
}

/// Judges the sources. `own` are the addresses of this bastion.
pub fn choose(
    sources: &[Result<Estimate, Verdict>],
    own: &[Ipv4Addr],
    now: Timestamp,
) -> (Vec<Verdict>, Status) {
    let mut verdicts: Vec<Verdict> = sources
        .iter()
        .map(|source| match source {
            Err(verdict) => *verdict,
            Ok(one) if one.stratum > 1 && own.iter().any(|own| own.octets() == one.reference) => {
                Verdict::Loop
            }
            Ok(one) if one.distance(now) > MAX_DISTANCE => Verdict::TooFar,
            Ok(_) => Verdict::Disagrees,
        })
        .collect();
    let know: Vec<(usize, &Estimate)> = sources
        .iter()
        .enumerate()
        .filter_map(|(idx, source)| Some((idx, source.as_ref().ok()?)))
        .filter(|(idx, _)| verdicts[*idx] == Verdict::Disagrees)
        .collect();
    if know.is_empty() {
        let status = if verdicts.contains(&Verdict::Asking) {
            Status::Asking
        } else {
            Status::None
        };
        return (verdicts, status);
    }
    let interval = |one: &Estimate| {
        let distance = one.distance(now);
        (one.offset - distance, one.offset + distance)
    };
    let Some((low, high)) = shared(know.iter().map(|(_, one)| interval(one)).collect()) else {
        return (verdicts, Status::Disagree);
    };
    let agree: Vec<(usize, &Estimate)> = know
        .into_iter()
        .filter(|(_, one)| {
            let (from, to) = interval(one);
            from <= high && to >= low
        })
        .collect();
    for (idx, _) in &agree {
        verdicts[*idx] = Verdict::Agrees;
    }
    let best = agree.iter().min_by_key(|(_, one)| {
        // A hop more is worth as much as being that far off (RFC 5905 section 11.2.2).
        MAX_DISTANCE * i32::from(one.stratum) + one.distance(now)
    });
    let Some((idx, best)) = best else {
        return (verdicts, Status::Disagree);
    };
    verdicts[*idx] = Verdict::Best;
    let status = Status::Chosen(Chosen {
        peer: best.peer,
        stratum: best.stratum,
        leap: best.leap,
        offset: mean(agree.iter().map(|(_, one)| (one.offset, one.distance(now)))),
        root_delay: best.root_delay,
        root_dispersion: best.root_dispersion,
        at: best.at,
        samples: best.samples,
    });
    (verdicts, status)
}

/// The interval that most intervals share, if those are more than half of them (Marzullo's algorithm).
fn shared(intervals: Vec<(SignedDuration, SignedDuration)>) -> Option<(SignedDuration, SignedDuration)> {
    let n = intervals.len();
    // At one point, intervals begin before others end.
    let mut edges: Vec<(SignedDuration, bool)> = intervals
        .into_iter()
        .flat_map(|(low, high)| [(low, false), (high, true)])
        .collect();
    edges.sort_unstable();
    let (mut open, mut most, mut found) = (0_usize, 0, None);
    for (idx, (at, ends)) in edges.iter().enumerate() {
        if *ends {
            open -= 1;
            continue;
        }
        open += 1;
        if open > most {
            most = open;
            found = edges.get(idx + 1).map(|(next, _)| (*at, *next));
        }
    }
    found.filter(|_| most * 2 > n)
}

/// The mean of the offsets, by how exact each is.
fn mean(offsets: impl Iterator<Item = (SignedDuration, SignedDuration)>) -> SignedDuration {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (offset, distance) in offsets {
        let weight = 1.0 / distance.as_secs_f64().max(1e-6);
        sum += offset.as_secs_f64() * weight;
        weights += weight;
    }
    SignedDuration::try_from_secs_f64(sum / weights).unwrap_or_default()
}
