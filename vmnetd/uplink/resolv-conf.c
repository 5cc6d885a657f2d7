/*
 * The name servers of the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/resolv-conf.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "proto/addr.h"
#include "proto/dns.h"

/* More than this of the file is not read. */
#define RESOLV_CONF_BYTES 16384
/* Characters of an address with scope and port. */
#define SERVER_STRLEN 128

/* A number from 1 to @max; 0: it is none. */
static uint32_t parse_number(const char *text, uint32_t max)
{
    guint64 value;

    return g_ascii_string_to_unsigned(text, 10, 1, max, &value, NULL) ?
           value : 0;
}

static uint32_t parse_scope(const char *text)
{
    uint32_t ifindex = if_nametoindex(text);

    return ifindex ? ifindex : parse_number(text, G_MAXINT32);
}

/* ADDRESS[%SCOPE][#PORT]; @text is cut up. */
static bool server_parse(char *text, ResolvServer *ret_server)
{
    IpEndpoint endpoint = { .port = DNS_PORT };
    ResolvServer server = { 0 };
    char *port = strchr(text, '#');
    char *scope;

    if (port) {
        *port++ = '\0';
        endpoint.port = parse_number(port, G_MAXUINT16);
    }
    scope = strchr(text, '%');
    if (scope) {
        *scope++ = '\0';
    }
    if (!ip_addr_parse(text, &endpoint.addr) || endpoint.port == 0) {
        return false;
    }
    server.len = ip_endpoint_to_sockaddr(&endpoint, &server.addr);
    if (scope) {
        struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&server.addr;

        if (endpoint.addr.family != AF_INET6) {
            return false;
        }
        sin6->sin6_scope_id = parse_scope(scope);
    }
    *ret_server = server;
    return true;
}

/* The first word behind "nameserver", or false. */
static bool line_parse(const char *line, size_t len, char *word)
{
    static const char key[] = "nameserver";
    const char *end = line + len;
    size_t word_len = 0;

    if (len <= strlen(key) || memcmp(line, key, strlen(key)) != 0) {
        return false;
    }
    line += strlen(key);
    if (*line != ' ' && *line != '\t') {
        return false;
    }
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    while (line < end && !strchr(" \t\r", *line) &&
           word_len < SERVER_STRLEN - 1) {
        word[word_len++] = *line++;
    }
    word[word_len] = '\0';
    return word_len > 0;
}

unsigned resolv_conf_parse(const char *text, size_t len,
                           ResolvServer ret_servers[RESOLV_SERVERS_MAX])
{
    const char *end = text + len;
    char word[SERVER_STRLEN];
    unsigned n = 0;

    while (text < end && n < RESOLV_SERVERS_MAX) {
        const char *eol = memchr(text, '\n', end - text);
        size_t line_len = (eol ? eol : end) - text;

        if (line_parse(text, line_len, word) &&
            server_parse(word, &ret_servers[n])) {
            n++;
        }
        text += line_len + 1;
    }
    return n;
}

void resolv_conf_init(ResolvConf *conf, const char *path)
{
    memset(conf, 0, sizeof(*conf));
    conf->path = g_strdup(path ? path : "/etc/resolv.conf");
}

void resolv_conf_clear(ResolvConf *conf)
{
    g_clear_pointer(&conf->path, g_free);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void set_default(ResolvConf *conf)
{
    const IpEndpoint local = { ip_addr_v4(INADDR_LOOPBACK), DNS_PORT };

    conf->servers[0].len = ip_endpoint_to_sockaddr(&local,
                                                   &conf->servers[0].addr);
    conf->n_servers = 1;
}

/* Does the process, or the host, lack something that it may have again? */
static bool is_passing(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM;
}

/* Returns: false if the file could not be opened just now. */
static bool read_servers(ResolvConf *conf)
{
    g_autofree char *text = g_malloc(RESOLV_CONF_BYTES);
    ssize_t len = -1;
    /* Not a pipe that somebody put there: never wait. */
    int fd = open(conf->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool was_opened = fd >= 0 || !is_passing(errno);

    if (!was_opened) {
        g_warning("resolver file '%s': %s; tried again with the next query",
                  conf->path, g_strerror(errno));
    }
    if (!was_opened && conf->n_servers) {
        return false;   /* those of last time are the best guess */
    }
    if (fd >= 0) {
        len = read(fd, text, RESOLV_CONF_BYTES);
        close(fd);
    }
    conf->n_servers = len > 0 ? resolv_conf_parse(text, len, conf->servers) :
                                0;
    if (conf->n_servers == 0) {
        set_default(conf);
    }
    return was_opened;
}

bool resolv_conf_refresh(ResolvConf *conf)
{
    struct stat st;

    if (stat(conf->path, &st) < 0) {
        memset(&st, 0, sizeof(st));
    }
    if (conf->was_read && is_same_file(&st, &conf->seen)) {
        return false;
    }
    conf->seen = st;
    conf->was_read = read_servers(conf);
    return true;
}
