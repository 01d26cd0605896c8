// SPDX-License-Identifier: Apache-2.0
// The least that a request over HTTP can cost on this machine: read it, find its end by
// Content-Length, answer 202. Nothing is checked, limited or kept. What a real service costs beyond
// this is its own doing; what this costs is the kernel's. usage: floor_http PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define BYTES (1 << 20)
#define CONNECTIONS 8192

static const char answer[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 21\r\n"
                             "Content-Type: application/json\r\n\r\n{\"status\":\"accepted\"}";

static size_t owed[CONNECTIONS]; // bytes of a request that are still to come, by descriptor

// How many bytes the request at p has in all; 0 where its header is not there yet.
static size_t request_length(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *length = memmem(p, (size_t)(end - p), "Content-Length: ", 16);
    return (size_t)(end + 4 - p) + (length ? (size_t)strtoul(length + 16, NULL, 10) : 0);
}

static void serve(int fd)
{
    static char bytes[BYTES];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close(fd);
        return;
    }
    if (owed[fd] == 0)
        owed[fd] = request_length(bytes, (size_t)n);
    if (owed[fd] > (size_t)n) {
        owed[fd] -= (size_t)n;
        return;
    }
    owed[fd] = 0;
    if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
        close(fd);
}

static void take(int epoll, int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= CONNECTIONS) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    owed[fd] = 0;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS];
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port =
                                   htons((uint16_t)strtoul(argc > 1 ? argv[1] : "0", NULL, 10)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(listener, 4096) != 0) {
        perror("floor_http");
        return 1;
    }
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take(epoll, listener);
            else
                serve(events[i].data.fd);
        }
    }
}
