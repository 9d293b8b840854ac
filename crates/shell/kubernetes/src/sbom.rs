//! The bill of materials: which modules and packages each program is made of, as `CycloneDX` 1.6.

use std::collections::{BTreeMap, BTreeSet};

use faros_model::{
    ids::Digest,
    kubernetes::{Component, KubeVersion},
};
use serde_json::{Value, json};

use crate::debian::Package;

/// What a program is made of.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) component: Component,
    /// Go modules, by path and version.
    pub(crate) modules: Vec<(String, String)>,
    /// Debian packages that are linked in, or that stand beside it.
    pub(crate) packages: Vec<Package>,
}

/// The document, which is the same for the same programs.
pub(crate) fn document(version: KubeVersion, date: jiff::Timestamp, of: Digest, made: &[Made]) -> Value {
    let mut libraries = BTreeMap::new();
    let mut programs = Vec::new();
    let mut edges = Vec::new();
    for Made {
        component,
        modules,
        packages,
    } in made
    {
        let own = format!("program/{}", component.name);
        programs.push(json!({
            "type": "application",
            "bom-ref": own,
            "name": component.name,
            "version": component.version,
            "purl": format!("pkg:golang/{}@{}", component.module, component.version),
            "hashes": [{ "alg": "SHA-256", "content": component.sha256.to_string() }],
        }));
        let mut below = BTreeSet::new();
        for (path, version) in modules {
            let purl = format!("pkg:golang/{path}@{}", version.replace('+', "%2B"));
            below.insert(purl.clone());
            libraries.insert(purl, (path.as_str(), version.as_str()));
        }
        for Package { name, version } in packages {
            let escaped = version
                .replace('+', "%2B")
                .replace(':', "%3A")
                .replace('~', "%7E");
            let purl = format!("pkg:deb/debian/{name}@{escaped}?arch=amd64");
            below.insert(purl.clone());
            libraries.insert(purl, (name.as_str(), version.as_str()));
        }
        edges.push(json!({ "ref": own, "dependsOn": below }));
    }
    programs.extend(libraries.iter().map(|(purl, (name, version))| {
        json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl })
    }));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(of),
        "version": 1,
        "metadata": {
            "timestamp": date.to_string(),
            "component": { "type": "platform", "bom-ref": "release", "name": "kubernetes", "version": version.to_string() },
        },
        "components": programs,
        "dependencies": edges,
    })
}

/// A UUID of version 8 (RFC 9562 section 5.8), made of what the document is about.
fn serial(Digest(mut bytes): Digest) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = Digest(bytes).to_string();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_stands_there_once_and_all_its_users_name_it() {
        let made = |name: &str| Made {
            component: Component {
                name: name.to_owned(),
                version: "v1".to_owned(),
                module: "example.com/x".to_owned(),
                sha256: Digest([1; 32]),
            },
            modules: vec![("a.io/b".to_owned(), "v2.0.0+incompatible".to_owned())],
            packages: vec![Package {
                name: "libc6".to_owned(),
                version: "2.36-9+deb12u14".to_owned(),
            }],
        };
        let version = KubeVersion { minor: 36, patch: 3 };
        let of = Digest([0xab; 32]);
        let text = document(version, jiff::Timestamp::UNIX_EPOCH, of, &[made("x"), made("y")]).to_string();
        assert_eq!(
            text.matches(r#""purl":"pkg:golang/a.io/b@v2.0.0%2Bincompatible""#)
                .count(),
            1
        );
        assert_eq!(
            text.matches(r#""pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64""#)
                .count(),
            4
        );
        assert!(
            text.contains("urn:uuid:abababab-abab-8bab-abab-abababababab"),
            "{text}"
        );
    }
}
