// SPDX-License-Identifier: Apache-2.0
#include "processor/notice_pg.h"

#include "common/core/notice.h"

enum store_result notice_send(struct db *db, const int64_t *starts_us, size_t n, struct err *e)
{
    struct buf sql = {0};
    buf_adds(&sql, "NOTIFY streamlens_flush, '");
    notice_add_windows(&sql, starts_us, n, NOTICE_BYTES_MAX);
    buf_add(&sql, "'", 2); // and its end
    enum store_result rc = db_exec(db, sql.p, NULL, e);
    buf_free(&sql);
    return rc;
}
