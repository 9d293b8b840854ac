//! Bringing the bastion in line with its settings when there is nothing to change: an apply of the same site file, and
//! an Ansible run over the configuration of the stock daemons, made from the same site.
//!
//! The playbook has what those daemons need and no more: their files from a template each, and the kernel's settings.
//! It asks nothing of the machine beforehand and starts nothing, which is the best case of Ansible.

use std::{fmt::Write as _, fs, process::Command, time::Instant};

use anyhow::ensure;

use crate::{
    balancer,
    dns::config::Names,
    figures::{Figure, OURS, Target},
    place::said,
    work::{Bench, Contender, Router, Work},
};

const TIME: Figure = Figure::less("nothing to change", "ms");
const ANSIBLE: &str = "ansible";

pub(crate) struct Converge;

impl Work for Converge {
    fn name(&self) -> &'static str {
        "converge"
    }

    fn router(&self) -> Router {
        Router::On
    }

    fn is_in_quick(&self) -> bool {
        false
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ansible = bench.peer(ANSIBLE)?;
        let place = &ansible.place;
        let names = Names::of(&bench.site);
        let files = [
            ("named.zone", names.questions()),
            ("haproxy.cfg", balancer::haproxy(&bench.site)),
            ("keepalived.conf", faros_render::keepalived(&bench.site)),
            ("dhcpd.conf", format!("subnet {};\n", bench.site.lan.subnet)),
            ("named.conf", format!("zone \"{}\";\n", names.zone)),
            ("chrony.conf", "allow\nlocal stratum 10\n".to_owned()),
            ("tftpd-hpa", "TFTP_OPTIONS=--secure\n".to_owned()),
            ("nginx.conf", "events {}\n".to_owned()),
            ("tangd.socket", "[Socket]\nListenStream=8082\n".to_owned()),
            ("nftables.conf", "table inet filter {}\n".to_owned()),
        ];
        let into = place.folder().join("etc");
        fs::create_dir_all(&into)?;
        let mut playbook = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
        for (name, text) in files {
            place.write(&format!("{name}.j2"), &text.replace("{%", "{ %"))?;
            // Writing to a `String` cannot fail.
            let _ = write!(
                playbook,
                "    - name: {name}\n      ansible.builtin.template:\n        src: {name}.j2\n        dest: {}\n        \
                 mode: \"0644\"\n",
                into.join(name).display()
            );
        }
        for setting in ["ip_forward", "conf/all/rp_filter"] {
            let _ = write!(
                playbook,
                "    - name: {setting}\n      ansible.builtin.command: cat /proc/sys/net/ipv4/{setting}\n      \
                 changed_when: false\n"
            );
        }
        place.write("playbook.yaml", &playbook)?;
        Ok(vec![bench.ours()?, ansible])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let begun = Instant::now();
        if contender.name == OURS {
            bench.lab.apply(&bench.site_file(Router::On)?)?;
        } else {
            let folder = contender.place.folder();
            let mut ansible = Command::new("ansible-playbook");
            ansible.args(["-i", "localhost,", "-c", "local", "playbook.yaml"]);
            ansible.current_dir(folder).env("ANSIBLE_PIPELINING", "1");
            let text = said(ansible.output())?;
            ensure!(text.contains("failed=0"), "ansible said: {text}");
        }
        Ok(vec![(TIME, begun.elapsed().as_secs_f64() * 1000.0)])
    }

    fn targets(&self) -> &'static [Target] {
        const { &[Target::value(TIME.name, 50.0)] }
    }
}
