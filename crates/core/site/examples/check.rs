//! Checks site files and prints what the check says: `cargo run -p faros-site --example check FILE…`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows things"
)]

fn main() {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match faros_site::load(&text) {
            Ok(loaded) => {
                println!(
                    "{file}: accepted\n{}",
                    faros_site::report(faros_site::Severity::Warning, &loaded.warnings, &file, &text)
                );
                println!(
                    "{}",
                    serde_json::to_string_pretty(&loaded.site).unwrap_or_default()
                );
            }
            Err(problems) => println!(
                "{}",
                faros_site::report(faros_site::Severity::Error, &problems.problems, &file, &text)
            ),
        }
    }
}
