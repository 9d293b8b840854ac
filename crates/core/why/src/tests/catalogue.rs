//! The catalogue itself.

use std::collections::BTreeSet;

use crate::{catalogue::rules, pages};

#[test]
fn codes_are_words_and_no_two_are_the_same() {
    let mut seen = BTreeSet::new();
    for rule in rules() {
        assert!(seen.insert(rule.code), "{} is there twice", rule.code);
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(rule.code.chars().all(is_word), "{}", rule.code);
    }
    assert!(seen.len() >= 60, "{} causes", seen.len());
}

#[test]
fn each_cause_says_what_it_means_what_tells_it_and_what_to_do() {
    for rule in rules() {
        for text in [rule.means, rule.told_by, rule.next] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text}", rule.code);
        }
    }
}

#[test]
fn the_pages_have_every_cause_and_every_event() {
    let causes = pages::causes();
    assert!(rules().all(|rule| causes.contains(&format!("### `{}`", rule.code))));
    assert!(!causes.contains('{'), "a word was left open");
    let events = pages::events();
    let kinds = faros_model::event::EventKind::ALL;
    assert!(kinds.iter().all(|kind| events.contains(&format!("| `{kind}` |"))));
}
