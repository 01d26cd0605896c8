// SPDX-License-Identifier: Apache-2.0
// The input as a model's name: its forms are parts of it in the promised order, and what a form
// leads to the name leads to as well.
#include "tests/fuzz/fuzz.h"

#include "common/core/price_name.h"

static void check_part(struct str form, const struct price_name_forms *f)
{
    struct str whole = f->form[0];
    FUZZ_CHECK(form.n > 0);
    FUZZ_CHECK(form.p >= whole.p && form.p + form.n <= whole.p + whole.n);
}

static bool has_form(const struct price_name_forms *f, struct str form)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->form[i], form))
            return true;
    return false;
}

static void check_order(const struct price_name_forms *f)
{
    const char *end = f->form[0].p + f->form[0].n;
    FUZZ_CHECK(f->without_prefix == 1 && f->without_suffix >= 1 && f->without_suffix <= f->n);
    for (size_t i = 1; i < f->n; i++) {
        struct str form = f->form[i], before = f->form[i - 1];
        check_part(form, f);
        if (i < f->without_suffix)
            FUZZ_CHECK(form.p + form.n == end && form.n < before.n);
        else
            FUZZ_CHECK(form.p + form.n < end && (form.p > before.p || form.p == f->form[0].p));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct price_name_forms f, of_form;
    price_name_forms((struct str){(const char *)data, size}, &f);
    if (size == 0 || size > PRICE_NAME_MAX) {
        FUZZ_CHECK(f.n == 0);
        return 0;
    }
    FUZZ_CHECK(f.n >= 1 && f.n <= PRICE_NAME_FORMS_MAX && f.form[0].n == size);
    check_order(&f);
    for (size_t i = 0; i < f.n && f.n < PRICE_NAME_FORMS_MAX; i++) {
        price_name_forms(f.form[i], &of_form);
        for (size_t k = 0; k < of_form.n; k++)
            FUZZ_CHECK(has_form(&f, of_form.form[k]));
    }
    return 0;
}
