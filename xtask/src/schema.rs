//! What is made from types and tables and checked in under `docs/`: the site file's JSON Schema and reference
//! page, the events, the causes of a stall, the hardening of clusters, and the ports.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

/// Writes the files, or says which of them is not what the types say.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs");
    let schema = serde_json::to_string_pretty(&faros_site::json_schema())? + "\n";
    for (name, text) in [
        ("site.schema.json", schema),
        ("site-file.md", faros_site::reference_page()),
        ("events.md", faros_why::pages::events()),
        ("why.md", faros_why::pages::causes()),
        ("hardening.md", faros_cluster::hardening::page()),
        ("ports.md", faros_ports::page::page()),
    ] {
        let path = docs.join(name);
        if check {
            let held =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if held != text {
                bail!("docs/{name} is not what the types say; run `cargo run -p xtask -- schema`");
            }
        } else {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pages_are_what_the_types_say() -> anyhow::Result<()> {
        super::run(true)
    }
}
