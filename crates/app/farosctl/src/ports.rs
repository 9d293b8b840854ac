//! The matrix of ports: shown, told to packet filters, and held against what there is.

mod verify;

use std::path::Path;

use anyhow::anyhow;
use faros_client::Client;
use faros_model::site::Site;
use faros_ports::{Facts, Machine, Matrix, Party, Row, firewalld, nft, openstack, show as shown};

pub(crate) use self::verify::verify;
use crate::{
    args::{Output, PortsMatrix, PortsRole, PortsWanted},
    outcome::{Done, Error, print},
    screens, site,
};

impl From<PortsRole> for Party {
    fn from(role: PortsRole) -> Self {
        match role {
            PortsRole::Bastion => Self::Bastion,
            PortsRole::ControlPlane => Self::ControlPlane,
            PortsRole::Worker => Self::Worker,
            PortsRole::MetaWorker => Self::MetaWorker,
            PortsRole::Frontend => Self::Frontend,
            PortsRole::Arbiter => Self::Arbiter,
            PortsRole::Bmc => Self::Bmc,
        }
    }
}

/// The site of a file, or the one that runs here.
pub(crate) async fn site_of(client: &Client, file: Option<&Path>) -> Result<Site, Error> {
    let (name, text) = match file {
        Some(file) => (site::name_of(file), site::read(file)?),
        None => {
            let Some(generation) = client.status().await?.generation else {
                let what = "nothing was applied to this bastion yet; name a site file";
                return Err(Error::Failed(anyhow!(what)));
            };
            let row = client.generation(generation).await?;
            (
                format!("generation {generation}"),
                row.site_file.unwrap_or_default(),
            )
        }
    };
    match faros_site::load(&text) {
        Ok(loaded) => Ok(loaded.site),
        Err(problems) => Err(Error::Problems(site::report(&problems, &name, &text), problems)),
    }
}

/// What a site has, with what the caller knows better.
fn facts(site: &Site, wanted: &PortsWanted) -> Facts {
    let mut facts = Facts::of(site);
    facts.distribution = wanted.distribution.unwrap_or(facts.distribution);
    facts.plugin = wanted.network_plugin.unwrap_or(facts.plugin);
    facts.features.extend(&wanted.with);
    facts.features.retain(|feature| !wanted.without.contains(feature));
    facts
}

/// `ports`.
pub(crate) async fn show(client: &Client, wanted: &PortsWanted, output: Output) -> Result<Done, Error> {
    let on: Vec<Party> = wanted.roles.iter().copied().map(Party::from).collect();
    let matrix = match wanted.matrix {
        PortsMatrix::Today => Matrix::Today,
        PortsMatrix::Tectonic => Matrix::Tectonic,
    };
    let rows = shown::Wanted {
        matrix,
        on: on.clone(),
        all: wanted.all,
    };
    let site = site_of(client, wanted.file.as_deref()).await?;
    let facts = facts(&site, wanted);
    match output {
        Output::Text | Output::Table => {
            let rows: Vec<Vec<String>> = shown::select(&facts, &rows)
                .into_iter()
                .map(|row| line(row, &facts, wanted.all))
                .collect();
            let mut head = vec!["NEED", "ON", "WAY", "PEERS", "PORT", "SOURCE", "WHAT"];
            if wanted.all {
                head.extend(["ROW", "BOUND TO", "HOLDS", "WHEN"]);
            }
            print(&screens::table(&head, &rows))
        }
        Output::Json => print(&(shown::json(&site, &facts, &rows).to_string() + "\n")),
        Output::Csv => print(&shown::csv(&facts, &rows)),
        Output::Nft => print(&nft::fragment(&site, &facts, &nodes(&site, &on, matrix, "nft")?)),
        Output::Firewalld => print(&firewalld::zone(
            &site,
            &facts,
            &nodes(&site, &on, matrix, "firewalld")?,
        )),
        Output::Openstack => {
            let on = if on.is_empty() { Party::NODES.to_vec() } else { on };
            let machine = nodes(&site, &on, matrix, "openstack")?;
            print(&openstack::groups(&site, &facts, &machine.is))
        }
    }
}

/// The machines that a packet filter is for.
fn nodes(site: &Site, on: &[Party], matrix: Matrix, output: &str) -> Result<Machine, Error> {
    let refuse = |what: String| Err(Error::Usage(what));
    if matrix != Matrix::Today {
        return refuse(format!(
            "--output {output} is of the matrix of today alone: nothing is opened by the old one"
        ));
    }
    if on.is_empty() {
        return refuse(format!(
            "--output {output} is for machines of a role: say which by --role, several times for a node with several"
        ));
    }
    if let Some(other) = on.iter().find(|party| !Party::NODES.contains(party)) {
        let what = format!("--output {output} is for nodes, and {} is none", other.as_str());
        let hint = match other {
            Party::Bastion => "; the bastion's rules are farosd's own: `nft list table inet faros` on it",
            _ => "",
        };
        return refuse(what + hint);
    }
    Ok(Machine::any(site, on))
}

fn line(row: &Row, facts: &Facts, all: bool) -> Vec<String> {
    let port = match row.ports {
        faros_ports::Ports::All => row.protocol.to_string(),
        ports => format!("{}/{ports}", row.protocol),
    };
    let mut cells = vec![
        row.need.to_string(),
        Party::list(row.on),
        row.direction.to_string(),
        Party::list(row.peers),
        port,
        row.source.as_str().to_owned(),
        row.what.to_owned(),
    ];
    if all {
        cells.extend([row.id.to_owned(), row.bind.to_string()]);
        cells.push(if row.holds(facts) { "yes" } else { "no" }.to_owned());
        cells.push(shown::conditions(row));
    }
    cells
}
