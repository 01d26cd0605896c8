// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/topics/republish.h"

#include <inttypes.h>
#include <stdio.h>

#include "deploy/admin/topics/republish_pg.h"

#define PAGE_ROWS 10000 // a flush that waits for such a transaction waits for a moment

static int read_range(const struct args *a, struct republish_range *out, struct err *e)
{
    out->tenant = args_get(a, "tenant");
    if (args_time(a, "from", &out->from_us, e) < 0 || args_time(a, "to", &out->to_us, e) < 0)
        return ARGS_WRONG;
    if (out->from_us < out->to_us)
        return 0;
    err_field(e, "--to", -1,
              "is not later than --from; windows that begin from --from on and before "
              "--to are sent again");
    return ARGS_WRONG;
}

static void say(const struct republish_result *r)
{
    printf("%" PRId64 " rows of %" PRId64 " windows will be sent again\n", r->rows, r->windows);
    if (r->open_windows)
        printf("%" PRId64 " windows of the range are not closed yet; they are sent once they are\n",
               r->open_windows);
}

int republish_run(const struct config *c, const struct args *a, struct err *e)
{
    struct republish_range range;
    struct republish_result result;
    int rc = read_range(a, &range, e);
    if (rc < 0)
        return rc;
    struct db *db = db_open_set_up(c, e);
    rc = db ? db_check_tenant(db, range.tenant, e) : -1;
    if (rc == 0) {
        rc = republish_mark(db, &range, PAGE_ROWS, &result, e);
        if (rc == 0 || result.rows > 0)
            say(&result);
    }
    db_close(db);
    return rc;
}
