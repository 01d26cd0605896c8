// SPDX-License-Identifier: Apache-2.0
// Listeners: TCP and Unix sockets, accepting, and their orderly end.
#include "common/io/http_internal.h"

#include "common/io/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
#define ACCEPT_RETRY_US 200000 // after an accept error such as "out of descriptors"
#define LOG_EVERY_US (10 * INT64_C(1000000))
#define SOCKET_MODE 0660

// ---- accepting

void http_listeners_enable(struct http_server *s)
{
    bool on = !s->paused_by_cap && !s->paused_by_error;
    for (size_t i = 0; i < s->listener_count; i++) {
        if (on)
            evconnlistener_enable(s->listeners[i].listener);
        else
            evconnlistener_disable(s->listeners[i].listener);
    }
}

// By RST: an orderly close would leave a socket in TIME_WAIT for each.
static void turn_away(struct http_server *s, evutil_socket_t fd, const struct sockaddr *addr)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    evutil_closesocket(fd);
    s->stats->connections_refused_address++;
    if (!log_limit(&s->log_refused, clock_mono_us(), LOG_EVERY_US))
        return;
    char peer[INET6_ADDRSTRLEN];
    http_peer_text(addr, peer);
    log_warn("too many connections of one address", "peer", peer, "limit",
             log_num((int64_t)s->limits.max_connections_per_address), "unlogged",
             log_num(s->log_refused.suppressed));
    s->log_refused.suppressed = 0;
}

static void take(struct http_server *s, evutil_socket_t fd, const struct sockaddr *addr)
{
    struct http_peer *address = NULL;
    if (s->peers && addr->sa_family != AF_UNIX) {
        address = http_peers_enter(s->peers, addr);
        if (!address) {
            turn_away(s, fd, addr);
            return;
        }
    }
    http_conn_new(s, fd, addr, address);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)l, (void)len;
    take(arg, fd, addr);
}

// Out of descriptors, mostly. The listener stays readable, so going on would spin.
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    (void)l;
    static struct log_limit limit;
    struct http_server *s = arg;
    int error = EVUTIL_SOCKET_ERROR();
    s->paused_by_error = true;
    s->stats->listener_paused_error++;
    http_listeners_enable(s);
    struct timeval tv = {.tv_usec = ACCEPT_RETRY_US};
    evtimer_add(s->resume, &tv);
    if (log_limit(&limit, clock_mono_us(), LOG_EVERY_US))
        log_warn("cannot accept connections for now", "error", strerror(error), "connections",
                 log_num((int64_t)s->conn_count));
}

// The kernel has finished these handshakes, so their clients believe to be connected; closing the
// listener resets them. With SO_REUSEPORT the next ones go to the other processes. What arrives
// between the last accept and the close is still lost, but where net.ipv4.tcp_migrate_req is 1.
void http_listeners_accept_rest(struct http_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        int listener = evconnlistener_get_fd(s->listeners[i].listener);
        while (s->conn_count < s->limits.max_connections) {
            struct sockaddr_storage addr = {0};
            socklen_t len = sizeof(addr);
            int fd =
                accept4(listener, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                break;
            take(s, fd, (const struct sockaddr *)&addr);
        }
    }
}

static void add_listener(struct http_server *s, struct evconnlistener *l)
{
    evconnlistener_set_error_cb(l, on_accept_error);
    s->listeners[s->listener_count++] = (struct http_listener){.listener = l};
    http_listeners_enable(s);
}

// ---- TCP

static int make_address(const char *addr, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return (int)sizeof(*v4);
    }
    if (inet_pton(AF_INET6, addr, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return (int)sizeof(*v6);
    }
    return 0;
}

static int bound_port(struct evconnlistener *l)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;
    socklen_t len = sizeof(addr);
    memset(&addr, 0, sizeof(addr));
    if (getsockname(evconnlistener_get_fd(l), &addr.any, &len) != 0)
        return -1;
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port);
}

int http_server_listen(struct http_server *s, const char *addr, int port, struct err *e)
{
    if (s->draining || s->listener_count == HTTP_MAX_LISTENERS)
        return err_set(e, "cannot listen on %s port %d: too many addresses", addr, port);
    struct sockaddr_storage sa;
    int len = make_address(addr, port, &sa);
    if (len == 0 || port < 0 || port > 65535)
        return err_set(e, "cannot listen on %s port %d: not a numeric address and a port", addr,
                       port);
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    if (s->limits.reuse_port)
        flags |= LEV_OPT_REUSEABLE_PORT;
    struct evconnlistener *l = evconnlistener_new_bind(s->base, on_accept, s, flags, LISTEN_BACKLOG,
                                                       (struct sockaddr *)&sa, len);
    if (!l)
        return err_set(e, "cannot listen on %s port %d: %s", addr, port, strerror(errno));
    add_listener(s, l);
    return bound_port(l);
}

// ---- Unix sockets

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

// 0: the path is free now.
static int clear_path(const struct sockaddr_un *at, struct err *e)
{
    const char *path = at->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_set(e, "cannot listen on %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, "cannot listen on %s: it exists and is no socket", path);
    int fd = unix_socket();
    int error = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (error == 0 || error == EAGAIN) // a full backlog is a living one
        return err_set(e, "cannot listen on %s: another process does", path);
    if (error != ECONNREFUSED)
        return err_set(e, "cannot listen on %s: %s", path, strerror(error));
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(e, "cannot remove the old socket %s: %s", path, strerror(errno));
    return 0;
}

static int bind_unix(const struct sockaddr_un *at, struct stat *st, struct err *e)
{
    int fd = unix_socket();
    // Nobody but us until the mode is what it is to be, whatever the umask.
    if (fd >= 0 && fchmod(fd, 0600) == 0 &&
        bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 &&
        chmod(at->sun_path, SOCKET_MODE) == 0 && lstat(at->sun_path, st) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    err_set(e, "cannot listen on %s: %s", at->sun_path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int http_server_listen_unix(struct http_server *s, const char *path, struct err *e)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (s->draining || s->listener_count == HTTP_MAX_LISTENERS)
        return err_set(e, "cannot listen on %s: too many addresses", path);
    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(e, "cannot listen on %s: a socket's path has at most %zu bytes", path,
                       sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, strlen(path));
    struct stat st;
    if (clear_path(&at, e) != 0)
        return -1;
    int fd = bind_unix(&at, &st, e);
    if (fd < 0)
        return -1;
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *l = evconnlistener_new(s->base, on_accept, s, flags, 0, fd);
    assert(l);
    add_listener(s, l);
    struct http_listener *mine = &s->listeners[s->listener_count - 1];
    mine->path = xstrdup(path);
    mine->device = st.st_dev;
    mine->inode = st.st_ino;
    return 0;
}

// ---- the end

// Only if it is still ours: somebody may have put another in its place.
static void remove_socket(const struct http_listener *l)
{
    struct stat st;
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->path);
}

void http_listeners_free(struct http_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        remove_socket(&s->listeners[i]);
        evconnlistener_free(s->listeners[i].listener);
        free(s->listeners[i].path);
    }
    s->listener_count = 0;
    evtimer_del(s->resume);
}
