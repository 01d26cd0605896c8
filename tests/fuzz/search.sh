#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# search.sh TARGET CORPUS FOUND SECONDS [OPTION...]: looks for new inputs for so long, or for FUZZ_SECONDS
# where that is set. What is found goes to FOUND, never into the corpus; a crash leaves FOUND/crash-*. It exits
# with 1 then: libFuzzer's own 77 is a skipped test to meson, which prints nothing of those.
set -eu
target=$1 corpus=$2 found=$3 seconds=$4
shift 4
mkdir -p "$found"
exec "$target" -max_total_time="${FUZZ_SECONDS:-$seconds}" -timeout=40 -rss_limit_mb=1024 \
    -error_exitcode=1 -artifact_prefix="$found/" -print_final_stats=1 "$@" "$found" "$corpus"
