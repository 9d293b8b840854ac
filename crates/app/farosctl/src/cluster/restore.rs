//! A cluster that begins anew, and the ends of its certificates.

use faros_client::Client;
use faros_model::api::{CertificateInfo, RestoreRequest};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    outcome::{Done, Error, print, say},
    screens::{age, table},
    site::{confirm_word, who},
};

/// `cluster restore`.
pub(crate) async fn restore(
    client: &Client,
    snapshot: String,
    force: bool,
    yes: bool,
    as_json: bool,
) -> Result<Done, Error> {
    if !yes {
        let warning = "The control plane begins anew from this snapshot: what was written after it is lost.";
        confirm_word(warning, "Type `restore` to go on:", "restore")?;
    }
    let by = who();
    let request = RestoreRequest { snapshot, force, by };
    client.restore_cluster(&request).await?;
    if as_json {
        return print(&(json!({ "changed": true }).to_string() + "\n"));
    }
    say("The nodes of the control plane ask within minutes, and join once more, one after the other.");
    say("Switch on those that are off; `farosctl watch` follows it.");
    Ok(Done::Ok)
}

/// The screen of `cluster certificates`.
pub(crate) fn certificates(rows: &[CertificateInfo]) -> String {
    let now = Timestamp::now();
    let cells = |own: &CertificateInfo| {
        let node = own.node.as_ref().map_or("-".to_owned(), ToString::to_string);
        let ends = if own.ends < now {
            format!("ENDED {} ago", age(now, own.ends))
        } else {
            age(now, own.ends)
        };
        vec![node, own.name.clone(), ends]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&["NODE", "CERTIFICATE", "ENDS"], &rows)
}
