//! Disks, what they are for, and what unlocks them.

use faros_model::{site, wire::v1alpha1 as wire};

use super::{Check, text};
use crate::{codes::Code, place::join, show::show};

impl Check<'_> {
    pub(super) fn disk(&mut self, path: &str, disk: &wire::DiskRef) -> Option<site::DiskRef> {
        match disk {
            wire::DiskRef::Path(text) => self
                .disk_path(path, text)
                .then(|| site::DiskRef::Path(text.clone())),
            wire::DiskRef::ByHints(by) => {
                let hints = by.hints.clone()?;
                let path = join(path, "hints");
                if hints == wire::DiskHints::default() && !self.is_told(&path) {
                    let what = "without a hint, every disk matches";
                    self.error(
                        Code::MissingValue,
                        &path,
                        what,
                        "give at least one, such as `minSize: 200Gi`",
                    );
                    return None;
                }
                let min_size_bytes = match hints.min_size.as_deref() {
                    None => None,
                    Some(size) => Some(text::size(self, &join(&path, "minSize"), size)?),
                };
                Some(site::DiskRef::Hints(site::DiskHints {
                    min_size_bytes,
                    rotational: hints.rotational,
                    serial_number: hints.serial_number,
                    model: hints.model,
                    wwn: hints.wwn,
                }))
            }
        }
    }

    /// Whether a text names a disk.
    pub(super) fn disk_path(&mut self, path: &str, text: &str) -> bool {
        let hint = "name it by something that does not change: /dev/disk/by-path/… or /dev/disk/by-id/…, or by `hints`";
        let rest = text.strip_prefix("/dev/").unwrap_or_default();
        let odd = |part: &str| matches!(part, "" | "." | "..");
        if rest.split('/').any(odd) || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.error(
                Code::InvalidDisk,
                path,
                format!("{} is no path of a disk", show(text)),
                hint,
            );
            return false;
        }
        if text.contains('…') {
            let what = format!("{} is a placeholder: no machine has such a disk", show(text));
            self.warn(
                Code::Placeholder,
                path,
                what,
                "look at `ls /dev/disk/by-id` on the machine",
            );
        } else if !rest.starts_with("disk/by-") {
            let what = format!("{} can be another disk after the next boot", show(text));
            self.warn(Code::UnstableDiskName, path, what, hint);
        }
        true
    }

    pub(super) fn data_disks(&mut self, path: &str, disks: Option<&[wire::DataDisk]>) -> Vec<site::DataDisk> {
        let mut checked: Vec<site::DataDisk> = Vec::new();
        for (idx, disk) in disks.into_iter().flatten().enumerate() {
            let path = self.places.item(path, idx);
            let Some(disk) = self.data_disk(&path, disk) else {
                continue;
            };
            if matches!(disk.disk, site::DiskRef::Path(_))
                && checked.iter().any(|other| other.disk == disk.disk)
            {
                let what = "this disk is used already, further up";
                self.error(
                    Code::DuplicateValue,
                    &join(&path, "disk"),
                    what,
                    "use each disk once",
                );
            }
            checked.push(disk);
        }
        checked
    }

    fn data_disk(&mut self, path: &str, data: &wire::DataDisk) -> Option<site::DataDisk> {
        let disk = data
            .disk
            .as_ref()
            .and_then(|disk| self.disk(&join(path, "disk"), disk));
        let usage = match data.r#use.as_ref()? {
            wire::DiskUse::Word(wire::DiskUseWord::Kubelet) => site::DiskUsage::Kubelet,
            wire::DiskUse::Word(wire::DiskUseWord::Storage) => site::DiskUsage::Storage,
            wire::DiskUse::Mount(mount) => {
                let mount = mount.mount.as_deref()?;
                let odd = |part: &str| matches!(part, "" | "." | "..");
                let inner = mount.strip_prefix('/').unwrap_or_default();
                if inner.split('/').any(odd) || mount.contains(|c: char| c.is_whitespace() || c.is_control())
                {
                    let what = format!("{} is no place to mount a disk", show(mount));
                    self.error(
                        Code::InvalidPath,
                        &join(path, "use.mount"),
                        what,
                        "write an absolute path, such as /var/lib/media",
                    );
                    return None;
                }
                site::DiskUsage::Mount(mount.to_owned())
            }
        };
        Some(site::DataDisk { disk: disk?, usage })
    }

    /// The disk that is installed on is no data disk.
    pub(super) fn disks_differ(
        &mut self,
        path: &str,
        install: Option<&site::DiskRef>,
        data: &[site::DataDisk],
    ) {
        let Some(install @ site::DiskRef::Path(_)) = install else {
            return;
        };
        if let Some(idx) = data.iter().position(|data| data.disk == *install) {
            let path = join(&self.places.item(path, idx), "disk");
            let what = "the operating system is installed on this disk";
            self.error(Code::DuplicateValue, &path, what, "use another disk for data");
        }
    }

    pub(super) fn encryption(
        &mut self,
        path: &str,
        encryption: Option<&wire::Encryption>,
    ) -> site::Encryption {
        use site::UnlockBy::{Peers, Tang, Tpm2};
        let path = join(path, "unlock");
        let all_of = |of: Vec<site::UnlockBy>| site::Encryption {
            threshold: u8::try_from(of.len()).unwrap_or(u8::MAX),
            of,
        };
        match encryption.and_then(|encryption| encryption.unlock.as_ref()) {
            None | Some(wire::UnlockSpec::Word(wire::UnlockWord::Tang)) => all_of(vec![Tang]),
            Some(wire::UnlockSpec::Word(wire::UnlockWord::TangAndTpm2)) => all_of(vec![Tang, Tpm2]),
            Some(wire::UnlockSpec::Word(wire::UnlockWord::None)) => {
                let what = "these disks are not encrypted: whoever carries them away can read them";
                self.warn(Code::NotEncrypted, &path, what, "");
                all_of(vec![])
            }
            Some(wire::UnlockSpec::Threshold(rule)) => {
                let mut of = Vec::new();
                for (idx, by) in rule.of.iter().flatten().enumerate() {
                    let by = match by {
                        wire::UnlockBy::Tang => Tang,
                        wire::UnlockBy::Tpm2 => Tpm2,
                        wire::UnlockBy::Peers => {
                            let what = "no node helps another in this version: such a node is not installed";
                            let path = self.places.item(&join(&path, "of"), idx);
                            self.warn(Code::NotActedOnYet, &path, what, "");
                            Peers
                        }
                    };
                    if of.contains(&by) {
                        let path = self.places.item(&join(&path, "of"), idx);
                        self.error(
                            Code::DuplicateValue,
                            &path,
                            "this is here twice",
                            "keep one of them",
                        );
                    } else {
                        of.push(by);
                    }
                }
                let threshold = rule.threshold.unwrap_or(1);
                if usize::from(threshold) > of.len() && !self.is_told(&path) {
                    let what = format!("{threshold} must help, and `of` names {}", of.len());
                    let hint = "the threshold is at most the number of those who can help";
                    self.error(Code::NumberOutOfRange, &join(&path, "threshold"), what, hint);
                }
                site::Encryption { threshold, of }
            }
        }
    }
}
