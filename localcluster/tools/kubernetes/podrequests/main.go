// Command podrequests sums what pods request as the scheduler of this Kubernetes does, with its own code. It reads one
// pod as JSON a line from standard input and writes "millicores bytes" a line to standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

func run(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(bufio.NewReader(in))
	for {
		var pod corev1.Pod
		if err := decoder.Decode(&pod); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		sum := resource.PodRequests(&pod, resource.PodResourcesOptions{
			UseStatusResources: true,
			InPlacePodLevelResourcesVerticalScalingEnabled: true,
		})
		if _, err := fmt.Fprintln(out, sum.Cpu().MilliValue(), sum.Memory().Value()); err != nil {
			return err
		}
	}
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	if err := run(os.Stdin, out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if err := out.Flush(); err != nil {
		os.Exit(1)
	}
}
