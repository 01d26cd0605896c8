// SPDX-License-Identifier: Apache-2.0
#include "common/core/base.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#define BORDER ((size_t)4 << 20) // from here on xcalloc_huge() asks the kernel itself

static size_t resident_bytes(void)
{
    size_t all, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%zu %zu", &all, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static const size_t sizes[] = {0, 1, 56, BORDER - 1, BORDER, BORDER + 1, 3 * BORDER + 56};

START_TEST(huge_memory_is_zeroed_and_all_of_it_is_ours)
{
    size_t n = sizes[_i];
    for (int again = 0; again < 2; again++) { // the second may be what the first gave back
        unsigned char *p = xcalloc_huge(n);
        ck_assert_uint_eq((uintptr_t)p % CACHE_LINE, 0);
        ck_assert(n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0));
        memset(p, 0xa5, n);
        free_huge(p, n);
    }
}
END_TEST

START_TEST(huge_memory_is_given_back)
{
    const size_t n = 16 * BORDER;
    size_t before = resident_bytes();
    for (int i = 0; i < 8; i++) {
        void *p = xcalloc_huge(n);
        memset(p, 1, n);
        ck_assert_uint_ge(resident_bytes(), before + n / 2);
        free_huge(p, n);
    }
    ck_assert_uint_lt(resident_bytes(), before + n);
    free_huge(NULL, n);
    free_huge(NULL, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, huge_memory_is_zeroed_and_all_of_it_is_ours, 0, ARRAY_LEN(sizes));
    tcase_add_test(t, huge_memory_is_given_back);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
