//! Ranks the causes that fit.

use faros_model::timeline::{Cause, Confidence};

use crate::{
    case::Case,
    catalogue::{Found, Rule, causes},
    causes::otherwise,
    known::Known,
};

/// The causes of a node's present stall, most likely first. Never empty: if nothing is wrong, or nothing fits,
/// it says so, and what should come next.
pub fn why(known: &Known<'_>) -> Vec<Cause> {
    let case = Case::of(known);
    let find = |rule: &'static Rule| Some((rule, (rule.find)(&case, rule)?));
    let mut found: Vec<(&Rule, Found)> = causes().filter_map(find).collect();
    let confidence = |(rule, found): &(&Rule, Found)| found.confidence.unwrap_or(rule.confidence);
    // A stable sort: among equals, the order of the catalogue.
    found.sort_by_key(&confidence);
    if found.iter().all(|found| confidence(found) == Confidence::Aside) {
        let rest = otherwise::RULES.iter().find_map(find);
        found.splice(0..0, rest);
    }
    let told = |found: &(&Rule, Found)| Cause {
        code: found.0.code.to_owned(),
        confidence: confidence(found),
        summary: found.1.summary.clone(),
        evidence: found.1.evidence.clone(),
        next: fill(found.0.next, known),
    };
    found.iter().map(told).collect()
}

/// The words that a row's next action may leave open.
pub(crate) const OPEN: [&str; 7] = [
    "{node}",
    "{mac}",
    "{address}",
    "{bastion}",
    "{image}",
    "{architecture}",
    "{disk}",
];

fn fill(next: &str, known: &Known<'_>) -> String {
    let node = known.node;
    let disk = match &node.install_disk {
        faros_model::site::DiskRef::Path(path) => path.clone(),
        faros_model::site::DiskRef::Hints(_) => "chosen by hints".to_owned(),
    };
    let said = [
        node.name.to_string(),
        node.boot_mac.to_string(),
        node.address.to_string(),
        known.site.lan.addresses.bastion.to_string(),
        node.image.to_string(),
        node.architecture.as_str().to_owned(),
        disk,
    ];
    let words = OPEN.iter().zip(said);
    words.fold(next.to_owned(), |text, (open, said)| text.replace(open, &said))
}
