-- Functions that DuckDB's SQL has and PostgreSQL's has not; dialect.py names them. Most are what TRY_CAST is here:
-- text as a value of a type, or NULL where it cannot be read as one.
CREATE SCHEMA IF NOT EXISTS millstream;

-- false < true in DuckDB; the session's search path ends with this schema.
CREATE OR REPLACE AGGREGATE millstream.max(boolean) (SFUNC = boolor_statefunc, STYPE = boolean);
CREATE OR REPLACE AGGREGATE millstream.min(boolean) (SFUNC = booland_statefunc, STYPE = boolean);

-- Another number than DuckDB's; both change with the text only.
CREATE OR REPLACE FUNCTION millstream.hash(given text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(given, 0) $$;

CREATE OR REPLACE FUNCTION millstream.try_double(given text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN given ~ '^\s*[+-]?(\d{1,200}\.?\d{0,100}|\.\d{1,100})([eE][+-]?\d{1,2})?\s*$'
            OR lower(btrim(given)) IN ('inf', '+inf', '-inf', 'infinity', '+infinity', '-infinity', 'nan')
        THEN CAST(given AS double precision)
    END
$$;

CREATE OR REPLACE FUNCTION millstream.try_bigint(given text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN given ~ '^\s*[+-]?(\d{1,200}\.?\d{0,100}|\.\d{1,100})([eE][+-]?\d{1,2})?\s*$'
        THEN CASE
            WHEN CAST(given AS numeric) > -9223372036854775808 AND CAST(given AS numeric) < 9223372036854775807
            THEN CAST(round(CAST(given AS numeric)) AS bigint)
        END
    END
$$;

CREATE OR REPLACE FUNCTION millstream.try_int(given text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN millstream.try_bigint(given) BETWEEN -2147483648 AND 2147483647
        THEN CAST(millstream.try_bigint(given) AS integer)
    END
$$;

CREATE OR REPLACE FUNCTION millstream.try_boolean(given text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN lower(given) IN ('true', 't', 'yes', 'y', '1') THEN true
        WHEN lower(given) IN ('false', 'f', 'no', 'n', '0') THEN false
    END
$$;

CREATE OR REPLACE FUNCTION millstream.try_date(given text) RETURNS date
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF given IS NULL OR given !~ '^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}' THEN
        RETURN NULL;
    END IF;
    RETURN CAST(substring(given FROM '^\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2})') AS date);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION millstream.try_timestamptz(given text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF given IS NULL OR given !~ '^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]+\d{1,2}:\d{2}.*)?$' THEN
        RETURN NULL;
    END IF;
    RETURN CAST(given AS timestamptz);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION millstream.try_jsons(given text) RETURNS jsonb[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF given IS NULL OR jsonb_typeof(CAST(given AS jsonb)) <> 'array' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT jsonb_array_elements(CAST(given AS jsonb)));
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
