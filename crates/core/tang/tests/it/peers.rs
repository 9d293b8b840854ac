//! An HTTP server in front of either Tang, and the programs that talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use faros_tang::{KeyRing, RecoverError, Recovery, Route, Tables, route};
use jiff::Timestamp;
use tempfile::TempDir;

/// Status, media type and content of an answer.
pub(crate) type Answer = (u16, String, String);

/// A Tang that answers at [`Self::url`]; which one can be changed while it runs.
pub(crate) struct Server {
    pub(crate) url: String,
    behind: Arc<Mutex<Behind>>,
}

struct Behind {
    tang: Tang,
    recoveries: Vec<Result<Recovery, RecoverError>>,
}

pub(crate) enum Tang {
    Faros(Tables),
    Debian(TempDir),
}

impl Server {
    pub(crate) fn start(tang: Tang) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let recoveries = Vec::new();
        let behind = Arc::new(Mutex::new(Behind { tang, recoveries }));
        let shared = Arc::clone(&behind);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &shared);
            }
        });
        Self { url, behind }
    }

    pub(crate) fn now_serves(&self, tang: Tang) {
        self.behind.lock().unwrap().tang = tang;
    }

    /// What came of the recoveries that were asked for since the last call.
    pub(crate) fn recoveries(&self) -> Vec<Result<Recovery, RecoverError>> {
        std::mem::take(&mut self.behind.lock().unwrap().recoveries)
    }
}

pub(crate) fn faros(ring: &KeyRing) -> Tang {
    Tang::Faros(Tables::compile(ring))
}

fn serve(mut stream: &TcpStream, behind: &Mutex<Behind>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (method, path) = line
        .trim_end()
        .rsplit_once(' ')
        .unwrap()
        .0
        .split_once(' ')
        .unwrap();
    let mut length = 0;
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        match field.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => (),
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, media_type, content) = behind.lock().unwrap().answer(method, path, &body);
    let length = content.len();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}"
    )
    .unwrap();
}

impl Behind {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        match &self.tang {
            Tang::Debian(folder) => tangd(folder.path(), method, path, body),
            Tang::Faros(tables) => {
                let (answer, recovery) = ours(tables, method, path, body);
                self.recoveries.extend(recovery);
                answer
            }
        }
    }
}

/// What this crate answers, and the recovery if one was asked for.
pub(crate) fn ours(
    tables: &Tables,
    method: &str,
    path: &str,
    body: &[u8],
) -> (Answer, Option<Result<Recovery, RecoverError>>) {
    let refused = |status| (status, String::new(), String::new());
    match (route(path), method) {
        (Route::Advertisement(asked), "GET") => {
            let answer = tables.advertisement(asked).map_or(refused(404), |text| {
                (200, faros_tang::ADVERTISEMENT_TYPE.to_owned(), text.to_owned())
            });
            (answer, None)
        }
        (Route::Recovery(asked), "POST") => {
            let recovery = tables.recover(asked, body);
            let answer = match &recovery {
                Ok(it) => (200, faros_tang::RECOVERY_TYPE.to_owned(), it.text.clone()),
                Err(why) => refused(why.status()),
            };
            (answer, Some(recovery))
        }
        (Route::Advertisement(_) | Route::Recovery(_), _) => (refused(405), None),
        (Route::Unknown, _) => (refused(404), None),
    }
}

/// What Debian's `tangd` answers.
pub(crate) fn tangd(folder: &Path, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let said = run("/usr/libexec/tangd", &[folder.to_str().unwrap()], &request).unwrap();
    let (head, content) = said.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let media_type = head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
    let content = if status == 200 { content } else { "" };
    (
        status,
        media_type.unwrap_or_default().to_owned(),
        content.to_owned(),
    )
}

/// What a program says to `input`, or what it complains of.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("no_proxy", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{program}: {why}; `scripts/setup test` installs it"));
    // A program may end without reading all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// A key folder of `tangd` with new keys.
pub(crate) fn tangd_keygen() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(
        "/usr/libexec/tangd-keygen",
        &[folder.path().to_str().unwrap()],
        b"",
    )
    .unwrap();
    folder
}

/// A new key by `jose`, in a key folder.
pub(crate) fn jose_keygen(folder: &Path, name: &str, template: &str) {
    let file = folder.join(name);
    run(
        "jose",
        &["jwk", "gen", "-i", template, "-o", file.to_str().unwrap()],
        b"",
    )
    .unwrap();
}

/// What is imported from a key folder.
pub(crate) fn import(folder: &Path) -> KeyRing {
    let files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    let mut ring = KeyRing::default();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    assert!(ring.import(files, now(0)).unwrap() > 0);
    ring
}

/// A key folder of `tangd` with the keys of a ring.
pub(crate) fn export(ring: &KeyRing) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ring.export() {
        std::fs::write(folder.path().join(&file.name), file.text.as_bytes()).unwrap();
    }
    folder
}

pub(crate) fn generate() -> KeyRing {
    KeyRing::generate(&mut rng(), now(0))
}

pub(crate) fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

pub(crate) fn now(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
