// SPDX-License-Identifier: Apache-2.0
// A main() for a fuzz target without libFuzzer: runs it once for every file of the directories and
// files given, so that the corpora are ordinary tests under any compiler. Fails where it finds
// none.
#include "tests/fuzz/fuzz.h"

#include "common/core/buf.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static size_t inputs;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    struct buf bytes = {0};
    size_t got;
    do {
        buf_reserve(&bytes, 4096);
        got = fread(bytes.p + bytes.n, 1, 4096, file);
        bytes.n += got;
    } while (got > 0);
    int failed = ferror(file);
    fclose(file);
    if (!failed) {
        // A copy of exactly that size, so that a sanitizer sees a read behind the end.
        uint8_t *copy = xmemdup(bytes.p, bytes.n);
        fprintf(stderr, "%s\n", path); // before the run: the last line names what crashed
        LLVMFuzzerTestOneInput(copy, bytes.n);
        free(copy);
        inputs++;
    }
    buf_free(&bytes);
    return failed ? -1 : 0;
}

static int replay_directory(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int rc = 0;
    for (int i = 0; i < n; i++) {
        struct buf file = {0};
        if (entries[i]->d_name[0] != '.') {
            buf_addf(&file, "%s/%s", path, entries[i]->d_name);
            char *name = buf_steal(&file);
            rc |= replay_file(name);
            free(name);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool directory = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        rc |= directory ? replay_directory(argv[i]) : replay_file(argv[i]);
    }
    printf("%zu inputs\n", inputs);
    return rc == 0 && inputs > 0 ? 0 : 1;
}
