//! Commands about site files and generations.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
};

use anyhow::Context as _;
use faros_client::{Client, ClientError};
use faros_model::{
    api::Missing,
    event::Phase,
    ids::{Generation, HostName},
    problem::Problems,
};
use faros_site::Severity;
use serde_json::json;

use crate::{
    outcome::{Done, Error, print, say},
    screens,
};

/// Largest file that is read: what is larger is no site file, and the check says so.
const MAX_FILE: u64 = 2 << 20;

pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|own| own.take(MAX_FILE).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    let text = String::from_utf8(bytes);
    Ok(text.with_context(|| format!("{} is not UTF-8 text", file.display()))?)
}

pub(crate) fn name_of(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// `check`: the report is the result, so it goes to standard output.
pub(crate) fn check(file: &Path, as_json: bool) -> Result<Done, Error> {
    let text = read(file)?;
    let name = name_of(file);
    let (problems, accepted) = match faros_site::load(&text) {
        Ok(loaded) => (
            Problems {
                problems: vec![],
                warnings: loaded.warnings,
            },
            true,
        ),
        Err(problems) => (problems, false),
    };
    if as_json {
        print(&(json!({ "problems": problems.problems, "warnings": problems.warnings }).to_string() + "\n"))?;
    } else {
        let verdict = if accepted {
            let warnings = problems.warnings.len();
            let also = if warnings == 0 {
                String::new()
            } else {
                format!(", with {}", counted(warnings, "warning"))
            };
            format!("{name}: accepted{also}\n")
        } else {
            format!(
                "{name}: refused, with {}\n",
                counted(problems.problems.len(), "problem")
            )
        };
        let out = report(&problems, &name, &text) + &verdict;
        print(&out)?;
    }
    Ok(if accepted { Done::Ok } else { Done::Problems })
}

pub(crate) fn report(problems: &Problems, name: &str, text: &str) -> String {
    let errors = faros_site::report(Severity::Error, &problems.problems, name, text);
    let warnings = faros_site::report(Severity::Warning, &problems.warnings, name, text);
    let blocks: Vec<String> = [errors, warnings]
        .into_iter()
        .filter(|block| !block.is_empty())
        .collect();
    if blocks.is_empty() {
        String::new()
    } else {
        blocks.join("\n") + "\n"
    }
}

pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Problems that the daemon found, with the report on the file that was sent.
pub(crate) fn with_report(error: ClientError, name: &str, text: &str) -> Error {
    match error {
        ClientError::Problems(problems) => Error::Problems(report(&problems, name, text), problems),
        error => Error::Client(error),
    }
}

/// `plan`.
pub(crate) async fn plan(
    client: &Client,
    file: &Path,
    exit_code: bool,
    without_content: bool,
    as_json: bool,
) -> Result<Done, Error> {
    let text = read(file)?;
    let name = name_of(file);
    let answer = client
        .plan(&text)
        .await
        .map_err(|error| with_report(error, &name, &text))?;
    if as_json {
        print(&(json!(answer).to_string() + "\n"))?;
    } else {
        warn(&answer.warnings, &name, &text);
        print(&faros_plan::text(&answer.plan))?;
        note(&answer.notes);
    }
    lacks(&answer.missing, without_content, as_json)?;
    Ok(if exit_code && !answer.plan.is_empty() {
        Done::Changes
    } else {
        Done::Ok
    })
}

pub(crate) fn warn(warnings: &[faros_model::problem::Problem], name: &str, text: &str) {
    if !warnings.is_empty() {
        say(&faros_site::report(Severity::Warning, warnings, name, text));
    }
}

/// A line that the operator types; `None` if there is nobody any more.
pub(crate) fn answer() -> Result<Option<String>, Error> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the answer")?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// What of the host bears on a plan.
pub(crate) fn note(notes: &[String]) {
    for note in notes {
        say(&format!("note: {note}"));
    }
}

/// What is missing, who needs it, and what brings it.
pub(crate) fn missing(missing: &[Missing]) -> String {
    let own = |own: &Missing| {
        let names: Vec<&str> = own.needed_by.iter().map(HostName::as_str).collect();
        format!("  {}, for {}: `{}`", own.what, names.join(", "), own.command)
    };
    let lines: Vec<String> = missing.iter().map(own).collect();
    format!("this is not in the content store:\n{}", lines.join("\n"))
}

/// Tells what is missing; refuses if a cluster could not be begun so, unless that is accepted.
pub(crate) fn lacks(lacking: &[Missing], is_accepted: bool, as_json: bool) -> Result<(), Error> {
    if lacking.is_empty() {
        return Ok(());
    }
    if is_accepted || !lacking.iter().any(|own| own.blocks) {
        if !as_json {
            say(&format!("note: {}", missing(lacking)));
        }
        return Ok(());
    }
    let why = format!(
        "refused: nodes would be armed that cannot be installed; {}\n\
         Bring it first; or say `--without-content`, and they wait for it.",
        missing(lacking)
    );
    Err(Error::Refused(why))
}

/// Has something confirmed that cannot be undone, by a word that is typed.
pub(crate) fn confirm_word(warning: &str, question: &str, word: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Refused(
            "there is nobody to ask: say --yes if it is meant".to_owned(),
        ));
    }
    say(warning);
    say(question);
    if answer()?.is_some_and(|said| said == word) {
        return Ok(());
    }
    Err(Error::Refused("not confirmed; nothing was changed".to_owned()))
}

/// Who is at the keyboard, for the history.
pub(crate) fn who() -> String {
    let said = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let uid = rustix::process::getuid().as_raw();
    let users = || std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = said("SUDO_USER").or_else(|| said("USER"));
    user.or_else(|| user_of(uid, &users()))
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// The name of a user (passwd(5)).
fn user_of(uid: u32, users: &str) -> Option<String> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    })
}

/// `history`.
pub(crate) async fn history(client: &Client, as_json: bool) -> Result<Done, Error> {
    screens::show(as_json, &client.generations().await?, |rows| {
        screens::history(rows)
    })
}

/// `show`.
pub(crate) async fn show(
    client: &Client,
    generation: Option<Generation>,
    file: bool,
    as_json: bool,
) -> Result<Done, Error> {
    let generation = match generation {
        Some(generation) => generation,
        None => match client.status().await?.generation {
            Some(generation) => generation,
            None => {
                return Err(Error::Failed(anyhow::anyhow!(
                    "nothing was applied to this bastion yet"
                )));
            }
        },
    };
    let row = client.generation(generation).await?;
    if file {
        return print(&row.site_file.unwrap_or_default());
    }
    screens::show(as_json, &row, screens::generation)
}

/// `install`: asks for the node's name, because its disk is wiped.
pub(crate) async fn install(client: &Client, node: &HostName, yes: bool) -> Result<Done, Error> {
    let nodes = client.nodes().await?;
    let known = nodes.iter().find(|row| row.name == *node);
    let Some(row) = known else {
        return Err(Error::Failed(anyhow::anyhow!(
            "there is no node {node}; `farosctl nodes` lists them"
        )));
    };
    // A failed boot may have been given up for good, until the operator says which machine it is.
    if row.armed && row.phase != Phase::Failed {
        say(&format!(
            "{node} is armed already: its next network boot installs it."
        ));
        return Ok(Done::Ok);
    }
    if !yes {
        let warning = format!(
            "The next network boot of {node} ({}) installs it and wipes its install disk, and its data disks save those of\n\
             the storage provider.",
            row.boot_mac
        );
        confirm_word(&warning, "Type the node's name to go on:", node.as_str())?;
    }
    client.set_armed(node, true, &who()).await?;
    say(&format!(
        "{node} is armed: its next network boot installs it. `farosctl disarm {node}` takes that back."
    ));
    Ok(Done::Ok)
}

/// `disarm`.
pub(crate) async fn disarm(client: &Client, node: &HostName) -> Result<Done, Error> {
    let changed = client.set_armed(node, false, &who()).await?;
    say(&format!(
        "{node} {} disarmed: it boots its own disk.",
        if changed { "is" } else { "was already" }
    ));
    Ok(Done::Ok)
}

#[cfg(test)]
mod tests {
    use super::user_of;

    #[test]
    fn whoever_has_a_number_has_a_name() {
        let users = "broken\nroot:x:0:0:root:/root:/bin/bash\nada:x:1000:0:::/bin/sh\n";
        let names = [0, 1000, 7].map(|uid| user_of(uid, users));
        assert_eq!(names, [Some("root".to_owned()), Some("ada".to_owned()), None]);
    }
}
