// A server of go-control-plane for the protocol suite in ../xds and for the node proxy in ../proxy: its snapshot cache behind all of its
// discovery services.
//
// It prints `xds <address>`, `control <address>` and `tls <address>`, all on the IP address that its second argument says (127.0.0.1
// without one), and ends when its standard input does; `tls` is `xds` once more, with a certificate for localhost. At the control address, `PUT /world` takes a JSON list of resources and serves them to
// every node from then on, and answers with the version of each type; `GET /answers` lists what clients said to responses, `GET /roots`
// is what they have to trust.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// one is the node of all: every client sees the same.
type one struct{}

func (one) ID(*core.Node) string { return "one" }

// put is one resource as the suite tells it.
type put struct {
	// Any is an encoded google.protobuf.Any, as a list of numbers.
	Any []int `json:"any"`
	// TTLMilliseconds is how long it counts, if that is bounded.
	TTLMilliseconds *int64 `json:"ttlMilliseconds"`
}

func (p put) resource() (string, types.ResourceWithTTL, error) {
	encoded := make([]byte, len(p.Any))
	for i, b := range p.Any {
		encoded[i] = byte(b)
	}
	var wrapped anypb.Any
	if err := proto.Unmarshal(encoded, &wrapped); err != nil {
		return "", types.ResourceWithTTL{}, err
	}
	message, err := wrapped.UnmarshalNew()
	if err != nil {
		return "", types.ResourceWithTTL{}, err
	}
	result := types.ResourceWithTTL{Resource: message}
	if p.TTLMilliseconds != nil {
		ttl := time.Duration(*p.TTLMilliseconds) * time.Millisecond
		result.TTL = &ttl
	}
	return wrapped.GetTypeUrl(), result, nil
}

// snapshotOf versions each type by the hash of its content, so that a type that did not change keeps its version.
func snapshotOf(puts []put) (*cache.Snapshot, error) {
	byType := map[string][]types.ResourceWithTTL{}
	for _, p := range puts {
		typeURL, r, err := p.resource()
		if err != nil {
			return nil, err
		}
		byType[typeURL] = append(byType[typeURL], r)
	}
	snapshot := &cache.Snapshot{}
	for kind := types.ResponseType(0); kind < types.UnknownType; kind++ {
		typeURL, err := cache.GetResponseTypeURL(kind)
		if err != nil {
			return nil, err
		}
		resources := byType[typeURL]
		sort.Slice(resources, func(i, j int) bool {
			return cache.GetResourceName(resources[i].Resource) < cache.GetResourceName(resources[j].Resource)
		})
		hash := sha256.New()
		for _, r := range resources {
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Resource)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(hash, "%d:", len(encoded))
			hash.Write(encoded)
		}
		snapshot.Resources[kind] = cache.NewResourcesWithTTL(hex.EncodeToString(hash.Sum(nil))[:16], resources)
	}
	return snapshot, nil
}

// mostAnswers bounds what is remembered of what clients said.
const mostAnswers = 10000

// answer is what a client said to a response.
type answer struct {
	// TypeURL and Version are the response's.
	TypeURL string `json:"typeUrl"`
	Version string `json:"version"`
	// Error is the text of a NACK, empty for an ACK.
	Error string `json:"error"`
}

// answers remembers responses by their nonces, and what was said to them.
type answers struct {
	mutex    sync.Mutex
	versions map[string]string
	said     []answer
}

func key(stream int64, typeURL, nonce string) string {
	return fmt.Sprintf("%d %s %s", stream, typeURL, nonce)
}

func (a *answers) sent(stream int64, typeURL, nonce, version string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if len(a.versions) >= mostAnswers {
		clear(a.versions)
	}
	a.versions[key(stream, typeURL, nonce)] = version
}

func (a *answers) heard(stream int64, typeURL, nonce string, problem *status.Status) {
	if nonce == "" {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	version, known := a.versions[key(stream, typeURL, nonce)]
	if known && len(a.said) < mostAnswers {
		a.said = append(a.said, answer{typeURL, version, problem.GetMessage()})
	}
}

func (a *answers) list() []answer {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return append([]answer{}, a.said...)
}

func (a *answers) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		StreamRequestFunc: func(stream int64, r *discovery.DiscoveryRequest) error {
			a.heard(stream, r.GetTypeUrl(), r.GetResponseNonce(), r.GetErrorDetail())
			return nil
		},
		StreamDeltaRequestFunc: func(stream int64, r *discovery.DeltaDiscoveryRequest) error {
			a.heard(stream, r.GetTypeUrl(), r.GetResponseNonce(), r.GetErrorDetail())
			return nil
		},
		StreamResponseFunc: func(_ context.Context, stream int64, _ *discovery.DiscoveryRequest, r *discovery.DiscoveryResponse) {
			a.sent(stream, r.GetTypeUrl(), r.GetNonce(), r.GetVersionInfo())
		},
		StreamDeltaResponseFunc: func(stream int64, _ *discovery.DeltaDiscoveryRequest, r *discovery.DeltaDiscoveryResponse) {
			a.sent(stream, r.GetTypeUrl(), r.GetNonce(), r.GetSystemVersionInfo())
		},
	}
}

// certificate is one for localhost that signs itself, and its PEM.
func certificate() (tls.Certificate, []byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, encoded, nil
}

func versions(snapshot *cache.Snapshot) map[string]string {
	all := map[string]string{}
	for kind := types.ResponseType(0); kind < types.UnknownType; kind++ {
		if typeURL, err := cache.GetResponseTypeURL(kind); err == nil {
			all[typeURL] = snapshot.GetVersion(typeURL)
		}
	}
	return all
}

func tell(w http.ResponseWriter, value any) {
	w.Header().Set("content-type", "application/json")
	// Whoever asked has gone.
	_ = json.NewEncoder(w).Encode(value)
}

func control(snapshots cache.SnapshotCache, said *answers, roots []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /answers", func(w http.ResponseWriter, _ *http.Request) { tell(w, said.list()) })
	mux.HandleFunc("GET /roots", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(roots) })
	mux.HandleFunc("PUT /world", func(w http.ResponseWriter, r *http.Request) {
		var puts []put
		if err := json.NewDecoder(r.Body).Decode(&puts); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		snapshot, err := snapshotOf(puts)
		if err == nil {
			err = snapshots.SetSnapshot(r.Context(), "one", snapshot)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		tell(w, versions(snapshot))
	})
	return mux
}

func run() error {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		return fmt.Errorf("usage: %s <milliseconds between heartbeats> [<IP address>]", os.Args[0])
	}
	host := "127.0.0.1"
	if len(os.Args) == 3 {
		host = os.Args[2]
	}
	anyPort := net.JoinHostPort(host, "0")
	milliseconds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	// Without the flag for ADS, which would leave requests unanswered that do not name every resource there is.
	snapshots := cache.NewSnapshotCacheWithHeartbeating(ctx, false, one{}, nil, time.Duration(milliseconds)*time.Millisecond)
	said := &answers{versions: map[string]string{}}
	xds := server.NewServer(ctx, snapshots, said.callbacks())
	own, roots, err := certificate()
	if err != nil {
		return err
	}
	plain, encrypted := services(xds), services(xds, grpc.Creds(credentials.NewServerTLSFromCert(&own)))

	forXDS, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	forControl, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	forTLS, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	fmt.Printf("xds %s\ncontrol %s\ntls %s\n", forXDS.Addr(), forControl.Addr(), forTLS.Addr())
	go func() {
		// Whoever started us has gone.
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		os.Exit(0)
	}()
	go func() { log.Fatal(http.Serve(forControl, control(snapshots, said, roots))) }()
	go func() { log.Fatal(encrypted.Serve(forTLS)) }()
	return plain.Serve(forXDS)
}

func services(xds server.Server, options ...grpc.ServerOption) *grpc.Server {
	services := grpc.NewServer(append(options, grpc.MaxConcurrentStreams(1000))...)
	discovery.RegisterAggregatedDiscoveryServiceServer(services, xds)
	listenerservice.RegisterListenerDiscoveryServiceServer(services, xds)
	routeservice.RegisterRouteDiscoveryServiceServer(services, xds)
	clusterservice.RegisterClusterDiscoveryServiceServer(services, xds)
	endpointservice.RegisterEndpointDiscoveryServiceServer(services, xds)
	secretservice.RegisterSecretDiscoveryServiceServer(services, xds)
	return services
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
