// SPDX-License-Identifier: Apache-2.0
// CPU of the server for one event to one client, many clients that each get every event; the
// clients are another process. usage: bench_http_stream [CLIENTS [BYTES [ROUNDS]]]
#include "common/core/buf.h"
#include "common/io/http_server.h"
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS_MAX 10000

static struct {
    struct event_base *base;
    struct http_stream *streams[CLIENTS_MAX];
    int clients, begun, waiting, rounds;
    struct buf event;
    struct rusage from;
} bench;

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void report(void)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    double user_s = seconds(now.ru_utime) - seconds(bench.from.ru_utime);
    double system_s = seconds(now.ru_stime) - seconds(bench.from.ru_stime);
    double events = (double)bench.clients * bench.rounds;
    printf("%d clients, %zu bytes, %d events: %.2f us CPU an event and client "
           "(%.2f in the server, %.2f in the kernel)\n",
           bench.clients, bench.event.n, bench.rounds, (user_s + system_s) * 1e6 / events,
           user_s * 1e6 / events, system_s * 1e6 / events);
    bench_tell((user_s + system_s) * 1e6 / events, "us", (size_t)events, "http_stream.event");
    bench_tell(system_s * 1e6 / events, "us", (size_t)events, "http_stream.kernel");
}

static void send_round(void)
{
    bench.waiting = bench.clients;
    for (int i = 0; i < bench.clients; i++) {
        if (http_stream_send(bench.streams[i], bench.event.p, bench.event.n) != 0)
            abort();
    }
}

static void on_drained(void *arg)
{
    (void)arg;
    static int done;
    if (--bench.waiting > 0)
        return;
    if (++done == bench.rounds)
        event_base_loopbreak(bench.base);
    else
        send_round();
}

static void handle(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct http_stream *s = http_reply_stream(x, 200, "text/event-stream");
    if (!s)
        abort();
    http_stream_on_drained(s, on_drained, NULL);
    bench.streams[bench.begun++] = s;
    if (bench.begun == bench.clients) {
        getrusage(RUSAGE_SELF, &bench.from);
        send_round();
    }
}

static void be_clients(int port, int n)
{
    static const char request[] = "GET /s HTTP/1.1\r\nHost: a\r\n\r\n";
    static char bytes[64 << 10];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int epoll = epoll_create1(0), open = 0;
    for (; open < n; open++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
            send(fd, request, sizeof(request) - 1, 0) < 0)
            _exit(1);
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
    }
    while (open > 0) {
        struct epoll_event ready[256];
        int got = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < got; i++) {
            if (recv(ready[i].data.fd, bytes, sizeof(bytes), 0) <= 0) {
                close(ready[i].data.fd);
                open--;
            }
        }
    }
    _exit(0);
}

static int number(int argc, char **argv, int i, int otherwise)
{
    return argc > i ? (int)strtol(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static const struct http_route routes[] = {{"GET", "/s", handle, 0}};
    const struct http_limits limits = {0};
    const struct rlimit files = {CLIENTS_MAX + 100, CLIENTS_MAX + 100};
    struct err e;
    bench.clients = number(argc, argv, 1, 1000);
    size_t bytes = (size_t)number(argc, argv, 2, 1024);
    bench.rounds = number(argc, argv, 3, 300);
    if (bench.clients < 1 || bench.clients > CLIENTS_MAX || bench.rounds < 1)
        return 2;
    (void)setrlimit(RLIMIT_NOFILE, &files); // what is allowed already may be enough
    buf_reserve(&bench.event, bytes);
    memset(bench.event.p, 'x', bytes);
    bench.event.n = bytes;

    signal(SIGPIPE, SIG_IGN);
    event_set_mem_functions(xmalloc, xrealloc, free);
    bench.base = event_base_new();
    struct http_server *s = http_server_new(bench.base, &limits, routes, 1, NULL, NULL);
    int port = http_server_listen(s, "127.0.0.1", 0, &e);
    if (port < 0) {
        fprintf(stderr, "%s\n", e.detail);
        return 1;
    }
    pid_t child = fork();
    if (child == 0)
        be_clients(port, bench.clients);
    event_base_dispatch(bench.base);
    report();
    http_server_free(s);
    for (int i = 0; i < bench.begun; i++)
        http_stream_end(bench.streams[i]);
    event_base_free(bench.base); // closes the sockets
    waitpid(child, NULL, 0);
    buf_free(&bench.event);
    return 0;
}
