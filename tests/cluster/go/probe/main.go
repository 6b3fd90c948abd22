// Command probe is the only program in the test cluster's own images: the pause container that holds a pod's namespaces, a server that
// says who it is, and the client commands that tests run with `kubectl exec` (the images have no shell).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"
)

// limit of one client command: longer than any name or connection takes in a healthy cluster.
const limit = 10 * time.Second

const usage = `usage: probe pause | serve ADDRESS | webhook ADDRESS CERTIFICATE KEY | get URL | lookup NAME | done`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "pause":
		return pause()
	case len(arguments) == 2 && arguments[0] == "serve":
		return serve(arguments[1])
	case len(arguments) == 4 && arguments[0] == "webhook":
		return webhook(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 1 && arguments[0] == "done":
		return nil
	case len(arguments) == 2 && arguments[0] == "get":
		return get(arguments[1])
	case len(arguments) == 2 && arguments[0] == "lookup":
		return lookup(arguments[1])
	}
	return errors.New(usage)
}

// pause waits to be told to end. As process 1 of a shared process namespace it also collects the children that others leave behind.
func pause() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return nil
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}

// serve answers each request with `<host name> <the client's address>` and writes one line about it; gRPC's health check is answered too,
// over HTTP/2 without TLS, for the kubelet's gRPC probes.
func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	answer := http.NewServeMux()
	answer.HandleFunc("/grpc.health.v1.Health/Check", healthy)
	answer.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Printf("%s %s from %s\n", r.Method, r.URL.Path, client)
		fmt.Fprintf(w, "%s %s\n", name, client)
	})
	server := &http.Server{Handler: answer, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	fmt.Printf("%s serves %s\n", name, listener.Addr())
	return untilEnded(server, func() error { return server.Serve(listener) })
}

// healthy is gRPC's answer `SERVING` (health.proto, HealthCheckResponse.status = 1): one message of two bytes, and the status in the trailers.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 0x08, 1})
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("Grpc-Status", "0")
}

// webhook admits every object, warns that it has seen it, and writes one line about who asked (admission.k8s.io/v1).
func webhook(address, certificate, key string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct{ UID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Printf("review from %s\n", client)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "admission.k8s.io/v1",
			"kind":       "AdmissionReview",
			"response":   map[string]any{"uid": review.Request.UID, "allowed": true, "warnings": []string{"seen by " + name}},
		})
	})}
	fmt.Printf("%s serves %s\n", name, address)
	return untilEnded(server, func() error { return server.ListenAndServeTLS(certificate, key) })
}

// untilEnded serves until a signal comes, and lets open requests finish.
func untilEnded(server *http.Server, serve func() error) error {
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ending.Done()
		grace, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		ended <- server.Shutdown(grace)
	}()
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

// get prints the body of a successful answer; any other status is an error.
func get(url string) error {
	client := &http.Client{Timeout: limit}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// lookup prints the addresses of a name, one a line, sorted.
func lookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	sort.Strings(addresses)
	fmt.Println(strings.Join(addresses, "\n"))
	return nil
}
