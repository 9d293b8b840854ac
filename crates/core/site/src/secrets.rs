//! What is a secret by its looks. A site file is copied, mailed and kept in Git, so it may hold none.

/// What to do about a secret in the file.
pub(crate) const HINT: &str = "a site file may hold no secret: keep it in the bastion's store and refer to it by name, as in `pullSecretRef: {name: pull-secret}`";

/// Says what kind of secret a text is, if it is one.
pub(crate) fn find(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY-----") {
        Some("this is a private key")
    } else if text.contains("AGE-SECRET-KEY-1") {
        Some("this is an age identity")
    } else if text.contains("\"auths\"") {
        Some("this is a pull secret")
    } else if text.starts_with("$6$") || text.starts_with("$y$") || text.starts_with("$5$") {
        Some("this is a password hash")
    } else if has_credentials(text) {
        Some("there is a password in this URL")
    } else {
        None
    }
}

/// Words in a key's name that say that its value is a secret.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "privatekey",
    "apikey",
    "credentials",
];

/// Whether a key's name says that its value is a secret. References to secrets are none.
pub(crate) fn is_name(key: &str) -> bool {
    let key = letters(key);
    !key.ends_with("ref") && WORDS.iter().any(|word| key.contains(word))
}

/// Whether a label's key is a word for a secret and nothing else: `token-ring` is a fine label.
pub(crate) fn is_label(key: &str) -> bool {
    let name = letters(key.rsplit('/').next().unwrap_or_default());
    WORDS.contains(&name.as_str())
}

fn letters(key: &str) -> String {
    key.to_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

/// Whether the text is a URL with `user:password@`.
fn has_credentials(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}
