// SPDX-License-Identifier: Apache-2.0
// Sends requests (make_requests.c) at a steady rate whatever the answers do, and tells how long
// answers took, from when their requests were due: a server that stalls is not asked less, and what
// waited for it counts.
//
//   paced_http PORT FILE RATE CONNECTIONS SECONDS
//
// Prints: answers of 2xx, what was due and has none 10 s after the end, and of the former the 50th
// and 99th percentile in us.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/core/buf.h"

#define EVENTS 256
#define ANSWER_MAX 4096
#define DRAIN_NS INT64_C(10000000000) // for the last answers

struct request {
    size_t at, n; // in the file
};

struct connection {
    int fd;
    struct str rest; // of a request that the socket has not taken yet
    int64_t due_ns;
    char answer[ANSWER_MAX];
    size_t answer_n;
};

struct load {
    struct buf file;
    struct request *requests;
    size_t request_count;
    struct connection *connections;
    size_t *idle, idle_count, connection_count; // indices
    int64_t began_ns, end_ns;
    double rate;
    size_t sent, answered, refused, latency_room;
    int64_t *latencies_us; // of what was answered well
    int epoll;
};

static void die(const char *what)
{
    fprintf(stderr, "paced_http: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_requests(struct load *l, const char *path)
{
    char bytes[1 << 16];
    size_t n, at = 0, room = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
        buf_add(&l->file, bytes, n);
    fclose(f);
    buf_addf(&l->file, "%c", '\0'); // where strtoul() ends at the latest
    while (at + 1 < l->file.n) {
        char *end;
        size_t length = strtoul(l->file.p + at, &end, 10);
        at = (size_t)(end + 1 - l->file.p);
        if (*end != '\n' || at + length >= l->file.n)
            die("not a file of requests");
        if (l->request_count == room)
            l->requests =
                xrealloc(l->requests, (room = room ? 2 * room : 1024) * sizeof(*l->requests));
        l->requests[l->request_count++] = (struct request){at, length};
        at += length;
    }
    if (l->request_count == 0)
        die("no request");
}

static void open_connections(struct load *l, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    l->epoll = epoll_create1(0);
    l->connections = xcalloc(l->connection_count, sizeof(*l->connections));
    l->idle = xcalloc(l->connection_count, sizeof(*l->idle));
    for (size_t i = 0; i < l->connection_count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd,
                  &(struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = i});
        l->connections[i].fd = fd;
        l->idle[l->idle_count++] = i;
    }
}

static void send_rest(struct connection *c)
{
    while (c->rest.n > 0) {
        ssize_t n = send(c->fd, c->rest.p, c->rest.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("send");
        c->rest.p += n;
        c->rest.n -= (size_t)n;
    }
}

static int64_t due_ns(const struct load *l)
{
    return l->began_ns + (int64_t)((double)l->sent * 1e9 / l->rate);
}

// Sends what is due as long as a connection is idle.
static void send_due(struct load *l)
{
    while (l->idle_count > 0 && due_ns(l) <= now_ns() && due_ns(l) < l->end_ns) {
        struct connection *c = &l->connections[l->idle[--l->idle_count]];
        const struct request *r = &l->requests[l->sent % l->request_count];
        c->due_ns = due_ns(l);
        c->rest = (struct str){l->file.p + r->at, r->n};
        l->sent++;
        send_rest(c);
    }
}

// Whether all of the answer is there; one at a time is under way.
static bool is_whole(const struct connection *c)
{
    const char *end = memmem(c->answer, c->answer_n, "\r\n\r\n", 4);
    if (!end)
        return false;
    const char *length = memmem(c->answer, (size_t)(end - c->answer), "Content-Length: ", 16);
    return c->answer_n >=
           (size_t)(end + 4 - c->answer) + (length ? strtoul(length + 16, NULL, 10) : 0);
}

static void note_answer(struct load *l, size_t i)
{
    struct connection *c = &l->connections[i];
    if (c->answer_n < 10 || c->answer[9] != '2') {
        l->refused++;
    } else {
        if (l->answered == l->latency_room)
            l->latencies_us = xrealloc(
                l->latencies_us, (l->latency_room = l->latency_room ? 2 * l->latency_room : 1024) *
                                     sizeof(*l->latencies_us));
        l->latencies_us[l->answered++] = (now_ns() - c->due_ns) / 1000;
    }
    c->answer_n = 0;
    l->idle[l->idle_count++] = i;
}

static void read_answer(struct load *l, size_t i)
{
    struct connection *c = &l->connections[i];
    for (;;) {
        ssize_t n =
            recv(c->fd, c->answer + c->answer_n, ANSWER_MAX - 1 - c->answer_n, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("the server has closed, or its answer is too long");
        c->answer_n += (size_t)n;
        c->answer[c->answer_n] = '\0';
        if (is_whole(c))
            note_answer(l, i);
    }
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS];
    while (now_ns() < l->end_ns + DRAIN_NS &&
           (due_ns(l) < l->end_ns || l->idle_count < l->connection_count)) {
        send_due(l);
        int64_t wait_ns =
            l->idle_count > 0 && due_ns(l) < l->end_ns ? due_ns(l) - now_ns() : 100000000;
        wait_ns = wait_ns < 0 ? 0 : wait_ns;
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        int n = epoll_pwait2(l->epoll, events, EVENTS, &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].events & EPOLLOUT)
                send_rest(&l->connections[events[i].data.u64]);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_answer(l, events[i].data.u64);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    if (argc != 6 || (l.rate = strtod(argv[3], NULL)) <= 0 ||
        (l.connection_count = strtoul(argv[4], NULL, 10)) == 0) {
        fprintf(stderr, "usage: paced_http PORT FILE RATE CONNECTIONS SECONDS\n");
        return 2;
    }
    read_requests(&l, argv[2]);
    open_connections(&l, (uint16_t)strtoul(argv[1], NULL, 10));
    l.began_ns = now_ns();
    l.end_ns = l.began_ns + (int64_t)(strtod(argv[5], NULL) * 1e9);
    run(&l);
    size_t n = l.answered, due = (size_t)(l.rate * strtod(argv[5], NULL));
    due = due < l.sent ? l.sent : due;
    if (n > 0)
        qsort(l.latencies_us, n, sizeof(*l.latencies_us), by_value);
    printf("%zu %zu %lld %lld\n", n, due - n, n ? (long long)l.latencies_us[n / 2] : -1,
           n ? (long long)l.latencies_us[n * 99 / 100] : -1);
    for (size_t i = 0; i < l.connection_count; i++)
        close(l.connections[i].fd);
    free(l.connections);
    free(l.idle);
    free(l.requests);
    free(l.latencies_us);
    buf_free(&l.file);
    return 0;
}
