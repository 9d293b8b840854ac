//! Silences: nothing was heard of the machine, though the bastion was there to hear.

use faros_model::{
    event::Event,
    timeline::{Span, SpanKind},
};
use jiff::{SignedDuration, Timestamp};

use super::{holes::Hole, start_of};
use crate::{moment::is_sign_of_life, stand};

/// Shorter ones are the ordinary course of things.
const WORTH_TELLING: SignedDuration = SignedDuration::from_secs(10);

/// The silences between what was heard, and the one that goes on until `open_until`.
pub(super) fn find(
    own: &[&Event],
    phases: &[Span],
    holes: &[Hole],
    open_until: Option<Timestamp>,
) -> Vec<Span> {
    let mut heard: Vec<(Timestamp, Timestamp, u64)> = own
        .iter()
        .filter(|event| is_sign_of_life(event.kind))
        .map(|event| (start_of(event), event.at, event.seq))
        .collect();
    heard.sort_unstable();
    let mut silences = Vec::new();
    let Some(&(_, mut until, mut seq)) = heard.first() else {
        return silences;
    };
    for &(from, to, number) in &heard {
        quiet((until, seq), (from, number), true, phases, holes, &mut silences);
        if to >= until {
            (until, seq) = (to, number);
        }
    }
    if let Some(now) = open_until {
        quiet((until, seq), (now, seq), false, phases, holes, &mut silences);
    }
    silences
}

/// What of the time between two signs of life is a silence: what no hole covers.
fn quiet(
    (from, before): (Timestamp, u64),
    (to, after): (Timestamp, u64),
    end_seen: bool,
    phases: &[Span],
    holes: &[Hole],
    silences: &mut Vec<Span>,
) {
    let mut edges = vec![from];
    for hole in holes.iter().filter(|hole| hole.from < to && hole.to > from) {
        edges.extend([hole.from, hole.to]);
    }
    edges.push(to);
    for piece in edges.chunks_exact(2) {
        let (began, ended) = (piece[0].max(from), piece[1].min(to));
        if ended.duration_since(began) < WORTH_TELLING {
            continue;
        }
        let phase = phases
            .iter()
            .rfind(|span| !span.inside && span.began <= began && span.ended > began);
        let awaited = phase.map(|span| stand::awaited(span.kind, &span.name));
        silences.push(Span {
            kind: SpanKind::Silence,
            name: String::new(),
            began,
            ended,
            begin_seen: began == from,
            end_seen: ended == to && end_seen,
            inside: true,
            bytes: None,
            bytes_per_second: None,
            note: awaited.unwrap_or_default(),
            events: [before, after],
        });
    }
}
