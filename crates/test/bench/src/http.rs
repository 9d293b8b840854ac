//! Content over HTTP: a big file to one client and to eight, small ones, and ranges; against nginx, lighttpd, and a bare
//! `sendfile`. The cables carry big frames, as network cards do.

use std::net::SocketAddrV4;

use anyhow::Context as _;
use faros_lab::network::BASTION_LAN;
use faros_model::ports::NETBOOT_HTTP;

use crate::{
    figures::{Figure, OURS, Target},
    place::{offload, said},
    sink::{self, Fetch},
    work::{Bench, Contender, Work},
    wrk::Wrk,
};

const CPU: Figure = Figure::less("CPU, 8 clients", "s/GB");
const CPU_ONE: Figure = Figure::less("CPU, 1 client", "s/GB");
const EIGHT: Figure = Figure::more("8 clients", "Gbit/s");
const ONE: Figure = Figure::more("1 client", "Gbit/s");
const SMALL: Figure = Figure::more("small files, 8 connections", "1/s");
const SMALL_CPU: Figure = Figure::less("CPU of a small file", "us");

const RANGES: Figure = Figure::more("ranges of 64 KiB, 8 connections", "1/s");
const RANGE_CPU: Figure = Figure::less("CPU of a range", "us");

const NGINX: &str = "nginx";
const BARE: &str = "sendfile";

/// Where ours has the files, by their digests.
#[derive(Default)]
pub(crate) struct Http(std::cell::RefCell<Option<[String; 2]>>);

impl Work for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let root = bench.web_root()?;
        let ours = bench.ours()?;
        let mut paths = [String::new(), String::new()];
        for (path, name) in paths.iter_mut().zip(["big", "small"]) {
            *path = add(bench, &root.join(name), &format!("bench/{name}"))?;
        }
        self.0.replace(Some(paths));

        let root = root.display().to_string();
        let nginx = nginx(bench, &root)?;

        let mut lighttpd = bench.peer("lighttpd")?;
        let config = format!(
            "server.document-root = \"{root}\"\nserver.port = {NETBOOT_HTTP}\n\
             server.max-keep-alive-requests = 1000000000\nserver.max-keep-alive-idle = 60\n"
        );
        let file = lighttpd.place.write("lighttpd.conf", &config)?;
        let words = ["lighttpd", "-D", "-f", &file.to_string_lossy()];
        lighttpd.programs.push(lighttpd.place.start(&words)?);

        let mut bare = bench.peer(BARE)?;
        let big = format!("{root}/big");
        let port = NETBOOT_HTTP.to_string();
        bare.programs
            .push(bare.place.start_control(&["sendfile", &port, &big])?);

        let mut all = vec![ours, nginx, lighttpd, bare];
        for contender in &mut all {
            let client = contender.place.client()?;
            offload(&client, "eth0")?;
            offload(&contender.place.bastion(), BASTION_LAN)?;
            let to = SocketAddrV4::new(contender.place.address, NETBOOT_HTTP);
            for program in &mut contender.programs {
                program.wait_for_tcp(&client, to)?;
            }
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let client = contender.place.client()?;
        let to = SocketAddrV4::new(contender.place.address, NETBOOT_HTTP);
        let [big, small] = if contender.name == OURS {
            self.0.borrow().clone().context("no content")?
        } else {
            ["/big".to_owned(), "/small".to_owned()]
        };
        let mut figures = Vec::new();
        for (clients, rate, cpu) in [(8, EIGHT, CPU), (1, ONE, CPU_ONE)] {
            let before = bench.server_cpu(contender);
            let fetched = sink::inside(&client, &Fetch::new(to, &big, clients))?;
            let spent = bench.server_cpu(contender).since(&before);
            let gigabytes = fetched.gigabytes();
            figures.push((cpu, spent.as_secs_f64() / gigabytes));
            figures.push((rate, gigabytes * 8.0 / fetched.elapsed.as_secs_f64()));
        }
        if contender.name != BARE {
            let wrk = Wrk {
                connections: 8,
                seconds: if bench.quick { 1 } else { 3 },
                headers: &[],
            };
            let range = Wrk {
                headers: &["Range: bytes=20000000-20065535"],
                ..wrk
            };
            for (wrk, path, rate, cpu) in [(wrk, &small, SMALL, SMALL_CPU), (range, &big, RANGES, RANGE_CPU)]
            {
                let before = bench.server_cpu(contender);
                let came = wrk.run(&client, &format!("http://{to}{path}"))?;
                let spent = bench.server_cpu(contender).since(&before);
                figures.push((rate, came.rate));
                figures.push((cpu, spent.as_secs_f64() * 1e6 / came.requests));
            }
        }
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const { &[Target::ratio(CPU.name, NGINX, 1.0)] }
    }
}

/// nginx, with what is in a folder.
pub(crate) fn nginx(bench: &Bench, root: &str) -> anyhow::Result<Contender> {
    let mut nginx = bench.peer(NGINX)?;
    let folder = nginx.place.folder().display().to_string();
    let config = format!(
        "daemon off; user root; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
           client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
           fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
           server {{ listen {NETBOOT_HTTP}; root {root}; }}
         }}"
    );
    let file = nginx.place.write("nginx.conf", &config)?;
    let words = ["nginx", "-p", "/usr/share/nginx", "-c", &file.to_string_lossy()];
    nginx.programs.push(nginx.place.start(&words)?);
    Ok(nginx)
}

/// Adds a file to the content of ours; its path.
pub(crate) fn add(bench: &Bench, file: &std::path::Path, name: &str) -> anyhow::Result<String> {
    let mut command = bench.lab.farosctl_command()?;
    let words = [
        "--output",
        "json",
        "content",
        "add",
        &file.to_string_lossy(),
        "--name",
        name,
    ];
    let text = said(command.args(words).output())?;
    let digest = text
        .split('"')
        .map(|word| word.trim_start_matches("sha256:"))
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .with_context(|| format!("no digest in: {text}"))?;
    let last = name.rsplit('/').next().unwrap_or(name);
    Ok(format!("/content/sha256/{digest}/{last}"))
}
