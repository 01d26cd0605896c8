-- SPDX-License-Identifier: Apache-2.0
-- The login of Grafana's PostgreSQL source; made anew it gets the password, and nothing else changes. As a role that
-- may make others, after streamlens-admin setup:
--   psql -v login=grafana -v password=… -f login.sql
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN IN ROLE streamlens_reader', :'login')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
ALTER ROLE :"login" PASSWORD :'password';
-- Who edits a panel can ask anything; not for long, and nothing that writes.
ALTER ROLE :"login" SET statement_timeout = '30s';
ALTER ROLE :"login" SET default_transaction_read_only = on;
