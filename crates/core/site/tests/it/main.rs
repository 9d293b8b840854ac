//! What an author of site files meets: reports on bad files, warnings, hostile input.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their data from files, and fail where there is none"
)]

mod hostile;
mod reports;
