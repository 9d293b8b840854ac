//! What a long work is at: a line that moves on a terminal, else a line for each step.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::outcome::say;

/// Tells of steps; nothing moves where the answer is for programs.
pub(crate) struct Steps(Option<ProgressBar>);

impl Steps {
    pub(crate) fn new(as_json: bool) -> Self {
        let moves = !as_json && std::io::stderr().is_terminal();
        Self(moves.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        }))
    }

    /// What is being done now; `None` where nothing moves, so that it is not told.
    pub(crate) fn moving(&self) -> Option<&ProgressBar> {
        self.0.as_ref()
    }

    /// A step begins, which is told in either case.
    pub(crate) fn begins(&self, step: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(step.to_owned()),
            None => say(step),
        }
    }

    /// Something is done, and stays told.
    pub(crate) fn done(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.println(what),
            None => say(what),
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
