"""etcd, API server, controller manager and scheduler: plain processes of the host, at the bridge's address."""

import subprocess

from . import layout, pki
from .build import BIN
from .layout import Family
from .process import log_path, run, start, wait_for

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def kubectl(*arguments: object, input: str | None = None) -> str:
    return run(BIN / "kubectl", f"--kubeconfig={layout.KUBECONFIG}", *arguments, input=input)


def start_etcd() -> None:
    start("etcd", BIN / "etcd", *flags({
        "data-dir": layout.STATE / "etcd",
        "unsafe-no-fsync": "true",
        "listen-client-urls": layout.ETCD_CLIENTS,
        "advertise-client-urls": layout.ETCD_CLIENTS,
        "listen-peer-urls": layout.ETCD_PEERS,
        "initial-advertise-peer-urls": layout.ETCD_PEERS,
        "initial-cluster": f"default={layout.ETCD_PEERS}",
        "log-level": "warn",
    }))


def start_api_server(families: tuple[Family, ...]) -> None:
    """The API server waits for etcd by itself."""
    start("kube-apiserver", BIN / "kube-apiserver", *flags({
        "etcd-servers": layout.ETCD_CLIENTS,
        "bind-address": layout.API_ADDRESS,
        "advertise-address": layout.API_ADDRESS,
        "secure-port": layout.API_PORT,
        "service-cluster-ip-range": ",".join(str(family.services) for family in families),
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": pki.CA,
        "tls-cert-file": pki.certificate("apiserver"),
        "tls-private-key-file": pki.key("apiserver"),
        "service-account-issuer": f"https://kubernetes.default.svc.{layout.CLUSTER_DOMAIN}",
        "service-account-key-file": pki.ACCOUNT_PUBLIC,
        "service-account-signing-key-file": pki.ACCOUNT_KEY,
        "kubelet-certificate-authority": pki.CA,
        "kubelet-client-certificate": pki.certificate("apiserver-kubelet"),
        "kubelet-client-key": pki.key("apiserver-kubelet"),
        # Otherwise logs and exec look the node's name up in DNS.
        "kubelet-preferred-address-types": "InternalIP",
        # One authority signs users and the front proxy: without this list every user could speak for another.
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": pki.CA,
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki.certificate("front-proxy"),
        "proxy-client-key-file": pki.key("front-proxy"),
        # The host has no kube-proxy: webhooks are reached at their pods' addresses.
        "enable-aggregator-routing": "true",
    }))


def start_controllers() -> None:
    """Controller manager and scheduler, each the only one of its kind."""
    start("kube-controller-manager", BIN / "kube-controller-manager", *flags({
        "kubeconfig": layout.PKI / "kube-controller-manager.kubeconfig",
        "leader-elect": "false",
        "secure-port": 0,
        "use-service-account-credentials": "true",
        "root-ca-file": pki.CA,
        "service-account-private-key-file": pki.ACCOUNT_KEY,
        "cluster-signing-cert-file": pki.CA,
        "cluster-signing-key-file": pki.CA_KEY,
    }))
    start("kube-scheduler", BIN / "kube-scheduler", *flags({
        "kubeconfig": layout.PKI / "kube-scheduler.kubeconfig",
        "leader-elect": "false",
        "secure-port": 0,
    }))


def wait_ready() -> None:
    wait_for("the API server is ready", 60, ready, log_path("kube-apiserver"))


def ready() -> bool:
    command = [BIN / "kubectl", f"--kubeconfig={layout.KUBECONFIG}", "get", "--raw", "/readyz"]
    return subprocess.run(command, capture_output=True).returncode == 0


def flags(values: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
