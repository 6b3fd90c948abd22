//! haproxy and nginx. Their configurations are files of `tests/bench/peers`, which name ports and lengths by what is replaced here.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Context;
use nix::unistd::Pid;

use super::{Ports, SERVER_H1, SERVER_H2, Start};
use crate::{
    cases::Door,
    paths::MeasuredPath,
    site::{FOLDER, Site},
};

const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
const NGINX: &str = include_str!("../../peers/nginx.conf");

/// What their rows are called.
pub(crate) const HAPROXY_PATH: &str = "haproxy";
pub(crate) const NGINX_PATH: &str = "nginx";

const DOORS: [Door; 4] = [Door::Plain, Door::Tls, Door::Http2ToHttp1, Door::Http2];

/// Starts haproxy with the doors that it has.
pub(super) fn haproxy(
    site: &mut Site,
    program: &Path,
    start: &Start<'_>,
) -> anyhow::Result<MeasuredPath> {
    let file = start.folder.join("haproxy.cfg");
    let configuration = filled(HAPROXY, Ports::HAPROXY);
    fs::write(&file, &configuration)?;
    site.shown.file("one-haproxy.cfg", &configuration);
    let mut command = Site::here(program, start.cores);
    command.arg("-db").arg("-f").arg(&file);
    let version = first_line(program, "-v")?;
    let pid = site.start("single-haproxy", command)?;
    let doors = Ports::HAPROXY.doors(&DOORS);
    Ok(path(HAPROXY_PATH, version, doors, start, pid))
}

/// Starts nginx with the doors that it has.
pub(super) fn nginx(
    site: &mut Site,
    program: &Path,
    start: &Start<'_>,
) -> anyhow::Result<MeasuredPath> {
    let file = start.folder.join("nginx.conf");
    let configuration = filled(NGINX, Ports::NGINX);
    fs::write(&file, &configuration)?;
    site.shown.file("one-nginx.conf", &configuration);
    let mut command = Site::here(program, start.cores);
    command.arg("-c").arg(&file).arg("-p").arg(start.folder);
    command.arg("-e").arg("stderr");
    let version = first_line(program, "-v")?;
    let pid = site.start("single-nginx", command)?;
    let doors = Ports::NGINX.doors(&DOORS);
    Ok(path(NGINX_PATH, version, doors, start, pid))
}

fn path(
    name: &'static str,
    version: String,
    doors: BTreeMap<Door, SocketAddr>,
    start: &Start<'_>,
    pid: Pid,
) -> MeasuredPath {
    MeasuredPath {
        name,
        version,
        client: None,
        doors,
        tls: Some(start.certificate.clients.clone()),
        proxies: vec![pid],
        limit_of: None,
    }
}

fn filled(template: &str, ports: Ports) -> String {
    template
        .replace("@FOLDER@", FOLDER)
        .replace("@SERVER_H1@", &SERVER_H1.to_string())
        .replace("@PLAIN@", &ports.of(Door::Plain).to_string())
        .replace("@SERVER_H2@", &SERVER_H2.to_string())
        .replace("@H2_H1@", &ports.of(Door::Http2ToHttp1).to_string())
        .replace("@H2_H2@", &ports.of(Door::Http2).to_string())
        .replace("@TLS@", &ports.of(Door::Tls).to_string())
}

/// haproxy says it on stdout, nginx on stderr.
fn first_line(program: &Path, option: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(option).output();
    let output = output.with_context(|| program.display().to_string())?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("nginx version: ").unwrap_or(line);
    // haproxy goes on with its date and address.
    let words: Vec<_> = line.split(' ').take(3).collect();
    Ok(words.join(" "))
}
