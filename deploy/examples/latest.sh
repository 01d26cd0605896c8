#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The last revision of every window, with kcat and jq: latest.sh BROKERS [TOPIC]
# Prints tenant, route, model, window, requests, errors, p95 in ms; tab-separated, in order.
set -euo pipefail

# Of the records of one series and minute the greatest publish_seq holds; the others are older revisions.
kcat -C -e -q -b "$1" -t "${2:-llm.metrics}" -o beginning -X isolation.level=read_committed |
    jq -rs 'group_by([.tenant_id, .route, .model, .window_start]) | map(max_by(.publish_seq)) | .[]
        | [.tenant_id, .route, .model, .window_start, .requests, .errors, .p95_latency_ms] | @tsv'
