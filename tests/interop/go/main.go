// A server of go-control-plane for the protocol suite in ../xds: its snapshot cache behind all of its discovery services.
//
// It prints `xds <address>` and `control <address>`, both on loopback, and ends when its standard input does. `PUT /world` at the
// control address takes a JSON list of resources and serves them to every node from then on.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
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
	"google.golang.org/grpc"
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

func control(snapshots cache.SnapshotCache) http.Handler {
	mux := http.NewServeMux()
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
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s <milliseconds between heartbeats>", os.Args[0])
	}
	milliseconds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	// Without the flag for ADS, which would leave requests unanswered that do not name every resource there is.
	snapshots := cache.NewSnapshotCacheWithHeartbeating(ctx, false, one{}, nil, time.Duration(milliseconds)*time.Millisecond)
	xds := server.NewServer(ctx, snapshots, nil)
	services := grpc.NewServer(grpc.MaxConcurrentStreams(1000))
	discovery.RegisterAggregatedDiscoveryServiceServer(services, xds)
	listenerservice.RegisterListenerDiscoveryServiceServer(services, xds)
	routeservice.RegisterRouteDiscoveryServiceServer(services, xds)
	clusterservice.RegisterClusterDiscoveryServiceServer(services, xds)
	endpointservice.RegisterEndpointDiscoveryServiceServer(services, xds)
	secretservice.RegisterSecretDiscoveryServiceServer(services, xds)

	forXDS, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	forControl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("xds %s\ncontrol %s\n", forXDS.Addr(), forControl.Addr())
	go func() {
		// Whoever started us has gone.
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		os.Exit(0)
	}()
	go func() { log.Fatal(http.Serve(forControl, control(snapshots))) }()
	return services.Serve(forXDS)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
