-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 8
--
-- How fast tokens come once the first has, and up to where everything is closed.

-- Of the answers that tell it (a latency, a time to first token below it, completion tokens): how long they
-- took after their first token, and their completion tokens. Additive as all facts are.
ALTER TABLE llm_minute
    ADD COLUMN generation_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN generation_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE llm_hour
    ADD COLUMN generation_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN generation_tokens bigint NOT NULL DEFAULT 0;

-- All partitions have passed every window that ends at or before it (end + WINDOW_GRACE_MS): what still comes
-- for them is late. Never falls; NULL until the first has closed. The publisher's to write.
ALTER TABLE streamlens_publisher ADD COLUMN closed_through timestamptz;
