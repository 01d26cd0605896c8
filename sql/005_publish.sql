-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 5
--
-- What llm.metrics was sent, and what it is still to be sent. What each table is for stands in
-- sql/README.md.

-- A row of llm_minute, made by the flush that makes that; the rest of it is the publisher's. Partitions as
-- llm_minute's, a day each. No column is indexed that changes, so that every update is HOT.
CREATE TABLE llm_publish (
    window_start timestamptz NOT NULL,
    series_id bigint NOT NULL,
    publish_seq bigint NOT NULL DEFAULT 0,        -- of the last publication; 0 = none yet
    published_revision bigint NOT NULL DEFAULT 0, -- the row's revision then
    published_at timestamptz,
    first_events bigint,                    -- requests + responses at the first publication
    published_settled boolean NOT NULL DEFAULT false, -- at the last one
    again boolean NOT NULL DEFAULT false,   -- to be sent though its revision was
    PRIMARY KEY (window_start, series_id)
) PARTITION BY RANGE (window_start);

-- changes is raised by every flush that touches a row of the window, as the last thing that it does but for
-- its positions; its row lock is what keeps such a flush and the publisher apart. looked_changes: up to
-- there the publisher has looked through all of the window, at looked_at; due_at: when it must do so again
-- though nothing changes (rows that were published too recently), NULL = not.
ALTER TABLE llm_window
    ADD COLUMN changes bigint NOT NULL DEFAULT 0,
    ADD COLUMN looked_changes bigint NOT NULL DEFAULT 0,
    ADD COLUMN looked_at timestamptz,
    ADD COLUMN due_at timestamptz;
CREATE INDEX llm_window_unpublished ON llm_window (window_start)
    WHERE changes > looked_changes OR due_at IS NOT NULL;

-- The sequence, without gaps since it is a row: a nextval() of a transaction that rolls back would be one.
-- The newest batch: its first sequence, and the windows that its rows are of.
CREATE TABLE streamlens_publisher (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_seq bigint NOT NULL DEFAULT 0,
    batch_first_seq bigint NOT NULL DEFAULT 1,
    batch_windows timestamptz[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO streamlens_publisher DEFAULT VALUES;
