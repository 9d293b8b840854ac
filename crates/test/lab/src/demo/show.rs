//! What the operator sees: a line for each machine that moves, or one line after the other.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

use faros_model::{
    api::Transfer,
    event::{Event, EventKind},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::machine::Firmware;

/// The screen.
pub(super) struct Show {
    bars: Option<(MultiProgress, Vec<(String, ProgressBar)>)>,
    begun: Instant,
}

impl Show {
    pub(super) fn new(plain: bool, machines: &[(&str, Firmware)]) -> Self {
        let bars = (!plain && stderr().is_terminal()).then(|| {
            let all = MultiProgress::new();
            let bars = machines.iter().map(|(node, firmware)| {
                let bar = all.add(ProgressBar::new(0));
                bar.set_style(style(false));
                bar.set_prefix(format!("{node} ({})", firmware.as_str()));
                bar.enable_steady_tick(Duration::from_millis(500));
                ((*node).to_owned(), bar)
            });
            let bars = bars.collect();
            (all, bars)
        });
        Self {
            bars,
            begun: Instant::now(),
        }
    }

    pub(super) fn line(&self, text: &str) {
        let text = format!("[{:6.1} s] {text}", self.begun.elapsed().as_secs_f64());
        match &self.bars {
            Some((all, _)) => drop(all.println(text)),
            None => say(&text),
        }
    }

    /// A line of something that was printed elsewhere.
    pub(super) fn text(&self, text: &str) {
        match &self.bars {
            Some((all, _)) => drop(all.println(text)),
            None => say(text),
        }
    }

    fn bar(&self, node: &str) -> Option<&ProgressBar> {
        self.bars
            .as_ref()?
            .1
            .iter()
            .find(|(own, _)| own == node)
            .map(|(_, bar)| bar)
    }

    pub(super) fn event(&self, node: &str, event: &Event) {
        let text = told(event);
        match self.bar(node) {
            Some(bar) => bar.set_message(text),
            None => self.line(&format!("{node}  {text}")),
        }
    }

    pub(super) fn transfer(&self, node: &str, transfer: Option<&Transfer>) {
        let Some(bar) = self.bar(node) else { return };
        bar.set_style(style(transfer.is_some()));
        if let Some(transfer) = transfer {
            bar.set_length(transfer.of);
            bar.set_position(transfer.bytes);
        }
    }

    pub(super) fn finish(&self) {
        for (_, bar) in self.bars.iter().flat_map(|(_, bars)| bars) {
            bar.set_style(style(false));
            bar.finish();
        }
    }
}

/// Tells whoever watches. The demo goes on without them, to clean up after itself: their terminal may be closed.
pub(super) fn say(text: &str) {
    drop(writeln!(stderr(), "{text}"));
}

fn style(with_bar: bool) -> ProgressStyle {
    let template = if with_bar {
        "{prefix:16} {elapsed:>4}  [{bar:24}] {bytes} of {total_bytes}  {msg}"
    } else {
        "{prefix:16} {elapsed:>4}  {msg}"
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##.")
}

/// An event in the words of somebody who watches.
fn told(event: &Event) -> String {
    let word = |key: &str| match event.detail.get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    match event.kind {
        EventKind::DhcpDiscover => match (word("userClass").as_str(), word("vendorClass").as_str()) {
            ("", "") => "its system asks for an address".to_owned(),
            ("", _) => "its firmware asks for an address".to_owned(),
            _ => "iPXE asks for an address".to_owned(),
        },
        EventKind::DhcpOffer => format!("is offered {}", word("address")),
        EventKind::DhcpAck => format!("has {}", word("address")),
        EventKind::LoaderFetched => format!("has its loader {} by {}", word("name"), word("protocol")),
        EventKind::BootScriptServed => format!("is told: {} ({})", word("action"), word("reason")),
        EventKind::KernelFetched => format!(
            "has its kernel, {} bytes in {} ms",
            word("bytes"),
            word("milliseconds")
        ),
        EventKind::InitramfsFetched => {
            format!(
                "has its initramfs, {} bytes in {} ms",
                word("bytes"),
                word("milliseconds")
            )
        }
        EventKind::IgnitionServed => format!("is given its Ignition config, {} bytes", word("bytes")),
        EventKind::NodeReport => match (word("report").as_str(), word("state").as_str()) {
            ("stage", "started") => format!("installs: {}", word("stage")),
            ("stage", _) => format!("has done: {}, in {} s", word("stage"), word("seconds")),
            (report, _) => format!("reports: {report}"),
        },
        EventKind::ContentFetched => format!(
            "has {}, {} bytes in {} ms",
            word("name"),
            word("bytes"),
            word("milliseconds")
        ),
        EventKind::UnlockAdvertised => "asks for the unlock key that its disk is to be bound to".to_owned(),
        EventKind::UnlockRecovered => "is helped by the bastion to open its encrypted disk".to_owned(),
        EventKind::UnlockRefused => format!("is not unlocked: {}", word("message")),
        EventKind::NodeDisarmed => "is armed no more: it is never installed again by itself".to_owned(),
        EventKind::PhaseChanged => format!("is {} now", word("to")),
        kind => kind.to_string(),
    }
}
