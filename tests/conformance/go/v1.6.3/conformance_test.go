// Package suite is the conformance suite of Gateway API as a program: `go test -c` builds it, and it takes the suite's flags.
package suite

import (
	"flag"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// goOn is for a list of what fails. What is run with it is no proof of conformance, and makes no report.
var goOn = flag.Bool("go-on-without-setup", false, "Whether to run the tests although the set-up has failed")

func TestConformance(t *testing.T) {
	if *goOn {
		inSpiteOfTheSetup(t)
	} else {
		conformance.RunConformance(t)
	}
}

// inSpiteOfTheSetup runs the set-up as a test of its own: its failure does not end the others. The resources stay, because they
// would be removed at that test's end.
func inSpiteOfTheSetup(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.CleanupBaseResources = false
	prepared, err := suite.NewConformanceTestSuite(options)
	if err != nil {
		t.Fatalf("the suite does not start: %v", err)
	}
	t.Run("Setup", func(t *testing.T) { prepared.Setup(t, tests.ConformanceTests) })
	if err := prepared.Run(t, tests.ConformanceTests); err != nil {
		t.Fatal(err)
	}
}
