// Command probe is the only program in the test cluster's own images: the pause container that holds a pod's namespaces, a server that
// says who it is, and the client commands that tests run with `kubectl exec` (the images have no shell).
package main

import (
	"context"
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

const usage = `usage: probe pause | serve ADDRESS | get URL | lookup NAME`

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

// serve answers each request with `<host name> <the client's address>` and writes one line about it.
func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Printf("%s %s from %s\n", r.Method, r.URL.Path, client)
		fmt.Fprintf(w, "%s %s\n", name, client)
	})}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ending.Done()
		grace, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		ended <- server.Shutdown(grace)
	}()
	fmt.Printf("%s serves %s\n", name, listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
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
