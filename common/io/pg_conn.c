// SPDX-License-Identifier: Apache-2.0
#include "common/io/pg_conn.h"

int pg_dsn_check(const char *dsn, struct err *e)
{
    // libpq's own message would repeat the part it stumbled over, which may be the password.
    PQconninfoOption *parsed = PQconninfoParse(dsn, NULL);
    if (!parsed)
        return err_field(e, "POSTGRES_DSN", -1,
                         "cannot be understood; wanted is postgresql://user@host:port/database or "
                         "key=value pairs");
    PQconninfoFree(parsed);
    return 0;
}

static void notice_ignored(UNUSED void *arg, UNUSED const char *message)
{
}

PGconn *pg_connect_start(const char *dsn, const char *application_name)
{
    // What stands before dbname is a default that the DSN may change; what stands after it is not.
    const char *const keys[] = {"keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "gssencmode",
                                "dbname",
                                "client_encoding",
                                "fallback_application_name",
                                NULL};
    const char *const values[] = {"5", "1", "3", "2000", "disable", dsn, "UTF8", application_name,
                                  NULL};
    PGconn *pg = PQconnectStartParams(keys, values, 1);
    if (pg && PQstatus(pg) != CONNECTION_BAD) {
        PQsetNoticeProcessor(pg, notice_ignored, NULL);
        PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    }
    return pg;
}

void pg_err(struct err *e, const char *what, const char *text)
{
    char line[400];
    size_t n = 0;
    bool skip = false;
    for (const char *s = text; *s && n < sizeof(line) - 3; s++) {
        if (s == text || s[-1] == '\n')
            skip = strncmp(s, "LOCATION:", 9) == 0;
        if (skip || (*s == '\n' && (n == 0 || line[n - 1] == ' ')))
            continue;
        if (*s == '\n')
            line[n++] = ';';
        line[n++] = (unsigned char)*s < 0x20 ? ' ' : *s;
    }
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == ';'))
        n--;
    line[n] = '\0';
    (void)err_set(e, "%s%s%s", what, n > 0 ? ": " : "", line);
}

bool pg_result_ok(const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_TUPLES_OK || s == PGRES_COMMAND_OK || s == PGRES_EMPTY_QUERY;
}

const char *pg_result_sqlstate(const PGresult *r)
{
    const char *code = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    return code ? code : "";
}
