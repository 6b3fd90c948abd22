"""A Kubernetes cluster of three nodes on one machine, for tests: no registry, no container daemon of the host, nothing left behind."""
