-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 8
--
-- How far back rows reach, and hours for whoever has psql.

-- Rows of minutes (hours) that begin before it have been dropped, or will be at once: whoever reads takes
-- them for gone. NULL: none yet. Only rises.
CREATE TABLE streamlens_retention (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    minutes_from timestamptz,
    hours_from timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO streamlens_retention DEFAULT VALUES;
