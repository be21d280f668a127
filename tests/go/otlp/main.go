// Command otlp reads bodies of OTLP exports, in JSON and one a line, as the OpenTelemetry collector's
// receiver does: with its own decoder. For each it prints how many spans are in it, and ends with
// status 1 at the first that is none.
package main

import (
	"bufio"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalJSON(lines.Bytes()); err != nil {
			fmt.Fprintln(os.Stderr, "otlp:", err)
			os.Exit(1)
		}
		resources, empty := request.Traces().ResourceSpans(), 0
		for i := 0; i < resources.Len(); i++ {
			scopes := resources.At(i).ScopeSpans()
			for j := 0; j < scopes.Len(); j++ {
				spans := scopes.At(j).Spans()
				for k := 0; k < spans.Len(); k++ {
					if spans.At(k).TraceID().IsEmpty() || spans.At(k).SpanID().IsEmpty() {
						empty++
					}
				}
			}
		}
		fmt.Println(request.Traces().SpanCount() - empty)
	}
}
