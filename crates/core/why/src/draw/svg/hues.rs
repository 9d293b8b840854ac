//! The colors of the picture, and their names below it.

use std::fmt::Write as _;

use faros_model::timeline::{SpanKind, Timeline};

use super::{LEFT, LETTER, RIGHT, WIDTH, count};

/// What is drawn in one color.
pub(super) struct Hue {
    pub(super) class: &'static str,
    name: &'static str,
    pub(super) fill: &'static str,
    kinds: &'static [SpanKind],
}

pub(super) const HUES: &[Hue] = &[
    Hue {
        class: "fw",
        name: "firmware, loader",
        fill: "#5f6e84",
        kinds: &[SpanKind::Firmware, SpanKind::Loader, SpanKind::Script],
    },
    Hue {
        class: "tx",
        name: "transfer",
        fill: "#2470c2",
        kinds: &[
            SpanKind::LoaderTransfer,
            SpanKind::Kernel,
            SpanKind::Initramfs,
            SpanKind::Content,
        ],
    },
    Hue {
        class: "os",
        name: "system starts",
        fill: "#14776f",
        kinds: &[SpanKind::SystemStart, SpanKind::Start],
    },
    Hue {
        class: "ig",
        name: "Ignition",
        fill: "#7a52c7",
        kinds: &[SpanKind::Ignition],
    },
    Hue {
        class: "in",
        name: "install",
        fill: "#a8650a",
        kinds: &[SpanKind::Stage, SpanKind::Between],
    },
    Hue {
        class: "rb",
        name: "reboot, disk boot",
        fill: "#8d5a4c",
        kinds: &[SpanKind::Reboot, SpanKind::DiskBoot],
    },
    Hue {
        class: "un",
        name: "unlock",
        fill: "#2f7d2c",
        kinds: &[SpanKind::Unlock],
    },
    Hue {
        class: "no",
        name: "not recorded, not seen",
        fill: "url(#hole)",
        kinds: &[SpanKind::Down, SpanKind::Unknown],
    },
];

pub(super) fn hue(kind: SpanKind) -> &'static Hue {
    let own = HUES.iter().find(|hue| hue.kinds.contains(&kind));
    own.unwrap_or(&HUES[HUES.len() - 1])
}

/// The names of the colors that are used; the place below them.
pub(super) fn legend(body: &mut String, timelines: &[Timeline], top: f64) -> f64 {
    let spans = || timelines.iter().flat_map(|timeline| &timeline.spans);
    let used = HUES
        .iter()
        .filter(|hue| spans().any(|span| hue.kinds.contains(&span.kind)))
        .map(|hue| (hue.class, hue.name));
    let silent = spans().any(|span| span.kind == SpanKind::Silence);
    let alarm = timelines
        .iter()
        .any(|timeline| timeline.marks.iter().any(|mark| mark.alarm));
    let rest = [(silent, "quiet", "silent"), (alarm, "alarm", "alarm")];
    let rest = rest.into_iter().filter(|(is_used, ..)| *is_used);
    let (mut x, mut y) = (LEFT, top);
    for (class, name) in used.chain(rest.map(|(_, class, name)| (class, name))) {
        let width = 22.0 + count(name.len()) * LETTER + 16.0;
        if x + width > WIDTH - RIGHT {
            (x, y) = (LEFT, y + 22.0);
        }
        let sign = match class {
            "alarm" => format!(
                "<path class=\"alarm\" d=\"M{:.1} {:.1}h11l-5.5 9z\"/>",
                x,
                y - 9.0
            ),
            "quiet" => format!(
                "<rect class=\"fw\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"11\" rx=\"2.5\"/>\
                 <rect class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\"/>",
                y - 10.0,
                y - 3.0
            ),
            _ => format!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"11\" rx=\"2.5\"/>",
                y - 10.0
            ),
        };
        let _ = writeln!(
            body,
            "{sign}<text class=\"soft\" x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
            x + 20.0
        );
        x += width;
    }
    y
}
