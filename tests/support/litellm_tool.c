// SPDX-License-Identifier: Apache-2.0
// What tests/litellm/test_litellm.py holds against its own reading: LiteLLM's list on standard
// input, a line of JSON for each of its entries on standard output, in order:
//   {"name":…,"why":…,"note":…,"provider":…,"lines":[[tier,above,[prices by class, null = none]]…]}
#include "common/core/buf.h"
#include "deploy/admin/prices/litellm.h"

#include <stdio.h>

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "\"%s\":", name);
    if (text)
        buf_add_json_str(out, str_of(text));
    else
        buf_adds(out, "null");
    buf_addc(out, ',');
}

static void add_line(struct buf *out, const struct price_line *line)
{
    buf_adds(out, "[");
    buf_add_json_str(out, str_of(line->tier));
    buf_addf(out, ",%lld,[", (long long)line->above);
    for (size_t k = 0; k < PRICE_CLASS_COUNT; k++) {
        if (k > 0)
            buf_addc(out, ',');
        if (line->pusd[k] == PRICE_NONE)
            buf_adds(out, "null");
        else
            buf_addf(out, "%lld", (long long)line->pusd[k]);
    }
    buf_adds(out, "]]");
}

static void add_entry(struct buf *out, const struct litellm_entry *e)
{
    buf_addc(out, '{');
    add_text(out, "name", e->name);
    add_text(out, "why", e->why);
    add_text(out, "note", e->note);
    add_text(out, "provider", e->card.provider);
    buf_adds(out, "\"lines\":[");
    for (size_t i = 0; i < e->card.line_count; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_line(out, &e->card.lines[i]);
    }
    buf_adds(out, "]}\n");
}

int main(void)
{
    struct buf text = {0}, out = {0};
    struct litellm_entry *entries;
    struct err e = {0};
    size_t n;
    do {
        buf_reserve(&text, 1 << 16);
        n = fread(text.p + text.n, 1, 1 << 16, stdin);
        text.n += n;
    } while (n > 0);
    if (litellm_parse((struct str){text.p, text.n}, &entries, &n, &e) != 0) {
        fprintf(stderr, "%s\n", e.detail);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        add_entry(&out, &entries[i]);
    fwrite(out.p, 1, out.n, stdout);
    litellm_free(entries, n);
    buf_free(&text);
    buf_free(&out);
    return 0;
}
