// SPDX-License-Identifier: Apache-2.0
// See README.md for what goes in and what comes out.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The library rounds the rank to the nearest; this percentile's is the next whole one.
func quantile(h *hdrhistogram.Histogram, q float64) int64 {
	n := float64(h.TotalCount())
	if n == 0 {
		return 0
	}
	return h.ValueAtQuantile(100 * math.Ceil(q*n) / n)
}

func read(text string) string {
	h, err := hdrhistogram.Decode([]byte(text))
	check(err)
	return fmt.Sprintf(`{"total": %d, "p50": %d, "p90": %d, "p95": %d, "p99": %d}`, h.TotalCount(),
		quantile(h, 0.5), quantile(h, 0.9), quantile(h, 0.95), quantile(h, 0.99))
}

func encode(values []string) string {
	h := hdrhistogram.New(1, 3600000000, 2)
	for _, text := range values {
		value, err := strconv.ParseInt(text, 10, 64)
		check(err)
		check(h.RecordValue(value))
	}
	out, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	check(err)
	return string(out)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		words := strings.Fields(in.Text())
		if words[0] == "read" {
			fmt.Println(read(words[1]))
		} else {
			fmt.Println(encode(words[1:]))
		}
	}
	check(in.Err())
}
