// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_input.h"

#include <errno.h>
#include <stdio.h>

#include "common/core/price_file.h"

int price_input_read(const char *path, struct buf *out, struct err *e)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f)
        return err_set(e, "cannot open %.200s: %s", path, strerror(errno));
    // One byte more than is taken, so that the reader sees that it is too much.
    while (out->n <= PRICE_FILE_BYTES_MAX && !feof(f) && !ferror(f)) {
        size_t room = PRICE_FILE_BYTES_MAX + 1 - out->n;
        room = room > 65536 ? 65536 : room;
        buf_reserve(out, room);
        out->n += fread(out->p + out->n, 1, room, f);
    }
    bool failed = ferror(f) != 0;
    int error = errno;
    if (f != stdin)
        fclose(f);
    return failed ? err_set(e, "cannot read %.200s: %s", path, strerror(error)) : 0;
}

void price_input_note(const struct args *a, struct buf *out)
{
    for (size_t i = 0; i < a->word_count; i++)
        buf_addf(out, "%s%s", i ? " " : "", a->words[i]);
    buf_add(out, "", 1);
}
