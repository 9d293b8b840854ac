//! Checks of single texts: SSH keys, labels, taints, sizes, interfaces, hosts.

use std::net::Ipv4Addr;

use faros_model::ids::DomainName;

use super::Check;
use crate::{codes::Code, secrets, show::show};

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
    if keys.is_empty() && check.places.has(PATH) && !check.is_told(PATH) {
        let what = "nobody will be able to log in on a node";
        check.warn(Code::NoSshKeys, PATH, what, "add a public key");
    }
    for (idx, key) in keys.iter().enumerate() {
        let path = check.places.item(PATH, idx);
        let hint = "copy the line from a .pub file, such as ~/.ssh/id_ed25519.pub";
        let mut words = key.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let body = words.next().unwrap_or_default();
        let of_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if key.contains(['\n', '\r']) {
            let what = "there is more than one line in this key";
            check.error(
                Code::InvalidSshKey,
                &path,
                what,
                "write each key as an item of its own",
            );
        } else if !TYPES.contains(&kind) {
            let what = format!("{} is no type of SSH public key", show(kind));
            check.error(Code::InvalidSshKey, &path, what, hint);
        } else if body.contains('…') || body.ends_with("...") {
            let what = "this key is a placeholder: nobody can log in with it";
            check.warn(Code::Placeholder, &path, what, hint);
        } else if !body.starts_with("AAAA") || !body.bytes().all(of_base64) {
            let what = format!("what follows {kind} is not the base64 that ssh-keygen makes");
            check.error(Code::InvalidSshKey, &path, what, hint);
        } else if keys[..idx].contains(key) {
            check.error(
                Code::DuplicateValue,
                &path,
                "this key is here twice",
                "keep one of them",
            );
        }
    }
}

/// A Kubernetes label: `[prefix/]name: value`.
pub(super) fn label(check: &mut Check<'_>, path: &str, key: &str, value: &str) {
    let hint = "names and values have at most 63 of A-Z, a-z, 0-9, `-`, `_`, `.` and begin and end with a letter or digit; a prefix is a domain and ends with `/`";
    if !is_label_key(key) {
        check.error_in_key(
            Code::InvalidLabel,
            path,
            format!("{} is no Kubernetes label", show(key)),
            hint,
        );
    } else if !value.is_empty() && !is_label_word(value) {
        let what = format!("{} is no value of a Kubernetes label", show(value));
        check.error(Code::InvalidLabel, path, what, hint);
    }
}

/// A label that a kubelet may give to its own node (Kubernetes' `NodeRestriction`).
pub(super) fn node_label(check: &mut Check<'_>, path: &str, key: &str, value: &str) {
    const ALLOWED: &[&str] = &[
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    label(check, path, key, value);
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    let of = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    let own = of("kubelet.kubernetes.io") || of("node.kubernetes.io");
    if (of("kubernetes.io") || of("k8s.io")) && !own && !ALLOWED.contains(&key) {
        let what = format!("a kubelet may not give its node the label {}", show(key));
        let hint = match prefix {
            "node-role.kubernetes.io" => "it follows from `roles`",
            _ => "use a prefix of your own, or none",
        };
        check.error_in_key(Code::ReservedLabel, path, what, hint);
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
        let what = format!("{} is no Kubernetes taint", show(taint));
        let hint = "write `key=value:Effect` with the effect NoSchedule, PreferNoSchedule or NoExecute";
        check.error(Code::InvalidTaint, path, what, hint);
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_word(key),
        Some((prefix, name)) => prefix.parse::<DomainName>().is_ok() && is_label_word(name),
    }
}

fn is_label_word(word: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    word.len() <= 63 && word.bytes().all(inner) && edge(word.bytes().next()) && edge(word.bytes().last())
}

/// A size such as `200Gi`, in bytes.
pub(super) fn size(check: &mut Check<'_>, path: &str, text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[unit_at..] {
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
    let number = text[..unit_at].parse::<u64>().ok();
    let size = number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0);
    if size.is_none() {
        let what = format!("{} is no size", show(text));
        check.error(
            Code::InvalidSize,
            path,
            what,
            "write a number with Ki, Mi, Gi, Ti, k, M, G or T, such as 200Gi",
        );
    }
    size
}

/// A kernel argument: one word, and none that the bastion sets.
pub(super) fn kernel_argument(check: &mut Check<'_>, path: &str, argument: &str) {
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    if argument.is_empty() || argument.contains(blank) {
        let what = format!("{} is not one kernel argument", show(argument));
        let hint = "write each argument as an item of its own, without blanks and double quotes";
        return check.error(Code::InvalidKernelArgument, path, what, hint);
    }
    let name = argument.split('=').next().unwrap_or_default();
    let ours = ["ignition.", "faros.", "BOOTIF", "rd.neednet", "initrd"];
    if argument.contains('=') && secrets::is_name(name) {
        let what = format!(
            "{} looks like a secret, and every program on the node can read it",
            show(name)
        );
        check.error(Code::SecretInClear, path, what, secrets::HINT);
    } else if ours.iter().any(|own| name.starts_with(own)) || argument == "ip=dhcp" {
        let what = format!("{} is set by the bastion", show(name));
        check.error(Code::ReservedKernelArgument, path, what, "leave it out");
    }
}

/// The name of a network interface of Linux.
pub(super) fn interface(check: &mut Check<'_>, path: &str, name: &str) -> bool {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    let good = (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(bad);
    if !good {
        let what = format!("{} is no name of a network interface", show(name));
        let hint = "1 to 15 characters, as `ip link` shows it, such as enp1s0";
        check.error(Code::InvalidInterface, path, what, hint);
    }
    good
}

/// A name or an IPv4 address that may stand in a URL or for a server.
pub(super) fn is_host(text: &str) -> bool {
    let all_digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse::<Ipv4Addr>().is_ok() || (!all_digits && text.to_lowercase().parse::<DomainName>().is_ok())
}
