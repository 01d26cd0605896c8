// SPDX-License-Identifier: Apache-2.0
// How many connections each address has. Pure: no socket, no clock. An IPv6 address counts with its
// /64, which is what one customer is given; an IPv4 address in IPv6's form counts as the IPv4 one.
//
// An address is known while it has a connection, so there are never more of them than connections.
#ifndef STREAMLENS_HTTP_PEERS_H
#define STREAMLENS_HTTP_PEERS_H

#include "common/core/base.h"

#include <sys/socket.h>

struct http_peers;
struct http_peer; // an address and its connections

// The seed keeps strangers from choosing addresses that collide.
struct http_peers *http_peers_new(size_t max_per_address, size_t connections,
                                  const unsigned char seed[16]);
void http_peers_free(struct http_peers *p); // all have left
// Counts one more, to be given to http_peers_leave() at its end; NULL where the address has as many
// as it may. The address is AF_INET or AF_INET6.
struct http_peer *http_peers_enter(struct http_peers *p, const struct sockaddr *address) MUST_CHECK;
void http_peers_leave(struct http_peers *p, struct http_peer *peer);
size_t http_peers_count(const struct http_peers *p); // addresses known

#endif
