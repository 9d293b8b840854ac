//! Checks of single texts: keys, labels, taints, sizes, and that nothing is a secret.

use super::Check;
use crate::{
    shape::join,
    tree::{Node, Value},
};

/// Refuses what is a secret by its looks, wherever it stands.
pub(super) fn no_secrets(check: &mut Check<'_>, root: &Node) {
    walk(check, root, "");
}

fn walk(check: &mut Check<'_>, node: &Node, path: &str) {
    match &node.value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                walk(check, value, &join(path, &key.text));
            }
        }
        Value::Sequence(items) => {
            for (idx, item) in items.iter().enumerate() {
                walk(check, item, &format!("{path}[{idx}]"));
            }
        }
        Value::Scalar { text, .. } => {
            let what = if text.contains("PRIVATE KEY-----") {
                "this is a private key"
            } else if has_credentials(text) {
                "this URL has a password in it"
            } else if text.contains("\"auths\"") && text.contains("\"auth\"") {
                "this is a pull secret"
            } else {
                return;
            };
            // The underline must not show how the secret goes on, but the line is the author's own.
            let hint =
                "a site file may hold no secret: put it into the bastion's store and refer to it by name";
            check.error("secret-in-clear", path, what, hint);
        }
    }
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

/// SSH public keys, as `authorized_keys` has them.
pub(super) fn ssh_keys(check: &mut Check<'_>, keys: &[String]) {
    const PATH: &str = "spec.sshAuthorizedKeys";
    const TYPES: &[&str] = &[
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    if keys.is_empty() && !check.is_told(PATH) {
        check.warn(
            "no-ssh-keys",
            PATH,
            "nobody will be able to log in on a node",
            "add a public key",
        );
    }
    for (idx, key) in keys.iter().enumerate() {
        let path = check.places.item(PATH, idx);
        let mut words = key.split_whitespace();
        let hint = "copy the line from a .pub file, such as ~/.ssh/id_ed25519.pub";
        let kind = words.next().unwrap_or_default();
        if !TYPES.contains(&kind) {
            check.error(
                "invalid-ssh-key",
                &path,
                format!("`{kind}` is no type of SSH public key"),
                hint,
            );
            continue;
        }
        let body = words.next().unwrap_or_default();
        if body.contains('…') {
            let what = "this key is a placeholder: nobody can log in with it";
            check.warn("placeholder", &path, what, hint);
            continue;
        }
        let of_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if !body.starts_with("AAAA") || !body.bytes().all(of_base64) {
            check.error(
                "invalid-ssh-key",
                &path,
                "the key after its type is not base64 as ssh-keygen makes it",
                hint,
            );
        }
    }
}

/// A Kubernetes label: `[prefix/]name: value`.
pub(super) fn label(check: &mut Check<'_>, path: &str, key: &str, value: &str) {
    let hint = "a label is `name` or `prefix.example.com/name`; names and values have at most 63 of A-Z, a-z, 0-9, `-`, `_`, `.`";
    if !is_label_key(key) {
        check.error(
            "invalid-label",
            path,
            format!("`{key}` is no Kubernetes label"),
            hint,
        );
    }
    if !value.is_empty() && !is_label_word(value) {
        check.error(
            "invalid-label",
            path,
            format!("`{value}` is no value of a Kubernetes label"),
            hint,
        );
    }
}

/// A Kubernetes taint: `key[=value]:Effect`.
pub(super) fn taint(check: &mut Check<'_>, path: &str, taint: &str) {
    let good = taint.rsplit_once(':').is_some_and(|(pair, effect)| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        effects.contains(&effect) && is_label_key(key) && (value.is_empty() || is_label_word(value))
    });
    if !good {
        let hint = "write `key=value:Effect` with the effect NoSchedule, PreferNoSchedule or NoExecute";
        check.error(
            "invalid-taint",
            path,
            format!("`{taint}` is no Kubernetes taint"),
            hint,
        );
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_word(key),
        Some((prefix, name)) => prefix.parse::<faros_model::ids::DomainName>().is_ok() && is_label_word(name),
    }
}

fn is_label_word(word: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    word.len() <= 63 && word.bytes().all(inner) && edge(word.bytes().next()) && edge(word.bytes().last())
}

/// A size such as `200Gi`, in bytes.
pub(super) fn size(check: &mut Check<'_>, path: &str, text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1_u64 << 30),
        "Ti" => Some(1 << 40),
        "k" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "T" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(n, unit)| n.checked_mul(unit));
    let size = bytes.filter(|bytes| *bytes > 0);
    if size.is_none() {
        check.error(
            "invalid-size",
            path,
            format!("`{text}` is no size"),
            "such as 200Gi, 512Mi or 1T",
        );
    }
    size
}

/// A kernel argument: one word, and none that the bastion sets.
pub(super) fn kernel_argument(check: &mut Check<'_>, path: &str, argument: &str) {
    if argument.is_empty()
        || argument
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '"')
    {
        let what = format!("`{}` is not one kernel argument", argument.escape_debug());
        return check.error(
            "invalid-kernel-argument",
            path,
            what,
            "one item of the list is one argument, without blanks",
        );
    }
    let name = argument.split('=').next().unwrap_or_default();
    let ours = ["ignition.", "faros.", "BOOTIF", "rd.neednet", "initrd"];
    if let Some(own) = ours.iter().find(|own| name.starts_with(**own)) {
        let what = format!("`{name}` is set by the bastion");
        check.error(
            "reserved-kernel-argument",
            path,
            what,
            format!("leave out arguments that begin with `{own}`"),
        );
    }
}

/// The name of a network interface of Linux.
pub(super) fn interface(check: &mut Check<'_>, path: &str, name: &str) -> bool {
    let bad = |c: char| c == '/' || c.is_whitespace() || c.is_control() || c == ':';
    let good = (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(bad);
    if !good {
        let what = format!("`{name}` is no name of a network interface");
        check.error(
            "invalid-interface",
            path,
            what,
            "1 to 15 characters, as `ip link` shows it, such as enp1s0",
        );
    }
    good
}
