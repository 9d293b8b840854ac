//! What holds for any bytes; the fuzz target and a property test share it.

use crate::{Severity, load, place::lines, report};

/// Whatever the bytes, the check ends; a refusal has a reason; what it tells points into the file.
pub fn site_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (problems, warnings) = match load(text) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(refused) => {
            assert!(!refused.problems.is_empty(), "refused without a reason");
            (refused.problems, refused.warnings)
        }
    };
    let lines: Vec<&str> = lines(text).collect();
    for problem in problems.iter().chain(&warnings) {
        let idx = problem
            .line
            .checked_sub(1)
            .and_then(|idx| usize::try_from(idx).ok());
        let line = idx.and_then(|idx| lines.get(idx).copied());
        let length = line
            .or(lines.is_empty().then_some(""))
            .map(|line| line.chars().count());
        let column = usize::try_from(problem.column).ok();
        assert!(
            length
                .zip(column)
                .is_some_and(|(length, column)| (1..=length + 1).contains(&column)),
            "{problem:?} is outside of the file"
        );
        assert!(
            problem.width >= 1 && !problem.message.is_empty(),
            "{problem:?} says nothing"
        );
        assert!(
            !problem.message.starts_with("the file cannot be read"),
            "the schema lets pass what the types refuse: {problem:?}"
        );
        assert!(
            !problem.message.chars().any(char::is_control),
            "{problem:?} would play with the terminal"
        );
    }
    let text_report = report(Severity::Error, &problems, "site.yaml", text);
    assert!(
        !text_report.contains('\u{1b}'),
        "the report would play with the terminal"
    );
}
