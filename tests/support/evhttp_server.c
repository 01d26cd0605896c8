// SPDX-License-Identifier: Apache-2.0
// What a service on libevent's own evhttp would execute: the bait that shows whether the cases of
// framing.py have teeth. Prints "listening PORT"; POST /v1/llm/request is executed and counted,
// GET /executed tells the count. Limits are those that a careful user would set; who waits for more
// bytes is let go after a second.
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static unsigned executed;

static void answer(struct evhttp_request *req, int status, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(req, status, NULL, body);
    evbuffer_free(body);
}

static void on_event(struct evhttp_request *req, void *arg)
{
    (void)arg;
    if (evhttp_request_get_command(req) != EVHTTP_REQ_POST) {
        answer(req, 405, "");
        return;
    }
    executed++;
    answer(req, 202, "{\"status\":\"accepted\"}");
}

static void on_executed(struct evhttp_request *req, void *arg)
{
    char text[16];
    (void)arg;
    snprintf(text, sizeof(text), "%u", executed);
    answer(req, 200, text);
}

static void on_stop(evutil_socket_t fd, short what, void *base)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(base);
}

int main(void)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    struct event *stop = evsignal_new(base, SIGTERM, on_stop, base);
    event_add(stop, NULL);
    evhttp_set_max_headers_size(http, 16 << 10);
    evhttp_set_max_body_size(http, 256 << 10);
    evhttp_set_timeout(http, 1);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD);
    evhttp_set_cb(http, "/v1/llm/request", on_event, NULL);
    evhttp_set_cb(http, "/executed", on_executed, NULL);

    struct sockaddr_storage ss;
    ev_socklen_t ss_n = sizeof(ss);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
    if (!bound ||
        getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&ss, &ss_n) != 0)
        return 1;
    printf("listening %d\n", ntohs(((struct sockaddr_in *)&ss)->sin_port));
    fflush(stdout);
    event_base_dispatch(base);
    evhttp_free(http);
    event_free(stop);
    event_base_free(base);
    return 0;
}
