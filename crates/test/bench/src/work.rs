//! One work that several do: who they are, and what one run of one of them is.
//!
//! A further comparison is a file with a [`Work`]. Runs alternate (A B C, A B C, …), after one of each that does not
//! count.

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use faros_lab::Lab;
use faros_model::site::Site;

use crate::{
    cpu::{self, Spent, Taken},
    figures::{Figure, OURS, Table, Target},
    growth,
    place::{Place, Program, said},
    sink,
};

/// The name of the lab of ours.
const LAB: &str = "bench";
/// The site that is measured.
const SITE: &str = include_str!("../site.yaml");

/// What is measured, and how long.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) site: Site,
    /// For files of servers and clients.
    folder: tempfile::TempDir,
    /// Rounds.
    pub(crate) runs: usize,
    /// Less of everything.
    pub(crate) quick: bool,
    /// For how long a soak goes on.
    pub(crate) soak: Duration,
}

/// Whether the bastion filters and balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Router {
    On,
    /// The same, with four nodes, of which three are control plane: eleven servers to balance.
    Many,
    /// Peers have no firewall before them either.
    Off,
}

impl Bench {
    /// Brings farosd up.
    pub(crate) fn up(
        folder: tempfile::TempDir,
        runs: usize,
        quick: bool,
        soak: Duration,
    ) -> anyhow::Result<Self> {
        let file = write(folder.path(), Router::Off)?;
        let text = std::fs::read_to_string(&file)?;
        let site = site(&text)?;
        let lab = Lab::up(LAB, &file)?;
        Ok(Self {
            lab,
            site,
            folder,
            runs,
            quick,
            soak,
        })
    }

    /// Ends and removes whatever a run made, its own files aside.
    pub(crate) fn remove() -> anyhow::Result<()> {
        // Each is tried, whatever becomes of the others.
        let labs = [LAB, growth::LAB].map(Lab::down);
        let all = labs.into_iter().chain([Place::remove_all()]);
        all.reduce(anyhow::Result::and).unwrap_or(Ok(()))
    }

    /// Applies the site with or without router and balancer.
    fn apply(&self, router: Router) -> anyhow::Result<()> {
        self.lab.apply(&self.site_file(router)?)?;
        self.lab.wait_until_ready()
    }

    /// The site as it is with or without router and balancer.
    pub(crate) fn site_of(&self, router: Router) -> anyhow::Result<Site> {
        site(&std::fs::read_to_string(self.site_file(router)?)?)
    }

    /// The site file with or without router and balancer.
    pub(crate) fn site_file(&self, router: Router) -> anyhow::Result<PathBuf> {
        write(self.folder.path(), router)
    }

    /// The key and the certificate of the servers behind the balancer; they are there once [`Router::Many`] was asked
    /// for.
    pub(crate) fn server_keys(&self) -> (PathBuf, PathBuf) {
        server_keys(self.folder.path())
    }

    /// Ours.
    pub(crate) fn ours(&self) -> anyhow::Result<Contender> {
        Ok(Contender {
            name: OURS,
            place: Place::around(LAB, &self.site, self.folder.path())?,
            programs: Vec::new(),
            helpers: Vec::new(),
        })
    }

    /// Somebody else, or a control, in networks of its own.
    pub(crate) fn peer(&self, name: &'static str) -> anyhow::Result<Contender> {
        Ok(Contender {
            name,
            place: Place::make(&name.replace(' ', "-"), &self.site, self.folder.path())
                .with_context(|| format!("cannot make networks for {name}"))?,
            programs: Vec::new(),
            helpers: Vec::new(),
        })
    }

    /// The numbers of the processes that are the server of a contender.
    pub(crate) fn servers(&self, contender: &Contender) -> Vec<u32> {
        if contender.name == OURS {
            return faros_lab::daemon::pid(self.lab.folder()).into_iter().collect();
        }
        contender.programs.iter().map(Program::pid).collect()
    }

    /// What the server took, by now.
    pub(crate) fn server_cpu(&self, contender: &Contender) -> Taken {
        let groups: Option<Vec<_>> = contender.programs.iter().map(Program::spent).collect();
        match groups.filter(|groups| !groups.is_empty()) {
            Some(groups) => Taken::Groups(groups.into_iter().sum()),
            None => Taken::Processes(Spent::by(&self.servers(contender))),
        }
    }

    /// What all that this program started took, by now, itself and the kernel's packet threads included.
    pub(crate) fn whole_cpu() -> Spent {
        let mut roots = cpu::packet_threads();
        roots.push(std::process::id());
        Spent::by(&roots)
    }

    /// A folder with files to serve: `small`, `part` and `big`.
    pub(crate) fn web_root(&self) -> anyhow::Result<PathBuf> {
        let root = self.folder.path().join("www");
        if !root.exists() {
            std::fs::create_dir(&root)?;
            // Nobody but root could look into it.
            std::fs::set_permissions(self.folder.path(), std::fs::Permissions::from_mode(0o755))?;
            std::fs::write(root.join("small"), [b'.'; 128])?;
            std::fs::write(root.join("part"), vec![b'.'; sink::PART])?;
            let mut big = std::fs::File::create(root.join("big"))?;
            let piece = vec![b'.'; 1 << 20];
            for _ in 0..if self.quick { 256 } else { 1024 } {
                big.write_all(&piece)?;
            }
        }
        Ok(root)
    }

    /// Measures one work.
    pub(crate) fn measure(&mut self, work: &dyn Work) -> anyhow::Result<Table> {
        self.apply(work.router())?;
        let mut contenders = work.contenders(self)?;
        let mut table = Table::new(work.name());
        let runs = if work.is_long() { 1 } else { self.runs };
        if !work.is_long() && !self.quick {
            for contender in &mut contenders {
                self.once(work, contender)?;
            }
        }
        for _ in 0..runs {
            for contender in &mut contenders {
                for (figure, value) in self.once(work, contender)? {
                    table.add(contender.name, figure, value);
                }
            }
        }
        work.finish(&mut table);
        Ok(table)
    }

    fn once(&self, work: &dyn Work, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let name = contender.name;
        let measured = work
            .run(self, contender)
            .and_then(|figures| figures.into_iter().map(is_number).collect());
        measured.with_context(|| format!("{}: {name}", work.name()))
    }
}

/// Of nothing no share can be told: what is divided by it is no figure.
fn is_number((figure, value): (Figure, f64)) -> anyhow::Result<(Figure, f64)> {
    ensure!(
        value.is_finite(),
        "{} is {value}: nothing was measured",
        figure.name
    );
    Ok((figure, value))
}

impl Drop for Bench {
    fn drop(&mut self) {
        // There is nobody to tell, and the next run begins by removing what is left.
        drop(Lab::down(LAB));
    }
}

fn site(text: &str) -> anyhow::Result<Site> {
    let loaded = faros_site::load(text).map_err(|problems| {
        let severity = faros_site::Severity::Error;
        let report = faros_site::report(severity, &problems.problems, "site.yaml", text);
        anyhow::anyhow!("the site has problems\n{report}")
    })?;
    Ok(loaded.site)
}

fn write(folder: &Path, router: Router) -> anyhow::Result<PathBuf> {
    let file = folder.join("site.yaml");
    let text = match router {
        Router::On => SITE.to_owned(),
        Router::Many => {
            let (head, tail) = SITE.split_once("    - {name: node-2, ").unwrap_or((SITE, ""));
            let tail = tail.split_once('\n').map_or("", |(_, tail)| tail);
            let further = [
                (2, "control-plane, worker"),
                (3, "control-plane, worker"),
                (4, "worker"),
            ]
            .map(|(n, roles)| {
                format!(
                    "    - {{name: node-{n}, roles: [{roles}], bootMac: \"52:54:00:08:00:0{n}\", address: \
                         10.9.0.1{n}}}\n"
                )
            })
            .concat();
            // The API's servers are believed by their certificate.
            let authority = made_certificate(folder)?.trim().replace('\n', "\n      ");
            format!("{head}{further}{tail}  balancer:\n    apiCa: |\n      {authority}\n")
        }
        Router::Off => SITE.replace(
            "services: {router: {enabled: true}, balancer: {enabled: true}}",
            "services: {router: {enabled: false}, balancer: {enabled: false}}",
        ),
    };
    std::fs::write(&file, text)?;
    Ok(file)
}

fn server_keys(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("servers.key"), folder.join("servers.pem"))
}

/// A certificate that is its own authority, for the API's name; made when it is asked for first.
fn made_certificate(folder: &Path) -> anyhow::Result<String> {
    let (key, certificate) = server_keys(folder);
    if !certificate.exists() {
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=server -addext \
                     subjectAltName=DNS:api.harbour-7.edge.example.com -addext basicConstraints=critical,CA:FALSE";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split_ascii_whitespace());
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        said(openssl.output())?;
    }
    Ok(std::fs::read_to_string(certificate)?)
}

/// Ours, a peer, or a control that shows what the harness itself can do.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Its servers; none for ours, which is the lab's, nor where the kernel alone works.
    pub(crate) programs: Vec<Program>,
    /// What has to run besides.
    pub(crate) helpers: Vec<Program>,
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.programs.clear();
        self.helpers.clear();
        if self.name != OURS {
            drop(self.place.remove());
        }
    }
}

/// A work that several do.
pub(crate) trait Work {
    /// By which it is chosen and told.
    fn name(&self) -> &'static str;

    /// Whether the bastion filters meanwhile.
    fn router(&self) -> Router {
        Router::Off
    }

    /// Whether one run says enough, without one before it that does not count.
    fn is_long(&self) -> bool {
        false
    }

    /// Whether a quick run has time for it; else only if it is asked for by name.
    fn is_in_quick(&self) -> bool {
        !self.is_long()
    }

    /// All who do it, ready; ours among them, or alone.
    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        Ok(vec![bench.ours()?])
    }

    /// One run.
    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>>;

    /// Figures that follow from others.
    fn finish(&self, _table: &mut Table) {}

    /// What is promised.
    fn targets(&self) -> &'static [Target] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_that_is_measured_is_a_good_one() -> anyhow::Result<()> {
        let with = site(SITE)?;
        let folder = tempfile::tempdir()?;
        let without = std::fs::read_to_string(write(folder.path(), Router::Off)?)?;
        assert!(with.services.balancer && with.services.router);
        let without = site(&without)?;
        assert!(!without.services.balancer && !without.services.router);
        let many = std::fs::read_to_string(write(folder.path(), Router::Many)?)?;
        assert_eq!(site(&many)?.nodes.len(), 4);
        Ok(())
    }
}
