/*
 * The name servers of the host: resolv.conf(5), followed as it changes
 *
 * Theory of operation: whoever needs the servers asks, and the file's identity
 * (device, inode, size, times) is compared then: one stat() per query to the
 * outside, which is nothing beside the query.  It follows symbolic links,
 * replaced files and new mounts, wakes nobody while nobody asks, and takes no
 * inotify instance, of which a user has 128 for everything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_RESOLV_CONF_H
#define VMNETD_UPLINK_RESOLV_CONF_H

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/stat.h>

/** As many as the C library takes (MAXNS). */
#define RESOLV_SERVERS_MAX 3

typedef struct ResolvServer {
    struct sockaddr_storage addr;
    socklen_t len;
} ResolvServer;

typedef struct ResolvConf {
    char *path;
    struct stat seen;           /* st_ino 0: there was none */
    bool was_read;
    ResolvServer servers[RESOLV_SERVERS_MAX];
    unsigned n_servers;
} ResolvConf;

void resolv_conf_init(ResolvConf *conf, const char *path);
void resolv_conf_clear(ResolvConf *conf);

/**
 * resolv_conf_refresh: read the file if it is another one than last time.
 *
 * Afterwards there is at least one server: that of this host (127.0.0.1) where
 * the file names none or cannot be read, as in the C library.
 *
 * Returns: true if the servers may have changed.
 */
bool resolv_conf_refresh(ResolvConf *conf);

/**
 * resolv_conf_parse: "nameserver" lines of @text, which is @len bytes long.
 * An address may have a scope ("fe80::1%eth0") and "#PORT" behind it; lines
 * that are something else are skipped.
 *
 * Returns: the number of servers in @ret_servers.
 */
unsigned resolv_conf_parse(const char *text, size_t len,
                           ResolvServer ret_servers[RESOLV_SERVERS_MAX]);

#endif
