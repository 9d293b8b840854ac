//! The site file: from text to a checked [`Site`](faros_model::site::Site), or to all that is wrong with it.
//!
//! Three steps, each of which adds problems and none of which stops at the first: the text becomes a tree
//! with positions (`tree`), the tree is held against the JSON Schema of the wire types (`shape`), and what
//! fits is checked for sense (`check`), which also gives every host its address (`addresses`).
#![warn(missing_docs)]

mod addresses;
mod check;
mod codes;
mod page;
mod place;
mod report;
mod schema;
mod secrets;
mod shape;
mod show;
mod syntax;
mod tree;

use faros_model::{
    problem::{Problem, Problems},
    site::Site,
    wire::v1alpha1::SiteFile,
};

pub use page::reference_page;
pub use report::{Severity, report};
pub use schema::{SCHEMA, json_schema};

/// An accepted site file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The site.
    pub site: Site,
    /// What may surprise the file's author, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Checks a site file.
///
/// # Errors
/// All problems of the file, in its order; warnings are beside them.
pub fn load(text: &str) -> Result<Loaded, Problems> {
    let (root, mut problems) = tree::parse(text);
    let Some(root) = root else {
        return Err(Problems {
            problems,
            warnings: Vec::new(),
        });
    };
    let shaped = shape::shape(&root);
    problems.extend(shaped.problems);
    // The schema is made from the wire types, so what fits it deserializes; a test holds the two together.
    let wire: SiteFile = serde_json::from_value(shaped.json).unwrap_or_else(|error| {
        let what = format!("the file cannot be read: {error}");
        problems.push(place::problem(codes::Code::WrongType, root.mark, "", what, ""));
        SiteFile::default()
    });
    let checked = check::check(&wire, &shaped.places, &problems);
    problems.extend(checked.problems);
    let in_order = |problem: &Problem| (problem.line, problem.column);
    problems.sort_by_key(in_order);
    let mut warnings = checked.warnings;
    warnings.sort_by_key(in_order);
    match checked.site {
        Some(site) if problems.is_empty() => Ok(Loaded { site, warnings }),
        _ => Err(Problems { problems, warnings }),
    }
}

/// The refusal of an accepted site file whose version of Kubernetes does not go with the cluster that there is.
pub fn refused_version(text: &str, why: &str) -> Problems {
    let hint = "go up by one minor version at a time, and never back";
    refused(text, codes::Code::VersionSkew, "spec.cluster.version", why, hint)
}

/// The refusal of an accepted site file whose uplink is the LAN's interface on the machine that it is for.
pub fn refused_interface(text: &str, why: &str) -> Problems {
    let hint =
        "name another interface here, or in farosd's own `--interface`, which comes before the site file";
    refused(
        text,
        codes::Code::DuplicateValue,
        "spec.uplink.interface",
        why,
        hint,
    )
}

/// The refusal of an accepted site file for one value of it.
fn refused(text: &str, code: codes::Code, path: &str, why: &str, hint: &str) -> Problems {
    let (root, _) = tree::parse(text);
    let mark = root.map_or(place::Mark::START, |root| shape::shape(&root).places.mark(path));
    let problem = place::problem(code, mark, path, why, hint);
    Problems {
        problems: vec![problem],
        warnings: Vec::new(),
    }
}

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
