// The test cluster's own program: pause container, sample server and client.
module heddle.dev/tests/cluster/probe

go 1.26.0
