-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 5
--
-- Histograms for whoever has psql: merge them over any rows, and ask any quantile of the sum. What comes out is
-- what the API answers, bit for bit. A histogram is HdrHistogram's V2 encoding, uncompressed: a header of 40 bytes,
-- then the counts in order of their values, each a ZigZag LEB128; -n stands for n counts of zero, and a single
-- one of them is 0. common/core/hist.h has the parameters: 1 µs to 1 h, 2 significant digits, 3,328 counts.

-- The counts that are not zero: counts[i] values lie in the bucket at[i], counted from 0.
CREATE FUNCTION hdr_decode(h bytea, OUT at int[], OUT counts bigint[])
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    b int;
    word bigint := 0;
    shift int := 0;
    bucket int := 0;
BEGIN
    -- Digits, lowest and highest value: another layout's buckets are other values.
    IF length(h) < 40 OR substr(h, 1, 4) <> '\x1c849313' OR
       substr(h, 13, 20) <> '\x00000002000000000000000100000000d693a400' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'this is no histogram of llm_minute, llm_hour or llm_metrics',
            HINT = 'Wanted is HdrHistogram V2, uncompressed, of 1 to 3600000000 with 2 significant digits.';
    END IF;
    at := '{}';
    counts := '{}';
    FOREACH b IN ARRAY ARRAY(SELECT get_byte(h, i) FROM generate_series(40, length(h) - 1) i) LOOP
        IF b > 127 AND shift < 56 THEN
            word := word | ((b & 127)::bigint << shift);
            shift := shift + 7;
            CONTINUE;
        END IF;
        IF shift > 0 THEN
            word := word | (b::bigint << shift);
            shift := 0;
        ELSE
            word := b;
        END IF;
        IF word & 1 = 1 THEN
            bucket := bucket + ((word >> 1) + 1)::int;
        ELSIF word = 0 THEN
            bucket := bucket + 1;
        ELSE
            at := array_append(at, bucket);
            counts := array_append(counts, word >> 1);
            bucket := bucket + 1;
        END IF;
        word := 0;
    END LOOP;
    IF shift > 0 OR bucket > 3328 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the histogram is damaged';
    END IF;
END $$;

-- One count as it stands in an encoding.
CREATE FUNCTION hdr_word(n bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    word bigint := (n << 1) # (n >> 63);
    bytes bytea := '';
BEGIN
    WHILE word > 127 LOOP
        bytes := bytes || set_byte('\x00', 0, (word & 127 | 128)::int);
        word := word >> 7;
    END LOOP;
    RETURN bytes || set_byte('\x00', 0, word::int);
END $$;

CREATE FUNCTION hdr_encode(sums bigint[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n bigint;
    zeros int := 0;
    payload bytea := '';
BEGIN
    FOREACH n IN ARRAY sums LOOP
        IF n = 0 THEN
            zeros := zeros + 1;
            CONTINUE;
        END IF;
        IF zeros > 0 THEN
            payload := payload || hdr_word(CASE zeros WHEN 1 THEN 0 ELSE -zeros END);
            zeros := 0;
        END IF;
        payload := payload || hdr_word(n);
    END LOOP;
    RETURN '\x1c849313' || int4send(length(payload)) || '\x00000000' ||
           '\x00000002000000000000000100000000d693a400' || float8send(1) || payload;
END $$;

CREATE FUNCTION hdr_merge_all(hs bytea[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    sums bigint[] := array_fill(0::bigint, ARRAY[3328]);
    h bytea;
    at int[];
    counts bigint[];
BEGIN
    FOREACH h IN ARRAY hs LOOP
        SELECT d.at, d.counts INTO at, counts FROM hdr_decode(h) d;
        FOR i IN 1..cardinality(at) LOOP
            sums[at[i] + 1] := sums[at[i] + 1] + counts[i];
        END LOOP;
    END LOOP;
    RETURN hdr_encode(sums);
END $$;

-- Folds now and then, so that a group of any size needs a few hundred histograms' room.
CREATE FUNCTION hdr_merge_step(hs bytea[], h bytea) RETURNS bytea[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF cardinality(hs) >= 500 THEN
        hs := ARRAY[hdr_merge_all(hs)];
    END IF;
    hs := array_append(hs, h);
    RETURN hs;
END $$;

CREATE FUNCTION hdr_merge_end(hs bytea[]) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE cardinality(hs) WHEN 0 THEN NULL WHEN 1 THEN hs[1] ELSE hdr_merge_all(hs) END $$;

-- The histogram of all values of all rows; NULLs are passed over, and NULL comes of nothing else.
CREATE AGGREGATE hdr_merge (bytea) (
    SFUNC = hdr_merge_step, STYPE = bytea[], INITCOND = '{}', FINALFUNC = hdr_merge_end, COMBINEFUNC = array_cat,
    PARALLEL = SAFE
);

CREATE FUNCTION hdr_count(h bytea) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT coalesce(sum(n), 0)::bigint FROM hdr_decode(h) d, unnest(d.counts) n $$;

-- The highest value, in µs, that falls into a bucket.
CREATE FUNCTION hdr_highest(bucket int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE WHEN bucket < 256 THEN bucket ELSE ((bucket % 128 + 129)::bigint << (bucket / 128 - 1)) - 1 END $$;

-- For each q from 0 to 1, in µs: of rank ceil(q * n) the highest value of its bucket, and never above max_us, which is
-- the row's exact maximum (max(latency_max_us) of merged ones). NULLs without a value.
CREATE FUNCTION hdr_quantiles(h bytea, qs double precision[], max_us bigint DEFAULT 9223372036854775807)
RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at int[];
    counts bigint[];
    n bigint;
    rank bigint;
    seen bigint;
    q double precision;
    found bigint;
    answers bigint[] := '{}';
BEGIN
    SELECT d.at, d.counts INTO at, counts FROM hdr_decode(h) d;
    n := (SELECT sum(x) FROM unnest(counts) x);
    FOREACH q IN ARRAY qs LOOP
        IF q IS NULL OR NOT q BETWEEN 0 AND 1 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'a quantile is a number from 0 to 1, such as 0.99';
        END IF;
        -- 4.5e-16: a product such as 0.99 * 100 must not be rounded up to the rank behind it (common/core/hist.c).
        rank := least(greatest(ceil(q * n - q * n * 4.5e-16::double precision), 1), n);
        found := NULL;
        seen := 0;
        FOR i IN 1..cardinality(at) LOOP
            seen := seen + counts[i];
            IF seen >= rank THEN
                found := least(hdr_highest(at[i]), max_us);
                EXIT;
            END IF;
        END LOOP;
        answers := array_append(answers, found);
    END LOOP;
    RETURN answers;
END $$;

CREATE FUNCTION hdr_quantile(h bytea, q double precision, max_us bigint DEFAULT 9223372036854775807)
RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT (hdr_quantiles(h, ARRAY[q], max_us))[1] $$;
