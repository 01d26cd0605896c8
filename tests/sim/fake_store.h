// SPDX-License-Identifier: Apache-2.0
// The production seam processor/store.h over fake_db: one session a process, with row locks on
// positions, faults, COMMIT answers that are lost both ways, and sessions that outlive their
// process.
#ifndef SIM_FAKE_STORE_H
#define SIM_FAKE_STORE_H

#include "tests/sim/fake_db.h"
#include "tests/sim/fuse.h"

// token: tells this process from any other; owner_id: of its group.instance.id, 0 without. The fuse
// is borrowed; where it is dead, so is the process.
struct store *fake_store_new(struct fake_db *db, int64_t token, int owner_id, struct fuse *fuse);
// The process is gone. Its session may not be: until the server notices it holds its locks, and a
// COMMIT that was under way lands or does not.
void fake_store_free(struct store *s);

// The COMMIT of another client's transaction was not heard: it lands or not once its session ends,
// and keeps position row 0 locked until then. `landing` is carried out with a copy of n bytes.
void fake_store_leave_in_doubt(struct fake_db *db, bool lands,
                               void (*landing)(struct fake_db *db, const void *arg),
                               const void *arg, size_t n);
// Who waits for a position row in vain ends a session that has no client any more.
void fake_store_end_silent(struct fake_db *db, int partition);

// The server's own: some sessions without a client end, some COMMITs that nobody heard of land.
void fake_store_let_sessions_pass(struct fake_db *db);
// All sessions end now, whatever they were doing.
void fake_store_end_sessions(struct fake_db *db);

#endif
