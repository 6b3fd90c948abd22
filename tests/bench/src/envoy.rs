//! Two Envoys with static configuration (`tests/bench/envoy`), one beside each pod, with certificates of the same kind as Heddle's: ECDSA P-256,
//! a SPIFFE id that the other side checks.

use std::{fs, net::Ipv4Addr, path::Path, process::Command};

use anyhow::{Context, bail};
use nix::unistd::Pid;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::{
    cases::Door,
    machine::Cores,
    paths::MeasuredPath,
    policy, server,
    site::{CLIENTS_NODE, CLIENTS_NODE_ADDRESS, ENVOY, FOLDER, NEAR_ENVOY, Site},
};

const CLIENT: &str = include_str!("../envoy/client.yaml");
const SERVER: &str = include_str!("../envoy/server.yaml");
const NODE: &str = include_str!("../envoy/node.yaml");

/// What Envoy's rows are called, with one or two of it.
pub(crate) const ENVOY_PATH: &str = "Envoy";
/// The one that is between two pods of its node, with neither identities nor TLS.
pub(crate) const NODE_ENVOY_PATH: &str = "one Envoy on the node, plain text";
/// The same, with mutual TLS from itself to itself.
pub(crate) const TLS_NODE_ENVOY_PATH: &str = "one Envoy on the node, TLS to itself";

/// The running Envoys.
pub(crate) struct Envoys {
    /// Beside the client, beside the server.
    proxies: Vec<Pid>,
    node: Pid,
    version: String,
}

impl Envoys {
    /// Starts them; they may not be ready yet.
    pub(crate) fn start(site: &mut Site, program: &Path, cores: &Cores) -> anyhow::Result<Self> {
        let version = version(program)?;
        write_certificates(&Path::new(FOLDER).join("certs"))?;
        let mut proxies = Vec::new();
        for (pod, configuration) in [("client", CLIENT), ("server", SERVER)] {
            let file = format!("{FOLDER}/envoy-{pod}.yaml");
            let configuration = configuration.replace("@POLICIES@", &policy::rbac_policies());
            fs::write(&file, &configuration)?;
            site.shown
                .file(&format!("envoy-{pod}.yaml"), &configuration);
            let mut command = site.in_pod(ENVOY, pod, program, cores)?;
            arguments(&mut command, &file);
            proxies.push(site.start(&format!("envoy-{pod}"), command)?);
        }
        let file = format!("{FOLDER}/envoy-node.yaml");
        let configuration = node_configuration();
        fs::write(&file, &configuration)?;
        site.shown.file("envoy-node.yaml", &configuration);
        let mut command = site.on_node(CLIENTS_NODE, program, cores);
        arguments(&mut command, &file);
        let node = site.start("envoy-node", command)?;
        Ok(Self {
            proxies,
            node,
            version,
        })
    }

    pub(crate) fn paths(&self, site: &Site) -> anyhow::Result<[MeasuredPath; 3]> {
        let two = MeasuredPath {
            name: ENVOY_PATH,
            version: self.version.clone(),
            client: Some(site.netns(ENVOY, "client")?),
            doors: [
                (Door::MeshHttp, ([127, 0, 0, 1], 80).into()),
                (Door::MeshBytes, ([127, 0, 0, 1], server::BYTES).into()),
                (Door::MeshPolicy, ([127, 0, 0, 1], 81).into()),
            ]
            .into(),
            tls: None,
            proxies: self.proxies.clone(),
            limit_of: None,
        };
        let one = |name, port| MeasuredPath {
            name,
            version: String::new(),
            client: two.client.clone(),
            doors: [(Door::SameNode, (CLIENTS_NODE_ADDRESS, port).into())].into(),
            tls: None,
            proxies: vec![self.node],
            limit_of: None,
        };
        let plain = one(NODE_ENVOY_PATH, NODE_PORT);
        let encrypted = one(TLS_NODE_ENVOY_PATH, TLS_NODE_PORT);
        Ok([two, plain, encrypted])
    }
}

/// Where the one on the node listens for those whom it serves in plain text, and for the others.
const NODE_PORT: u16 = 15_081;
const TLS_NODE_PORT: u16 = 15_082;

fn node_configuration() -> String {
    let address = |address: [u8; 4]| Ipv4Addr::from(address).to_string();
    NODE.replace("@NODE@", &address(CLIENTS_NODE_ADDRESS))
        .replace("@PORT@", &NODE_PORT.to_string())
        .replace("@TLS_PORT@", &TLS_NODE_PORT.to_string())
        .replace("@SERVER@", &address(NEAR_ENVOY))
}

fn arguments(command: &mut Command, file: &str) {
    command
        .args(["-c", file, "--concurrency", "1"])
        // Two on one machine would share the memory that a hot restart uses.
        .args(["--disable-hot-restart", "--log-level", "warning"]);
}

/// Out of `<program>  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`, the number and what follows.
pub(crate) fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_once("version: ")
        .map(|(_, version)| version.trim());
    match version.and_then(|version| version.split_once('/')) {
        Some((_, number)) => Ok(format!("envoy {number}")),
        None => bail!("{} is no Envoy: {text}", program.display()),
    }
}

fn write_certificates(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let key = KeyPair::generate()?;
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    root.distinguished_name
        .push(DnType::CommonName, "bench root");
    fs::write(folder.join("root.crt"), root.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(root, key);
    for name in ["client", "server"] {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::default();
        let identity = format!("spiffe://cluster.local/ns/bench/sa/{name}");
        leaf.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = leaf.signed_by(&key, &issuer)?;
        fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
