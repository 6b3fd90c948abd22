"""What there is to run: releases of the suite, and profiles. Values only; nothing here touches the machine."""

from dataclasses import dataclass
from pathlib import Path

from harness import layout

SOURCE = Path(__file__).resolve().parent.parent
"""`tests/conformance` in the checkout."""

CHECKOUT = SOURCE.parent.parent
DOCS = CHECKOUT / "docs/conformance"

CACHE = layout.CACHE.parent / "conformance"
"""Built programs and certificates; survives everything."""

CONTROLLER = "heddle.dev/gateway-controller"
GATEWAY_CLASS = "gateway-conformance"
NAMESPACE_PREFIX = "gateway-conformance-"
"""Namespaces of the suite begin with it."""

NAMESPACE_LABELS = {"heddle.dev/mesh": "enabled"}
"""They enrol the suite's namespaces."""


@dataclass(frozen=True)
class Suite:
    """One release of the suite, with the images that its manifests name."""

    version: str
    toolchain: str
    """The Go that its libraries need, as `GOTOOLCHAIN`; empty if the installed one will do."""
    echo_basic: tuple[str, ...]
    echo_advanced: str

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def folder(self) -> Path:
        """The Go module that names everything with its exact version."""
        return SOURCE / "go" / self.tag


SUITES = {
    "1.7.0": Suite(
        version="1.7.0",
        toolchain="go1.27.0",
        echo_basic=("registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0", "registry.k8s.io/gateway-api/conformance/echo-basic:v0.2.0"),
        echo_advanced="registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0",
    ),
    "1.6.3": Suite(
        version="1.6.3",
        toolchain="",
        echo_basic=(
            "registry.k8s.io/gateway-api/echo-basic:v1.5.1",
            "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.2",
            "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3",
        ),
        echo_advanced="registry.k8s.io/gateway-api/echo-advanced:v1.5.1",
    ),
}


@dataclass(frozen=True)
class Profile:
    """A part of the suite, and what Heddle claims in it."""

    name: str
    reported: tuple[str, ...]
    """The suite's own names of it."""
    core: tuple[str, ...]
    """Features that the suite implies by these names."""
    claimed: tuple[str, ...]
    """Features that we claim beside the core."""
    subject: str
    """The feature that marks the tests which must all run: none of them may be skipped for a feature that we do not claim."""
    channel: str
    """Which CRDs are wanted."""
    may_fail: bool
    """Whether a failure is only written down."""
    time_limit: str
    """For the suite, in Go's notation. What it has not finished by then counts as failed."""
    timeouts: tuple[tuple[str, int], ...] = ()
    """Of the suite's own, in seconds, where the default is too long."""


MESH = Profile(
    name="mesh",
    reported=("MESH-HTTP", "MESH-GRPC"),
    core=("Mesh", "HTTPRoute", "GRPCRoute"),
    claimed=(
        "MeshClusterIPMatching",
        "MeshConsumerRoute",
        "MeshHTTPRouteBackendRequestHeaderModification",
        "MeshHTTPRouteNamedRouteRule",
        "MeshHTTPRouteQueryParamMatching",
        "MeshHTTPRouteRedirectPath",
        "MeshHTTPRouteRedirectPort",
        "MeshHTTPRouteRewritePath",
        "MeshHTTPRouteSchemeRedirect",
        # Of Gateways by their names, but some tests of the mesh need them too.
        "HTTPRoute303RedirectStatusCode",
        "HTTPRoute307RedirectStatusCode",
        "HTTPRoute308RedirectStatusCode",
        "HTTPRouteParentRefPort",
        "HTTPRouteResponseHeaderModification",
    ),
    subject="Mesh",
    channel="standard",
    may_fail=False,
    time_limit="60m",
)

GATEWAY_HTTP = Profile(
    name="gateway-http",
    reported=("GATEWAY-HTTP",),
    core=("Gateway", "ReferenceGrant", "HTTPRoute"),
    claimed=(
        "GatewayPort8080",
        "HTTPRoute303RedirectStatusCode",
        "HTTPRoute307RedirectStatusCode",
        "HTTPRoute308RedirectStatusCode",
        "HTTPRouteBackendProtocolH2C",
        "HTTPRouteBackendProtocolWebSocket",
        "HTTPRouteBackendRequestHeaderModification",
        "HTTPRouteBackendTimeout",
        "HTTPRouteHostRewrite",
        "HTTPRouteMethodMatching",
        "HTTPRouteNamedRouteRule",
        "HTTPRouteParentRefPort",
        "HTTPRoutePathRedirect",
        "HTTPRoutePathRewrite",
        "HTTPRoutePortRedirect",
        "HTTPRouteQueryParamMatching",
        "HTTPRouteRequestTimeout",
        "HTTPRouteResponseHeaderModification",
        "HTTPRouteRetryCodes",
        "HTTPRouteRetryConnectionError",
        "HTTPRouteSchemeRedirect",
    ),
    subject="",
    channel="experimental",
    may_fail=True,
    time_limit="14m",
    timeouts=(
        ("DeleteTimeout", 20),
        ("GWCMustBeAccepted", 30),
        ("GatewayListenersMustHaveConditions", 10),
        ("GatewayMustHaveAddress", 5),
        ("GatewayMustHaveCondition", 10),
        ("GatewayStatusMustHaveListeners", 10),
        ("HTTPRouteMustHaveCondition", 10),
        ("HTTPRouteMustNotHaveParents", 10),
        ("LatestObservedGenerationSet", 10),
        ("ListenerSetListenersMustHaveConditions", 10),
        ("ListenerSetMustHaveCondition", 10),
        ("MaxTimeToConsistency", 10),
        ("NamespacesMustBeReady", 20),
        ("DefaultTestTimeout", 15),
        ("RouteMustHaveParents", 10),
    ),
)

PROFILES = {profile.name: profile for profile in (MESH, GATEWAY_HTTP)}
