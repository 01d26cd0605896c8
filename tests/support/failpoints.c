// SPDX-License-Identifier: Apache-2.0
// Linked into a processor with --wrap for each call below, so that it dies where
// STREAMLENS_FAILPOINT says: "commit:before:3" at the third call, "commit:after:3" once the third
// that went well has returned.
//
// "flushed" is the moment in a commit when the broker has all records and no end of their
// transaction.
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>

#include "processor/outlet.h"

#define FLUSH_MS 30000

enum point { TAKE, OPEN, PROGRESS, BEGIN, PUT, PUT_PROGRESS, FLUSHED, COMMIT, POINTS };
static const char *const names[POINTS] = {"take", "open",         "progress", "begin",
                                          "put",  "put_progress", "flushed",  "commit"};

// On the publisher's thread alone.
static int counts[POINTS][2];

static void pass(enum point point, bool after)
{
    char here[64];
    const char *wanted = getenv("STREAMLENS_FAILPOINT");
    snprintf(here, sizeof(here), "%s:%s:%d", names[point], after ? "after" : "before",
             ++counts[point][after]);
    if (wanted && strcmp(wanted, here) == 0)
        raise(SIGKILL);
}

enum outlet_result __real_outlet_open(struct outlet *o, struct err *e);
enum outlet_result __real_outlet_progress(struct outlet *o, int64_t *seq, struct err *e);
enum outlet_result __real_outlet_begin(struct outlet *o, struct err *e);
enum outlet_result __real_outlet_put(struct outlet *o, const struct publish_batch *b,
                                     const struct publish_record *r, struct err *e);
enum outlet_result __real_outlet_put_progress(struct outlet *o, int64_t seq, struct err *e);
enum outlet_result __real_outlet_commit(struct outlet *o, struct err *e);
enum store_result __real_publish_store_take(struct publish_store *s, int64_t epoch,
                                            int64_t progress, const struct publish_rule *rule,
                                            int64_t now_ms, struct publish_batch *out,
                                            struct err *e);
rd_kafka_error_t *__real_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms);

// name is __wrap_…, params and args in parentheses, good the result that counts as well.
#define WRAP(type, good, point, name, params, args)                                                \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        pass(point, false);                                                                        \
        type result = __real_##name args;                                                          \
        if (result == good)                                                                        \
            pass(point, true);                                                                     \
        return result;                                                                             \
    }

WRAP(enum outlet_result, OUTLET_OK, OPEN, outlet_open, (struct outlet * o, struct err *e), (o, e))
WRAP(enum outlet_result, OUTLET_OK, PROGRESS, outlet_progress,
     (struct outlet * o, int64_t *seq, struct err *e), (o, seq, e))
WRAP(enum outlet_result, OUTLET_OK, BEGIN, outlet_begin, (struct outlet * o, struct err *e), (o, e))
WRAP(enum outlet_result, OUTLET_OK, PUT, outlet_put,
     (struct outlet * o, const struct publish_batch *b, const struct publish_record *r,
      struct err *e),
     (o, b, r, e))
WRAP(enum outlet_result, OUTLET_OK, PUT_PROGRESS, outlet_put_progress,
     (struct outlet * o, int64_t seq, struct err *e), (o, seq, e))
WRAP(enum outlet_result, OUTLET_OK, COMMIT, outlet_commit, (struct outlet * o, struct err *e),
     (o, e))

// Only those count that have something to send.
enum store_result __wrap_publish_store_take(struct publish_store *s, int64_t epoch,
                                            int64_t progress, const struct publish_rule *rule,
                                            int64_t now_ms, struct publish_batch *out,
                                            struct err *e);
enum store_result __wrap_publish_store_take(struct publish_store *s, int64_t epoch,
                                            int64_t progress, const struct publish_rule *rule,
                                            int64_t now_ms, struct publish_batch *out,
                                            struct err *e)
{
    enum store_result result = __real_publish_store_take(s, epoch, progress, rule, now_ms, out, e);
    if (result == STORE_OK && out->n > 0)
        pass(TAKE, true);
    return result;
}

rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
    const char *wanted = getenv("STREAMLENS_FAILPOINT");
    if (wanted && strncmp(wanted, "flushed:", 8) == 0 &&
        rd_kafka_flush(rk, FLUSH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
        pass(FLUSHED, true);
    return __real_rd_kafka_commit_transaction(rk, timeout_ms);
}
