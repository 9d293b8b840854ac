use std::collections::BTreeSet;

use faros_model::ids::ContentName;
use proptest::prelude::*;

use super::*;

const OWN: &[&str] = &["registry.harbour-7.example.com", "192.168.8.1"];

/// What is looked up for a path, or the refusal's code.
fn asks(target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let entry = |entry: Option<ContentName>| entry.map_or("too long".to_owned(), |entry| entry.to_string());
    match route(true, path, query, OWN) {
        Ok(Route::Base) => "base".to_owned(),
        Ok(Route::Catalog(page)) => format!("catalog {:?} {:?}", page.n, page.last),
        Ok(Route::Tags(repository, page)) => format!("tags of {repository} {:?} {:?}", page.n, page.last),
        Ok(Route::Manifest(repository, Reference::Tag(tag))) => entry(repository.tag_entry(&tag)),
        Ok(Route::Manifest(repository, Reference::Digest(digest))) => {
            entry(repository.manifest_entry(digest))
        }
        Ok(Route::Blob(repository, digest)) => entry(repository.blob_entry(digest)),
        Ok(Route::Referrers(repository, _)) => format!("referrers in {repository}"),
        Err(refusal) => format!("{} {}", refusal.code.status(), refusal.code.as_str()),
    }
}

#[test]
fn what_can_be_asked_for_is_a_closed_set() {
    let hex = "ab".repeat(32);
    let table: &[(String, String)] = &[
        ("/v2/".into(), "base".into()),
        ("/v2".into(), "base".into()),
        ("/v2/_catalog?n=3".into(), "catalog Some(3) None".into()),
        (
            "/v2/kubernetes/pause/manifests/3.10.2?ns=faros.dev".into(),
            "registry/faros.dev/kubernetes/pause/tags/3.10.2".into(),
        ),
        (
            "/v2/faros.dev/kubernetes/pause/manifests/3.10.2".into(),
            "registry/faros.dev/kubernetes/pause/tags/3.10.2".into(),
        ),
        (
            "/v2/faros.dev/a/manifests/1?ns=registry.harbour-7.example.com%3A5000".into(),
            "registry/faros.dev/a/tags/1".into(),
        ),
        (
            format!("/v2/library/nginx/manifests/sha256:{hex}?ns=docker.io"),
            format!("registry/docker.io/library/nginx/manifests/{hex}"),
        ),
        (
            format!("/v2/library/nginx/blobs/sha256:{hex}?ns=docker.io"),
            format!("registry/docker.io/library/nginx/blobs/{hex}"),
        ),
        (
            "/v2/docker.io/library/nginx/tags/list?last=1.2&n=0".into(),
            "tags of docker.io/library/nginx Some(0) Some(\"1.2\")".into(),
        ),
        (
            format!("/v2/docker.io/a/referrers/sha256:{hex}?artifactType=x"),
            "referrers in docker.io/a".into(),
        ),
        // A repository may be called as a part of the protocol is.
        (
            "/v2/docker.io/manifests/blobs/manifests/1".into(),
            "registry/docker.io/manifests/blobs/tags/1".into(),
        ),
    ];
    for (target, expected) in table {
        assert_eq!(&asks(target), expected, "{target}");
    }
}

#[test]
fn what_is_no_name_of_an_image_leads_nowhere() {
    let hex = "ab".repeat(32);
    let table: &[(String, &str)] = &[
        ("/".into(), "404 NAME_UNKNOWN"),
        ("/v2/x".into(), "404 NAME_UNKNOWN"),
        ("/v2/docker.io/a/uploads/1".into(), "404 NAME_UNKNOWN"),
        ("/v2/nginx/manifests/1".into(), "400 NAME_INVALID"),
        ("/v2/library/nginx/manifests/1".into(), "400 NAME_INVALID"),
        (
            "/v2/docker.io/../../etc/manifests/passwd".into(),
            "400 NAME_INVALID",
        ),
        ("/v2/a/manifests/1?ns=..".into(), "400 NAME_INVALID"),
        ("/v2/a/manifests/1?ns=%2e%2e%2fx".into(), "400 NAME_INVALID"),
        ("/v2/a/manifests/1?ns=%zz".into(), "400 NAME_INVALID"),
        ("/v2/a/manifests/1?ns=".into(), "400 NAME_INVALID"),
        ("/v2/a//b/manifests/1?ns=docker.io".into(), "400 NAME_INVALID"),
        ("/v2/docker.io/Nginx/manifests/1".into(), "400 NAME_INVALID"),
        ("/v2/docker.io/a/manifests/..".into(), "404 MANIFEST_UNKNOWN"),
        ("/v2/docker.io/a/manifests/sha256:00".into(), "400 DIGEST_INVALID"),
        (
            format!("/v2/docker.io/a/manifests/sha512:{hex}"),
            "400 DIGEST_INVALID",
        ),
        ("/v2/docker.io/a/blobs/latest".into(), "400 DIGEST_INVALID"),
        (
            format!("/v2/docker.io/a/blobs/sha256:{}", hex.to_uppercase()),
            "400 DIGEST_INVALID",
        ),
        (
            format!("/v2/docker.io/{}/manifests/1", "a".repeat(600)),
            "400 NAME_INVALID",
        ),
        ("/v2/_catalog?n=-1".into(), "405 UNSUPPORTED"),
    ];
    for (target, expected) in table {
        assert_eq!(&asks(target), expected, "{target}");
    }
}

#[test]
fn nothing_is_pushed() {
    let refused = route(false, "/v2/docker.io/a/blobs/uploads/", None, OWN).unwrap_err();
    assert_eq!(refused.code, Code::Unsupported);
    assert_eq!(refused.code.status(), 405);
    assert!(
        refused
            .json()
            .starts_with(r#"{"errors":[{"code":"UNSUPPORTED","message":"#)
    );
}

#[test]
fn a_manifest_is_of_the_kind_that_it_says_or_shows() {
    let of = |text: &str| media_type(text.as_bytes());
    let typed = |kind: MediaType| format!(r#"{{"schemaVersion":2,"mediaType":"{}"}}"#, kind.as_str());
    for kind in MediaType::ALL {
        assert_eq!(of(&typed(kind)), Some(kind));
    }
    assert_eq!(of(r#"{"manifests":[]}"#), Some(MediaType::OciIndex));
    assert_eq!(of(r#"{"config":{},"layers":[]}"#), Some(MediaType::OciManifest));
    assert_eq!(of(r#"{"mediaType":"text/html","config":{}}"#), None);
    assert_eq!(of("{}"), None);
    assert_eq!(of("no JSON"), None);
}

#[test]
fn a_client_gets_only_what_it_can_read() {
    use MediaType::{DockerManifest, OciIndex, OciManifest};
    let table = [
        ("", OciIndex, true),
        ("*/*", OciIndex, true),
        ("application/*;q=0.1", OciIndex, true),
        ("application/vnd.oci.image.index.v1+json", OciIndex, true),
        (
            "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json",
            OciManifest,
            true,
        ),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            OciManifest,
            false,
        ),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            DockerManifest,
            true,
        ),
        ("application/json", OciManifest, false),
        ("application/vnd.oci.image.index.v1+json;q=0", OciIndex, false),
        (" , ", OciIndex, true),
    ];
    for (accept, what, expected) in table {
        assert_eq!(accepts(accept, what), expected, "{accept}");
    }
}

#[test]
fn lists_come_in_pages_that_lead_to_the_next() {
    let all: BTreeSet<String> = ["1.0", "1.1", "2.0"].map(str::to_owned).into();
    let page = |n, last: Option<&str>| Page {
        n,
        last: last.map(str::to_owned),
        ns: None,
    };
    let show = |page: Page| {
        let listed = list(&all, &page);
        let link = next_link("/v2/docker.io/a/tags/list", &page, &listed);
        format!("{} {}", listed.names.join(","), link.unwrap_or_default())
    };
    assert_eq!(show(page(None, None)), "1.0,1.1,2.0 ");
    assert_eq!(
        show(page(Some(2), None)),
        "1.0,1.1 </v2/docker.io/a/tags/list?n=2&last=1.1>; rel=\"next\""
    );
    assert_eq!(show(page(Some(2), Some("1.1"))), "2.0 ");
    assert_eq!(show(page(Some(0), None)), " ");
    assert_eq!(show(page(Some(9), Some("zz"))), " ");
    let Ok(Route::Tags(_, of_mirror)) = route(true, "/v2/a/tags/list", Some("n=1&ns=docker.io"), OWN) else {
        panic!("it is a list of tags");
    };
    let link = next_link("/v2/a/tags/list", &of_mirror, &list(&all, &of_mirror));
    assert_eq!(
        link.as_deref(),
        Some("</v2/a/tags/list?n=1&last=1.0&ns=docker.io>; rel=\"next\"")
    );
}

#[test]
fn repositories_and_tags_are_read_off_the_names_of_the_store() {
    let names: Vec<ContentName> = [
        "debian-13/image.json",
        "registry/faros.dev/kubernetes/pause/tags/3.10.2",
        "registry/faros.dev/kubernetes/pause/tags/3.9",
        "registry/faros.dev/kubernetes/pause/manifests/00",
        "registry/docker.io/library/nginx/tags/1.27",
        "registry/tags/x",
    ]
    .into_iter()
    .filter_map(|name| name.parse().ok())
    .collect();
    let all: Vec<String> = catalog(&names).into_iter().collect();
    assert_eq!(all, ["docker.io/library/nginx", "faros.dev/kubernetes/pause"]);
    let of = |name: &str| Repository::of_full_name(name).and_then(|own| tags(&own, &names));
    assert_eq!(of("faros.dev/kubernetes/pause").unwrap().len(), 2);
    assert_eq!(of("faros.dev/kubernetes"), None);
    assert_eq!(of("docker.io/nginx"), None);
}

proptest! {
    #[test]
    fn no_target_leads_out_of_the_images(target in "/v2/[a-z./%_:-]{0,40}(/manifests/|/blobs/|/tags/list|/referrers/)?[a-z0-9.:/%]{0,80}(\\?(ns|n|last)=[a-z0-9.%&=:-]{0,30})?") {
        fuzz::request(&target);
    }

    #[test]
    fn no_bytes_confuse_what_reads_manifests(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz::manifest(&bytes);
    }
}
