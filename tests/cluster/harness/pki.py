"""The cluster's certificate authority, certificates and kubeconfigs, made by the openssl command and thrown away with the cluster."""

import base64
import json
from pathlib import Path

from . import layout
from .process import run

CA = layout.PKI / "ca.crt"
CA_KEY = layout.PKI / "ca.key"
ACCOUNT_KEY = layout.PKI / "service-accounts.key"
ACCOUNT_PUBLIC = layout.PKI / "service-accounts.pub"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def create() -> None:
    """Makes everything that the control plane and the nodes need."""
    layout.PKI.mkdir(parents=True, mode=0o700)
    run("openssl", "req", "-x509", *NEW_KEY, "-keyout", CA_KEY, "-out", CA, "-days", 365, "-subj", "/CN=heddle test cluster",
        "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", ACCOUNT_KEY)
    run("openssl", "ec", "-in", ACCOUNT_KEY, "-pubout", "-out", ACCOUNT_PUBLIC)
    service = f"kubernetes.default.svc.{layout.CLUSTER_DOMAIN}".split(".")
    names = [".".join(service[:length]) for length in (1, 2, 3, len(service))] + ["localhost"]
    issue("apiserver", "/CN=kube-apiserver", names, [layout.API_ADDRESS, layout.KUBERNETES_SERVICE, "127.0.0.1"])
    issue("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client")
    issue("front-proxy", "/CN=front-proxy-client")
    for client in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        issue(client, f"/CN=system:{client}")
        kubeconfig(client, layout.PKI / f"{client}.kubeconfig")
    issue("admin", "/O=system:masters/CN=admin")
    kubeconfig("admin", layout.KUBECONFIG)
    for node in layout.NODES:
        issue(node.name, f"/O=system:nodes/CN=system:node:{node.name}", [node.name], [node.address(layout.IPV4)])
        kubeconfig(node.name, layout.PKI / f"{node.name}.kubeconfig")


def certificate(name: str) -> Path:
    return layout.PKI / f"{name}.crt"


def key(name: str) -> Path:
    return layout.PKI / f"{name}.key"


def issue(name: str, subject: str, dns: list[str] = [], addresses: list = []) -> None:
    """Issues a certificate for a client, and with names or addresses for a server too."""
    alternatives = [f"DNS:{entry}" for entry in dns] + [f"IP:{entry}" for entry in addresses]
    usages = "clientAuth,serverAuth" if alternatives else "clientAuth"
    extensions = ["-addext", f"extendedKeyUsage={usages}", "-addext", "keyUsage=critical,digitalSignature", "-addext", "basicConstraints=critical,CA:false"]
    if alternatives:
        extensions += ["-addext", f"subjectAltName={','.join(alternatives)}"]
    run("openssl", "req", "-x509", "-CA", CA, "-CAkey", CA_KEY, *NEW_KEY, "-keyout", key(name), "-out", certificate(name), "-days", 365, "-subj", subject, *extensions)


def kubeconfig(name: str, path: Path) -> None:
    """Writes a kubeconfig that stands alone (JSON is YAML too)."""
    def encoded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    server = {"server": f"https://{layout.API_ADDRESS}:{layout.API_PORT}", "certificate-authority-data": encoded(CA)}
    user = {"client-certificate-data": encoded(certificate(name)), "client-key-data": encoded(key(name))}
    path.write_text(json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "heddle", "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "heddle", "context": {"cluster": "heddle", "user": name}}],
        "current-context": "heddle",
    }))
    path.chmod(0o600)
