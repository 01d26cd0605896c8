// SPDX-License-Identifier: Apache-2.0
#include "common/io/sd_notify.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_US US_PER_S
#define COMPLAINT_US (60 * US_PER_S)

struct sd_notify {
    struct event_base *base;
    struct event *ask_timer, *beat_timer; // beat_timer: NULL where nobody watches
    sd_notify_ask ask;
    void *arg;
    int fd;
    struct sockaddr_un to;
    socklen_t to_len;
    bool told_ready, stopping;
    struct err told; // the status, as it was sent
    struct log_limit complaint;
};

// Never waits: a manager that does not read misses a beat, not the service a request. Addressed
// each time, so that a manager that comes anew is told as well.
static bool tell(struct sd_notify *n, const char *what)
{
    ssize_t sent = sendto(n->fd, what, strlen(what), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&n->to, n->to_len);
    if (sent < 0 && log_limit(&n->complaint, clock_mono_us(), COMPLAINT_US))
        log_warn("the service manager cannot be told", "error", strerror(errno));
    return sent >= 0;
}

// ---- how it is ----

// What could not be sent is sent the next time.
static void look(struct sd_notify *n)
{
    struct err how = {0};
    bool ready = n->ask(n->arg, &how);
    char message[sizeof(how.detail) + 32];
    if (!how.detail[0])
        snprintf(how.detail, sizeof(how.detail), "%s", ready ? "ready" : "not ready");
    bool first = ready && !n->told_ready;
    if (!first && strcmp(how.detail, n->told.detail) == 0)
        return;
    snprintf(message, sizeof(message), "%sSTATUS=%s", first ? "READY=1\n" : "", how.detail);
    if (!tell(n, message))
        return;
    n->told_ready = n->told_ready || first;
    n->told = how;
}

static void on_ask(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

// ---- the watchdog ----

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    tell(arg, "WATCHDOG=1");
}

// 0 where nobody watches this process, as sd_watchdog_enabled(3) has it.
static int64_t watchdog_us(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!us || !*us || (pid && *pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    return max_i64(strtoll(us, NULL, 10), 0);
}

// ---- life ----

static int set_address(struct sd_notify *n, const char *path)
{
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof(n->to.sun_path)) {
        log_warn("the service manager cannot be told: NOTIFY_SOCKET is neither a path nor an "
                 "abstract socket, or too long",
                 "NOTIFY_SOCKET", path);
        return -1;
    }
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, path, length);
    if (path[0] == '@')
        n->to.sun_path[0] = '\0';
    // The name of an abstract socket is all that the length covers: no byte more.
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/'));
    return 0;
}

static struct event *every(struct sd_notify *n, event_callback_fn call, int64_t us)
{
    struct timeval tv = {us / US_PER_S, us % US_PER_S};
    struct event *timer = event_new(n->base, -1, EV_PERSIST, call, n);
    event_add(timer, &tv);
    return timer;
}

struct sd_notify *sd_notify_new(struct event_base *base, sd_notify_ask ask, void *arg)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !*path)
        return NULL;
    struct sd_notify *n = xcalloc(1, sizeof(*n));
    n->base = base;
    n->ask = ask;
    n->arg = arg;
    n->fd = -1;
    if (set_address(n, path) == 0)
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0) {
        sd_notify_free(n);
        return NULL;
    }
    int64_t limit_us = watchdog_us();
    n->ask_timer = every(n, on_ask, ASK_US);
    if (limit_us > 0)
        n->beat_timer = every(n, on_beat, max_i64(limit_us / 2, US_PER_MS));
    look(n);
    return n;
}

void sd_notify_stopping(struct sd_notify *n)
{
    if (!n || n->stopping)
        return;
    n->stopping = true;
    event_del(n->ask_timer);
    tell(n, "STOPPING=1\nSTATUS=stopping");
}

void sd_notify_free(struct sd_notify *n)
{
    if (!n)
        return;
    if (n->ask_timer)
        event_free(n->ask_timer);
    if (n->beat_timer)
        event_free(n->beat_timer);
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}
