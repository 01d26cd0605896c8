// SPDX-License-Identifier: Apache-2.0

// promlib-check asks a Prometheus-compatible server as Grafana's backend does: with promlib, the code of Grafana's
// Prometheus data source, for panels, alerts and the queries behind variables. It is a test's helper alone: promlib
// is under AGPL-3.0 (README.md), so nothing that is shipped links or contains this.
//
// Commands come as lines of JSON on stdin, an answer to each as a line of JSON on stdout:
//
//	{"op": "source", "url": …, "jsonData": {…}, "secureJsonData": {…}}   as in a provisioning file; forgets the last
//	{"op": "health"}
//	{"op": "query", "queries": [{"refId": "A", "expr": …, "instant": true, …}], "from": ms, "to": ms,
//	 "maxDataPoints": n, "intervalMs": ms, "alert": true}                 of a panel, or of an alert rule
//	{"op": "resource", "method": "POST", "path": "api/v1/series", "query": "a=b", "body": …}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/httpclient"
	"github.com/grafana/grafana-plugin-sdk-go/backend/log"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana/pkg/promlib"
)

const lineBytes = 4 << 20

type command struct {
	Op string `json:"op"`

	URL            string            `json:"url"`
	JSONData       json.RawMessage   `json:"jsonData"`
	SecureJSONData map[string]string `json:"secureJsonData"`

	Queries       []json.RawMessage `json:"queries"`
	From          int64             `json:"from"`
	To            int64             `json:"to"`
	MaxDataPoints int64             `json:"maxDataPoints"`
	IntervalMs    int64             `json:"intervalMs"`
	Alert         bool              `json:"alert"`

	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Body   string `json:"body"`
}

type result struct {
	Error  string      `json:"error,omitempty"`
	Status int         `json:"status"`
	Frames data.Frames `json:"frames,omitempty"`
}

type checker struct {
	service *promlib.Service
	plugin  backend.PluginContext
	made    int64
}

// source makes what Grafana makes of an entry of a provisioning file.
func (c *checker) source(cmd *command) any {
	c.made++
	c.service = promlib.NewService(httpclient.NewProvider(), log.NewNullLogger(), nil)
	c.plugin = backend.PluginContext{
		OrgID:    1,
		PluginID: "prometheus",
		DataSourceInstanceSettings: &backend.DataSourceInstanceSettings{
			ID:                      c.made,
			UID:                     "streamlens",
			Type:                    "prometheus",
			Name:                    "StreamLens",
			URL:                     cmd.URL,
			JSONData:                cmd.JSONData,
			DecryptedSecureJSONData: cmd.SecureJSONData,
		},
	}
	return map[string]any{}
}

func (c *checker) health(ctx context.Context) any {
	r, err := c.service.CheckHealth(ctx, &backend.CheckHealthRequest{PluginContext: c.plugin})
	if err != nil {
		return result{Error: err.Error()}
	}
	return map[string]any{"status": r.Status.String(), "message": r.Message, "details": json.RawMessage(details(r))}
}

func details(r *backend.CheckHealthResult) []byte {
	if len(r.JSONDetails) == 0 {
		return []byte("null")
	}
	return r.JSONDetails
}

func (c *checker) query(ctx context.Context, cmd *command) any {
	req := &backend.QueryDataRequest{PluginContext: c.plugin, Headers: map[string]string{}}
	if cmd.Alert {
		req.Headers["FromAlert"] = "true"
	}
	for _, raw := range cmd.Queries {
		var known struct {
			RefID string `json:"refId"`
		}
		if err := json.Unmarshal(raw, &known); err != nil {
			return result{Error: err.Error()}
		}
		req.Queries = append(req.Queries, backend.DataQuery{
			RefID:         known.RefID,
			MaxDataPoints: cmd.MaxDataPoints,
			Interval:      time.Duration(cmd.IntervalMs) * time.Millisecond,
			TimeRange:     backend.TimeRange{From: time.UnixMilli(cmd.From).UTC(), To: time.UnixMilli(cmd.To).UTC()},
			JSON:          raw,
		})
	}
	answer, err := c.service.QueryData(ctx, req)
	if err != nil {
		return result{Error: err.Error()}
	}
	results := map[string]result{}
	for ref, one := range answer.Responses {
		r := result{Status: int(one.Status), Frames: one.Frames}
		if one.Error != nil {
			r.Error = one.Error.Error()
		}
		results[ref] = r
	}
	return map[string]any{"results": results}
}

func (c *checker) resource(ctx context.Context, cmd *command) any {
	url := cmd.Path
	if cmd.Query != "" {
		url += "?" + cmd.Query
	}
	var answer any
	sender := backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error {
		answer = map[string]any{"status": r.Status, "headers": r.Headers, "body": string(r.Body)}
		return nil
	})
	err := c.service.CallResource(ctx, &backend.CallResourceRequest{
		PluginContext: c.plugin, Path: cmd.Path, Method: cmd.Method, URL: url, Body: []byte(cmd.Body)}, sender)
	if err != nil {
		return result{Error: err.Error()}
	}
	return answer
}

func (c *checker) run(ctx context.Context, line []byte) any {
	var cmd command
	if err := json.Unmarshal(line, &cmd); err != nil {
		return result{Error: err.Error()}
	}
	switch cmd.Op {
	case "source":
		return c.source(&cmd)
	case "health":
		return c.health(ctx)
	case "query":
		return c.query(ctx, &cmd)
	case "resource":
		return c.resource(ctx, &cmd)
	}
	return result{Error: fmt.Sprintf("op: one of source, health, query, resource is wanted, not %q", cmd.Op)}
}

func main() {
	c := &checker{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, lineBytes)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		if err := out.Encode(c.run(context.Background(), in.Bytes())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
