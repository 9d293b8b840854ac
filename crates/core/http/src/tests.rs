use proptest::prelude::*;

use super::*;

fn get(fields: &str) -> Request {
    let text = format!("GET /x HTTP/1.1\r\nHost: b\r\n{fields}\r\n");
    parse(text.as_bytes()).unwrap().unwrap().0
}

fn refused(text: &str) -> BadRequest {
    parse(text.as_bytes()).unwrap_err()
}

#[test]
fn a_head_is_read_once_it_is_whole() {
    let text = "GET /boot/52-54-00-08-00-01.ipxe?x=1 HTTP/1.1\r\nHost: bastion\r\n\r\nrest";
    for cut in 0..text.len() - 4 {
        assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "after {cut} bytes");
    }
    let (request, length) = parse(text.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (request.path.as_str(), length),
        ("/boot/52-54-00-08-00-01.ipxe", text.len() - 4)
    );
    assert!(request.keep_alive);
}

#[test]
fn the_connection_stays_open_as_the_version_and_the_client_say() {
    assert!(get("").keep_alive);
    assert!(!get("Connection: close\r\n").keep_alive);
    let old = parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0;
    assert!(!old.keep_alive);
    let old = parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .unwrap()
        .unwrap()
        .0;
    assert!(old.keep_alive);
}

#[test]
fn framing_that_could_hide_a_second_request_is_refused() {
    let post = |fields: &str| refused(&format!("POST /x HTTP/1.1\r\nHost: b\r\n{fields}\r\n"));
    assert_eq!(
        post("Content-Length: 1\r\nContent-Length: 1\r\n"),
        BadRequest::Malformed
    );
    assert_eq!(post("Content-Length: +1\r\n"), BadRequest::Malformed);
    assert_eq!(
        post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        BadRequest::TransferCoding
    );
    assert_eq!(post("Content-Length: 70000\r\n"), BadRequest::BodyTooLarge);
    assert_eq!(
        post("Content-Length: 99999999999999999999999\r\n"),
        BadRequest::BodyTooLarge
    );
    assert_eq!(post("Host: second\r\n"), BadRequest::Malformed);
    assert_eq!(refused("GET /x HTTP/1.1\r\n\r\n"), BadRequest::Malformed);
    assert_eq!(
        refused("GET x HTTP/1.1\r\nHost: b\r\n\r\n"),
        BadRequest::Malformed
    );
    assert_eq!(
        refused(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000))),
        BadRequest::HeadTooLarge
    );
    assert_eq!(
        refused(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65))),
        BadRequest::HeadTooLarge
    );
}

#[test]
fn a_method_that_nobody_knows_is_told_so_and_its_connection_ends() {
    let text = "PUT /v2/x HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = parse(text.as_bytes()).unwrap().unwrap().0;
    assert_eq!((request.method, request.body_length), (Method::Other, 0));
    assert!(!request.keep_alive);
}

#[test]
fn what_an_image_client_says_is_there_to_be_looked_at() {
    let text = "GET https://b:5000/v2/x/tags/list?n=2&last=a#x HTTP/1.1\r\nHost: b\r\nAccept: a/b\r\nAccept: c/d; q=1\r\n\r\n";
    let request = parse(text.as_bytes()).unwrap().unwrap().0;
    assert_eq!(request.path, "/v2/x/tags/list");
    assert_eq!(request.query.as_deref(), Some("n=2&last=a"));
    assert_eq!(request.accept, "a/b,c/d; q=1");
}

#[test]
fn no_value_of_a_field_begins_another_one() {
    let fields = [("X", "a\r\nSet-Cookie: b".to_owned())];
    let answer = Response {
        status: 200,
        fields: &fields,
        ..Response::default()
    };
    let text = String::from_utf8(answer.encode("now")).unwrap();
    assert!(text.contains("X: aSet-Cookie: b\r\n"), "{text}");
}

#[test]
fn only_known_paths_lead_anywhere() {
    let digest = "ab".repeat(32);
    let table = [
        ("/boot/52-54-00-08-00-01.ipxe", true),
        ("/loader/ipxe.efi", true),
        (&format!("/content/sha256/{digest}/vmlinuz"), true),
        (&format!("/content/sha256/{digest}"), true),
        ("/ignition/node-1/0123456789abcdef0123456789abcdef", true),
        ("/ignition/node-1", false),
        ("/ignition/node-1/", false),
        ("/ignition/node-1/0123456789ABCDEF0123456789abcdef", false),
        ("/report/node-1", true),
        ("/", false),
        ("/boot/", false),
        ("/boot/../../etc/passwd", false),
        ("/loader/../../etc/passwd", false),
        ("/loader/%2e%2e/passwd", false),
        ("/loader/..", false),
        ("/loader/.hidden", false),
        (&format!("/content/sha256/{digest}/.."), false),
        (&format!("/content/sha256/{digest}/a%2fb"), false),
        ("/content/sha256/../../faros.db", false),
        ("//ignition/node-1", false),
        ("/ignition/NODE", false),
    ];
    for (path, known) in table {
        assert_eq!(route(path) != Route::Unknown, known, "{path}");
    }
}

#[test]
fn ranges_follow_the_rfc() {
    let table = [
        ("bytes=0-499", "0-499"),
        ("bytes=500-999", "500-999"),
        ("bytes=9500-", "9500-9999"),
        ("bytes=-500", "9500-9999"),
        ("bytes=-20000", "0-9999"),
        ("bytes=0-0,-1", "0-0 9999-9999"),
        ("bytes=500-600,601-999", "500-600 601-999"),
        ("bytes=500-700,601-999", "whole"),
        ("bytes=9999-20000", "9999-9999"),
        ("bytes=10000-", "none"),
        ("bytes=-0", "none"),
        ("bytes=5-2", "whole"),
        ("bytes=a-b", "whole"),
        ("bytes=--1", "whole"),
        ("lines=1-2", "whole"),
        (
            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32",
            "whole",
        ),
    ];
    for (range, expected) in table {
        let show = |part: &Part| format!("{}-{}", part.first, part.last);
        let got = match select(&get(&format!("Range: {range}\r\n")), 10_000, "tag") {
            Select::Whole => "whole".to_owned(),
            Select::One(part) => show(&part),
            Select::Many(parts) => parts.iter().map(show).collect::<Vec<_>>().join(" "),
            Select::NotModified => "not modified".to_owned(),
            Select::Unsatisfiable => "none".to_owned(),
        };
        assert_eq!(got, expected, "{range}");
    }
}

#[test]
fn a_file_is_known_by_its_digest() {
    let ask = |fields: &str| select(&get(fields), 100, "tag");
    assert_eq!(ask("If-None-Match: \"other\", \"tag\"\r\n"), Select::NotModified);
    assert_eq!(ask("If-None-Match: W/\"tag\"\r\n"), Select::NotModified);
    assert_eq!(ask("If-None-Match: *\r\n"), Select::NotModified);
    assert_eq!(ask("If-None-Match: \"other\"\r\n"), Select::Whole);
    assert_eq!(
        ask("Range: bytes=0-1\r\nIf-Range: \"tag\"\r\n"),
        Select::One(Part { first: 0, last: 1 })
    );
    assert_eq!(ask("Range: bytes=0-1\r\nIf-Range: \"old\"\r\n"), Select::Whole);
    assert_eq!(ask("Range: bytes=0-1\r\nIf-Range: W/\"tag\"\r\n"), Select::Whole);
}

#[test]
fn an_empty_file_has_no_ranges() {
    assert_eq!(
        select(&get("Range: bytes=0-\r\n"), 0, "tag"),
        Select::Unsatisfiable
    );
    assert_eq!(
        select(&get("Range: bytes=-5\r\n"), 0, "tag"),
        Select::Unsatisfiable
    );
    assert_eq!(select(&get(""), 0, "tag"), Select::Whole);
}

proptest! {
    #[test]
    fn no_bytes_confuse_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz::request(&bytes);
    }

    #[test]
    fn no_head_confuses_the_parser(text in "(GET|POST|PUT) /[a-z./%]{0,20} HTTP/1\\.[01]\r\n(([A-Za-z-]{1,20}|Range|Content-Length): ?[ -~]{0,40}\r\n){0,5}\r\n") {
        fuzz::request(text.as_bytes());
    }

    #[test]
    fn no_range_reaches_outside_of_the_file(text in "bytes=([0-9]{0,4}-[0-9]{0,4},? ?){0,6}", size in 0_u64..2000) {
        fuzz::range(&text, size);
    }
}
