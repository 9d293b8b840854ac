//! Answers: what a page becomes on the wire.

use std::io;

use faros_http::{Method, Part, Request, Response, Select, select};
use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use super::{Client, wire::Wire};
use crate::pages::{Ended, OpenFile, Page, Said};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);
/// Separates the parts of an answer with several ranges.
const BOUNDARY: &str = "faros-part-of-a-file";
/// What a file is, if nothing is known of it.
const BYTES: &str = "application/octet-stream";

impl Client {
    /// Sends a page.
    pub(super) async fn answer(&self, wire: &mut Wire, request: &Request, page: Page) -> io::Result<()> {
        match page {
            Page::File(file) => {
                let said = Said {
                    content_type: BYTES.to_owned(),
                    fields: vec![],
                };
                self.file(wire, request, file, &said).await
            }
            Page::Described { file, said } => self.file(wire, request, file, &said).await,
            Page::Text { content_type, text } => {
                text_with(wire, request, 200, content_type, &[], &text).await
            }
            Page::Answer { status, said, text } => {
                text_with(wire, request, status, &said.content_type, &said.fields, &text).await
            }
            Page::Status(code) => {
                let head_only = request.method == Method::Head;
                status(wire, code, request.keep_alive, head_only).await
            }
        }
    }

    async fn file(&self, wire: &mut Wire, request: &Request, file: OpenFile, said: &Said) -> io::Result<()> {
        if matches!(request.method, Method::Post | Method::Other) {
            return status(wire, 405, request.keep_alive, false).await;
        }
        let etag = file.digest.to_string();
        let size = file.size;
        let whole = Part {
            first: 0,
            last: size.saturating_sub(1),
        };
        let chosen = select(request, size, &etag);
        let content_range = match &chosen {
            Select::One(part) => Some(part.content_range(size)),
            Select::Unsatisfiable => Some(format!("bytes */{size}")),
            Select::Whole | Select::Many(_) | Select::NotModified => None,
        };
        // Each piece: what stands before it, and the bytes of the file.
        let (status, pieces, end) = match &chosen {
            Select::Whole if size == 0 => (200, vec![], String::new()),
            Select::Whole => (200, vec![(String::new(), whole)], String::new()),
            Select::One(part) => (206, vec![(String::new(), *part)], String::new()),
            Select::Many(parts) => {
                let lead = |part: &Part| {
                    let range = part.content_range(size);
                    format!(
                        "\r\n--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Range: {range}\r\n\r\n",
                        said.content_type
                    )
                };
                let pieces = parts.iter().map(|part| (lead(part), *part)).collect();
                (206, pieces, format!("\r\n--{BOUNDARY}--\r\n"))
            }
            Select::NotModified => (304, vec![], String::new()),
            Select::Unsatisfiable => (416, vec![], String::new()),
        };
        let length = pieces
            .iter()
            .map(|(lead, part)| lead.len() as u64 + part.len())
            .sum::<u64>()
            + end.len() as u64;
        let multipart = format!("multipart/byteranges; boundary={BOUNDARY}");
        let head = Response {
            status,
            content_type: Some(if matches!(chosen, Select::Many(_)) {
                &multipart
            } else {
                &said.content_type
            }),
            content_length: if status == 304 { size } else { length },
            etag: Some(&etag),
            content_range: content_range.as_deref(),
            accepts_ranges: true,
            keep_alive: request.keep_alive,
            fields: &said.fields,
        };
        let mut lead = head.encode(&date());
        if request.method == Method::Head || pieces.is_empty() {
            return wire.write(&lead).await;
        }
        let started = Instant::now();
        let of = pieces.iter().map(|(_, part)| part.len()).sum();
        let mut sending = Sending {
            client: self,
            file: &file,
            sent: 0,
            of,
            told: started,
        };
        let mut result = Ok(());
        for (before, part) in &pieces {
            lead.extend_from_slice(before.as_bytes());
            result = async {
                wire.write_more(&lead).await?;
                sending.part(wire, *part).await
            }
            .await;
            lead.clear();
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            result = async {
                wire.write_more(end.as_bytes()).await?;
                wire.flush().await
            }
            .await;
        }
        let bytes = sending.sent;
        let failed = result
            .as_ref()
            .err()
            .map(|error| format!("the connection broke: {error}"));
        let (from, elapsed) = (self.from, started.elapsed());
        self.shared.health.counter("http_bytes").add(bytes);
        self.shared.pages.ended(Ended {
            from,
            file,
            bytes,
            of,
            elapsed,
            protocol: wire.protocol(),
            failed,
        });
        result
    }
}

/// The state of an answer that sends parts of a file.
struct Sending<'a> {
    client: &'a Client,
    file: &'a OpenFile,
    sent: u64,
    of: u64,
    told: Instant,
}

impl Sending<'_> {
    async fn part(&mut self, wire: &mut Wire, part: Part) -> io::Result<()> {
        let mut offset = part.first;
        let mut piece = Vec::new();
        while offset <= part.last {
            let left = part.last - offset + 1;
            let from = offset;
            let sent = wire.send(&self.file.file, &mut offset, left, &mut piece).await;
            self.sent += offset - from;
            sent?;
            if self.told.elapsed() >= TELL {
                self.told = Instant::now();
                self.client
                    .shared
                    .pages
                    .progress(self.client.from, &self.file.name, self.sent, self.of);
            }
            // A fast client must not keep the others waiting.
            if offset <= part.last {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// Sends a status, and nothing but it.
pub(super) async fn status(
    wire: &mut Wire,
    status: u16,
    keep_alive: bool,
    head_only: bool,
) -> io::Result<()> {
    let text = if head_only || status < 400 {
        String::new()
    } else {
        format!("{status}\n")
    };
    let head = Response {
        status,
        content_type: (!text.is_empty()).then_some("text/plain"),
        content_length: text.len() as u64,
        keep_alive,
        ..Response::default()
    };
    wire.write(&[head.encode(&date()), text.into_bytes()].concat())
        .await
}

async fn text_with(
    wire: &mut Wire,
    request: &Request,
    status: u16,
    content_type: &str,
    fields: &[(&'static str, String)],
    text: &str,
) -> io::Result<()> {
    let head = Response {
        status,
        content_type: Some(content_type),
        content_length: text.len() as u64,
        keep_alive: request.keep_alive,
        fields,
        ..Response::default()
    };
    let mut answer = head.encode(&date());
    if request.method != Method::Head {
        answer.extend_from_slice(text.as_bytes());
    }
    wire.write(&answer).await
}

/// Now, in the form of RFC 9110 section 5.6.7.
fn date() -> String {
    Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
