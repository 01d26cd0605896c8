// SPDX-License-Identifier: Apache-2.0
// A proxy of a few connections, one thread: enough of PostgreSQL's protocol to see a COMMIT go by.
#include "tests/integration/store_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 16

struct pair {
    int client, server; // -1 = closed
    bool cut_at_answer;
};

struct proxy {
    int listener, wake[2], target_port;
    char dsn[768];
    _Atomic enum proxy_mode mode;
    pthread_t thread;
    struct pair pairs[PAIRS];
    int held_socket; // the server's side with a COMMIT not sent, -1 = none
    char held[64];
    size_t held_n;
};

static const char commit[] = "COMMIT"; // in a Query message: 'Q', length, text, NUL

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int connect_local(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        close_fd(&fd);
    return fd;
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void take_client(struct proxy *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < PAIRS; i++)
        if (p->pairs[i].client < 0 && p->pairs[i].server < 0) {
            p->pairs[i] = (struct pair){fd, connect_local(p->target_port), false};
            return;
        }
    close_fd(&fd);
}

static void from_client(struct proxy *p, struct pair *c)
{
    char bytes[65536];
    ssize_t n = recv(c->client, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        close_fd(&c->client);
        close_fd(&c->server);
        return;
    }
    enum proxy_mode mode = p->mode;
    bool is_commit = mode != PROXY_PASS && memmem(bytes, (size_t)n, commit, sizeof(commit));
    if (is_commit)
        p->mode = PROXY_PASS; // once
    if (is_commit && mode == PROXY_CUT_BEFORE_COMMIT) {
        close_fd(&c->client);
        close_fd(&c->server);
    } else if (is_commit && mode == PROXY_HOLD_COMMIT) {
        p->held_n = (size_t)n < sizeof(p->held) ? (size_t)n : sizeof(p->held);
        memcpy(p->held, bytes, p->held_n);
        p->held_socket = c->server;
        c->server = -1;
        close_fd(&c->client);
    } else {
        c->cut_at_answer |= is_commit;
        write_all(c->server, bytes, (size_t)n);
    }
}

static void from_server(struct pair *c)
{
    char bytes[65536];
    ssize_t n = recv(c->server, bytes, sizeof(bytes), 0);
    if (n <= 0 || c->cut_at_answer) {
        close_fd(&c->client);
        close_fd(&c->server);
        return;
    }
    write_all(c->client, bytes, (size_t)n);
}

static void *serve(void *arg)
{
    struct proxy *p = arg;
    for (;;) {
        struct pollfd fds[2 + 2 * PAIRS] = {{.fd = p->wake[0], .events = POLLIN},
                                            {.fd = p->listener, .events = POLLIN}};
        for (size_t i = 0; i < PAIRS; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = p->pairs[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = p->pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 || fds[0].revents)
            return NULL;
        for (size_t i = 0; i < PAIRS; i++) {
            if (fds[2 + 2 * i].revents)
                from_client(p, &p->pairs[i]);
            // The client's end may just have closed both.
            if (fds[3 + 2 * i].revents && p->pairs[i].server >= 0)
                from_server(&p->pairs[i]);
        }
        if (fds[1].revents)
            take_client(p);
    }
}

struct proxy *proxy_start(void)
{
    struct proxy *p = xcalloc(1, sizeof(*p));
    for (size_t i = 0; i < PAIRS; i++)
        p->pairs[i].client = p->pairs[i].server = -1;
    p->held_socket = -1;
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof(a);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(listen(p->listener, 8), 0);
    getsockname(p->listener, (struct sockaddr *)&a, &n);
    PGconn *conn = PQconnectdb(fixture_dsn());
    p->target_port = (int)strtol(PQport(conn), NULL, 10);
    snprintf(p->dsn, sizeof(p->dsn),
             "host=127.0.0.1 port=%d user=%s password=%s dbname=%s sslmode=disable "
             "gssencmode=disable",
             ntohs(a.sin_port), PQuser(conn), PQpass(conn), PQdb(conn));
    PQfinish(conn);
    ck_assert_int_eq(pipe(p->wake), 0);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, serve, p), 0);
    return p;
}

void proxy_stop(struct proxy *p)
{
    ck_assert_int_eq(write(p->wake[1], "x", 1), 1);
    pthread_join(p->thread, NULL);
    for (size_t i = 0; i < PAIRS; i++) {
        close_fd(&p->pairs[i].client);
        close_fd(&p->pairs[i].server);
    }
    close_fd(&p->held_socket);
    close_fd(&p->listener);
    close_fd(&p->wake[0]);
    close_fd(&p->wake[1]);
    free(p);
}

const char *proxy_dsn(const struct proxy *p)
{
    return p->dsn;
}

void proxy_set(struct proxy *p, enum proxy_mode mode)
{
    p->mode = mode;
}

bool proxy_release(struct proxy *p)
{
    ck_assert_int_ge(p->held_socket, 0);
    write_all(p->held_socket, p->held, p->held_n);
    // The answer to COMMIT is a message 'C'; a backend that was ended has said 'E', or says
    // nothing.
    char answer[64];
    return recv(p->held_socket, answer, sizeof(answer), 0) > 0 && answer[0] == 'C';
}
