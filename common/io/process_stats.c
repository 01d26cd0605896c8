// SPDX-License-Identifier: Apache-2.0
#include "common/io/process_stats.h"

#include "common/io/clock.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define KEPT_US 250000 // what is told is at most that old

#ifndef STREAMLENS_VERSION
#define STREAMLENS_VERSION "unknown"
#endif

static void add(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

static size_t read_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        out[0] = '\0';
        return 0;
    }
    size_t n = fread(out, 1, cap - 1, f);
    fclose(f);
    out[n] = '\0';
    return n;
}

// Seconds since 1970 at which the machine started; 0 where it is not to be had.
static int64_t boot_time_s(void)
{
    FILE *f = fopen("/proc/stat", "re");
    if (!f)
        return 0;
    char line[512];
    int64_t boot = 0;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "btime %" SCNd64, &boot) == 1)
            break;
    }
    fclose(f);
    return boot;
}

static int64_t open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    int64_t n = -3; // ".", ".." and the directory's own descriptor
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void add_proc_stat(struct buf *out)
{
    char text[1024];
    read_file("/proc/self/stat", text, sizeof(text));
    // Fields are counted from behind the name: it is in parentheses and may hold anything else.
    const char *p = strrchr(text, ')');
    uint64_t utime = 0, stime = 0, start = 0;
    int64_t rss_pages = 0;
    if (!p || sscanf(p + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                     " %*d %*d %*d %*d %*d %*d %" SCNu64 " %*u %" SCNd64,
                     &utime, &stime, &start, &rss_pages) != 4)
        return;
    double hz = (double)sysconf(_SC_CLK_TCK);
    add(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.",
        (double)(utime + stime) / hz);
    add(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
        (double)rss_pages * (double)sysconf(_SC_PAGESIZE));
    add(out, "process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.",
        (double)boot_time_s() + (double)start / hz);
}

static void render(const char *program, struct buf *out)
{
    buf_adds(out, "# HELP streamlens_build_info What is running; always 1.\n"
                  "# TYPE streamlens_build_info gauge\n");
    buf_addf(out, "streamlens_build_info{program=\"%s\",version=\"%s\"} 1\n", program,
             STREAMLENS_VERSION);
    add_proc_stat(out);
    add(out, "process_open_fds", "gauge", "Open descriptors.", (double)open_fds());
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add(out, "process_max_fds", "gauge", "Most descriptors the process may open.",
            (double)limit.rlim_cur);
}

// Counting descriptors takes a millisecond for some thousands. Whoever asks again and again must
// not hold up the others with it.
void process_stats_render(const char *program, struct buf *out)
{
    static struct buf text;
    static int64_t rendered_us;
    int64_t now_us = clock_mono_us();
    if (text.n == 0 || now_us - rendered_us > KEPT_US) {
        text.n = 0;
        render(program, &text);
        rendered_us = now_us;
    }
    buf_add(out, text.p, text.n);
}
