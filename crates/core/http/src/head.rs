//! Heads of requests and responses (RFC 9112).

use std::fmt::Write as _;

/// Largest request head, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Largest request body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Most header fields of a request.
const MAX_FIELDS: usize = 64;

/// What a request wants done. Nothing else is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The content.
    Get,
    /// What GET would answer, without the content.
    Head,
    /// To tell something.
    Post,
    /// Any other. What is sent along is not looked at, and the connection ends after the answer.
    Other,
}

/// A request, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it wants done.
    pub method: Method,
    /// Its path, as sent, without the query.
    pub path: String,
    /// Whether the connection stays open for another request.
    pub keep_alive: bool,
    /// Length of the body that follows, in bytes; at most [`MAX_BODY`].
    pub body_length: usize,
    /// Whether the client waits to be told to send the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The `Range` field.
    pub range: Option<String>,
    /// The `If-Range` field.
    pub if_range: Option<String>,
    /// The `If-None-Match` field.
    pub if_none_match: Option<String>,
    /// What follows the `?` of the target, as sent.
    pub query: Option<String>,
    /// The `Accept` fields, joined; empty if there are none.
    pub accept: String,
}

/// Why a request is refused; the connection ends after the answer, since its framing cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRequest {
    /// It is not HTTP, or breaks its rules.
    Malformed,
    /// The head is too large, or has too many fields.
    HeadTooLarge,
    /// The body is too large.
    BodyTooLarge,
    /// It has a transfer coding, of which none is understood.
    TransferCoding,
}

impl BadRequest {
    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::HeadTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::TransferCoding => 501,
        }
    }

    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "http_malformed",
            Self::HeadTooLarge => "http_head_too_large",
            Self::BodyTooLarge => "http_body_too_large",
            Self::TransferCoding => "http_transfer_coding",
        }
    }
}

/// Reads a request head from the front of `bytes`: the request and how many bytes it took, or `None` if the
/// head is not complete yet.
///
/// # Errors
/// If it can never become a request that is answered.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadRequest::HeadTooLarge),
        Err(_) => return Err(BadRequest::Malformed),
    };
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let (path, query) = target(head.path.unwrap_or_default()).ok_or(BadRequest::Malformed)?;
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.map(str::to_owned),
        accept: String::new(),
        keep_alive: head.version == Some(1),
        body_length: 0,
        expects_continue: false,
        range: None,
        if_range: None,
        if_none_match: None,
    };
    let (mut hosts, mut lengths) = (0, 0);
    for field in head.headers.iter() {
        let value = std::str::from_utf8(field.value)
            .map_err(|_| BadRequest::Malformed)?
            .trim();
        match field.name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "connection" => {
                let says = |word: &str| {
                    value
                        .split(',')
                        .any(|item| item.trim().eq_ignore_ascii_case(word))
                };
                if says("close") {
                    request.keep_alive = false;
                } else if says("keep-alive") {
                    request.keep_alive = true;
                }
            }
            "accept" => {
                if !request.accept.is_empty() {
                    request.accept.push(',');
                }
                request.accept.push_str(value);
            }
            // Framing that is not followed is not judged either.
            "content-length" | "transfer-encoding" | "expect" if method == Method::Other => (),
            // A second length, or a coding beside one, is how requests are smuggled (RFC 9112 section 6.3).
            "content-length" => {
                lengths += 1;
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                if !digits || lengths > 1 {
                    return Err(BadRequest::Malformed);
                }
                let length = value.parse::<usize>().ok().filter(|length| *length <= MAX_BODY);
                request.body_length = length.ok_or(BadRequest::BodyTooLarge)?;
            }
            "transfer-encoding" => return Err(BadRequest::TransferCoding),
            "expect" => request.expects_continue = value.eq_ignore_ascii_case("100-continue"),
            "range" => request.range = Some(value.to_owned()),
            "if-range" => request.if_range = Some(value.to_owned()),
            "if-none-match" => request.if_none_match = Some(value.to_owned()),
            _ => (),
        }
    }
    // RFC 9112 section 3.2: exactly one Host in HTTP/1.1.
    if hosts > 1 || (head.version == Some(1) && hosts == 0) {
        return Err(BadRequest::Malformed);
    }
    if method == Method::Other {
        request.keep_alive = false;
    }
    Ok(Some((request, length)))
}

/// The path and the query of a request target in origin or absolute form.
fn target(target: &str) -> Option<(&str, Option<&str>)> {
    let absolute = ["http://", "https://"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme));
    let origin = match absolute {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let origin = origin.split('#').next()?;
    let (path, query) = match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    };
    path.starts_with('/').then_some((path, query))
}

/// The head of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    /// Media type of the content, if there is content.
    pub content_type: Option<&'a str>,
    /// Length of the content in bytes; also for HEAD and 304, where none follows.
    pub content_length: u64,
    /// Strong entity tag, without quotes.
    pub etag: Option<&'a str>,
    /// `Content-Range` of a part or of a refusal.
    pub content_range: Option<&'a str>,
    /// Whether ranges may be asked for.
    pub accepts_ranges: bool,
    /// Whether the connection stays open.
    pub keep_alive: bool,
    /// What it says of itself besides. Control characters in a value are left out.
    pub fields: &'a [(&'static str, String)],
}

impl Response<'_> {
    /// The bytes of the head; `date` is the time in the form of RFC 9110 section 5.6.7.
    pub fn encode(&self, date: &str) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\n",
            self.status,
            reason(self.status)
        );
        let length = self.content_length;
        // Writing to a `String` cannot fail.
        let _ = write!(head, "Content-Length: {length}\r\n");
        let quoted = self.etag.map(|etag| format!("\"{etag}\""));
        let has_allow = self.fields.iter().any(|(name, _)| *name == "Allow");
        let fields = [
            ("Content-Type", self.content_type),
            ("ETag", quoted.as_deref()),
            ("Content-Range", self.content_range),
            ("Accept-Ranges", self.accepts_ranges.then_some("bytes")),
            (
                "Allow",
                (self.status == 405 && !has_allow).then_some("GET, HEAD, POST"),
            ),
            ("Connection", (!self.keep_alive).then_some("close")),
            ("X-Content-Type-Options", Some("nosniff")),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        for (name, value) in self.fields {
            let value = value.replace(|c: char| c.is_control(), "");
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
