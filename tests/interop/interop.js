// SPDX-License-Identifier: Apache-2.0
// See README.md for what goes in and what comes out.
"use strict";
const hdr = require("hdr-histogram-js");
const readline = require("readline");

// The library rounds the rank to the nearest; this percentile's is the next whole one.
function quantile(h, q) {
  return h.totalCount ? h.getValueAtPercentile((100 * Math.ceil(q * h.totalCount)) / h.totalCount) : 0;
}

function read(text) {
  const h = hdr.decodeFromCompressedBase64(text, 64);
  return JSON.stringify({
    total: h.totalCount,
    p50: quantile(h, 0.5),
    p90: quantile(h, 0.9),
    p95: quantile(h, 0.95),
    p99: quantile(h, 0.99),
  });
}

function make(values) {
  const h = hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 3600000000,
    numberOfSignificantValueDigits: 2,
  });
  for (const value of values) h.recordValue(Number(value));
  return hdr.encodeIntoCompressedBase64(h);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [what, ...words] = line.split(" ");
  console.log(what === "read" ? read(words[0]) : make(words));
});
