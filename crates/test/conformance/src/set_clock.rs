//! A bastion whose clock somebody sets.

use std::{fs, path::PathBuf};

use faros_lab::daemon;

use crate::Site;

/// Seconds in an hour.
const HOUR: i64 = 3600;

/// farosd believes what a file says of the time; the machine's clock stays as it is.
#[derive(Debug)]
pub struct SetClock {
    off: PathBuf,
}

impl SetClock {
    /// Starts a site's farosd anew, with a clock that can be set.
    ///
    /// # Errors
    /// If it does not come to be ready.
    pub fn under(site: &Site) -> anyhow::Result<Self> {
        let folder = site.lab.folder();
        let off = folder.path().join("clock");
        fs::write(&off, "+0")?;
        daemon::stop(folder, false)?;
        let file = off.display().to_string();
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
        let environment = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        daemon::start_with(site.lab.name(), folder, &environment)?;
        site.lab.wait_until_ready()?;
        Ok(Self { off })
    }

    /// Sets the clock to this many hours off the machine's.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn set(&self, hours: i64) -> anyhow::Result<()> {
        // In one step: farosd reads it all the time.
        let new = self.off.with_extension("new");
        fs::write(&new, format!("{:+}", hours * HOUR))?;
        fs::rename(&new, &self.off)?;
        Ok(())
    }
}
