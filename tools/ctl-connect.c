/*
 * vmnetctl connect: stdin and stdout joined to a guest's TCP port
 *
 * Theory of operation
 *
 * A forward on 127.0.0.1, at a port that the kernel chooses, lives as long as
 * our connection to vmnetd; we connect to it.  Loopback is every local user's,
 * the guest's port is not: our socket is bound before, and vmnetd lets in only
 * who comes from its port.
 *
 * Then bytes go both ways until both have ended: the end of stdin is passed on
 * (half close), and what the guest still sends is written.  A direction reads
 * only when what it read before has been written, so that a slow side slows its
 * other side and nothing is kept but one buffer.
 *
 * stdin and stdout may be shared with other processes and keep their flags:
 * they are polled, and no more is written at once than a ready pipe takes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl.h"
#include "forward-spec.h"

#define BUFFER_BYTES 65536

/* One direction: bytes read from @from and not yet written to @to. */
typedef struct Pipe {
    int from;
    int to;
    size_t begin;
    size_t end;
    bool eof;       /* nothing more will be read */
    bool ended;     /* and that has been passed on */
    char buffer[BUFFER_BYTES];
} Pipe;

static bool is_pending(const Pipe *pipe)
{
    return pipe->begin < pipe->end;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* Returns: a socket at a port of 127.0.0.1 that nobody else can have; or -1. */
static int bind_loopback(uint16_t *ret_port, GError **error)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        ctl_fail(error, "cannot have a port of 127.0.0.1: %s",
                 g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static bool connect_loopback(int fd, uint16_t port, GError **error)
{
    struct sockaddr_in addr = loopback(port);
    int one = 1;

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return ctl_fail(error, "cannot connect to 127.0.0.1:%u: %s", port,
                        g_strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return true;
}

/* The events that a direction waits for, on its two descriptors. */
static void pipe_wants(const Pipe *pipe, struct pollfd *from,
                       struct pollfd *to)
{
    if (is_pending(pipe)) {
        to->events |= POLLOUT;
    } else if (!pipe->eof) {
        from->events |= POLLIN;
    }
}

/* Returns: 0, or the errno of what went wrong. */
static int pipe_read(Pipe *pipe)
{
    ssize_t n = read(pipe->from, pipe->buffer, sizeof(pipe->buffer));

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    }
    pipe->begin = 0;
    pipe->end = n;
    pipe->eof = n == 0;
    return 0;
}

static int pipe_write(Pipe *pipe, bool is_socket)
{
    size_t len = pipe->end - pipe->begin;
    const char *data = pipe->buffer + pipe->begin;
    ssize_t n = is_socket ?
        send(pipe->to, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) :
        write(pipe->to, data, MIN(len, PIPE_BUF));

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    }
    pipe->begin += n;
    return 0;
}

/* Pass the end on, once all before it has been. */
static void pipe_end(Pipe *pipe, bool is_socket)
{
    if (!pipe->eof || pipe->ended || is_pending(pipe)) {
        return;
    }
    pipe->ended = true;
    if (is_socket) {
        shutdown(pipe->to, SHUT_WR);
    } else {
        close(pipe->to);
    }
}

static int pipe_step(Pipe *pipe, const struct pollfd *from,
                     const struct pollfd *to, bool is_socket)
{
    int errnum = 0;

    /* The socket is polled for both directions: look at one's own event. */
    if (is_pending(pipe)) {
        if (to->revents & (POLLOUT | POLLERR | POLLHUP)) {
            errnum = pipe_write(pipe, is_socket);
        }
    } else if (!pipe->eof && from->revents & (POLLIN | POLLERR | POLLHUP)) {
        errnum = pipe_read(pipe);
    }
    pipe_end(pipe, is_socket);
    return errnum;
}

/*
 * A person at a terminal does not know that they have to end their input; a
 * program does it, or may still want to send.
 */
static bool is_over(const Pipe *in, const Pipe *out)
{
    return out->ended && (in->ended || isatty(in->from));
}

static bool join(int guest, GError **error)
{
    Pipe *in = g_new0(Pipe, 1);     /* stdin to guest */
    Pipe *out = g_new0(Pipe, 1);    /* guest to stdout */
    int errnum = 0;

    in->from = STDIN_FILENO;
    in->to = guest;
    out->from = guest;
    out->to = STDOUT_FILENO;
    while (!errnum && !is_over(in, out)) {
        struct pollfd fds[] = {
            { .fd = STDIN_FILENO },
            { .fd = STDOUT_FILENO },
            { .fd = guest },
        };
        size_t i;

        pipe_wants(in, &fds[0], &fds[2]);
        pipe_wants(out, &fds[2], &fds[1]);
        for (i = 0; i < G_N_ELEMENTS(fds); i++) {
            fds[i].fd = fds[i].events ? fds[i].fd : -1;
        }
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
            errnum = errno == EINTR ? 0 : errno;
            continue;
        }
        errnum = pipe_step(in, &fds[0], &fds[2], true);
        if (!errnum) {
            errnum = pipe_step(out, &fds[2], &fds[1], false);
        }
    }
    g_free(in);
    g_free(out);
    return !errnum || ctl_fail(error, "connection to the guest: %s",
                               g_strerror(errnum));
}

/* Returns: whether @guest, which is bound to @own_port, leads to @port there. */
static bool reach(Ctl *ctl, int guest, uint16_t own_port, const char *name,
                  int64_t port, GError **error)
{
    g_autoptr(JsonValue) args = json_dict();
    g_autoptr(JsonValue) info = NULL;

    if (!ctl_set_guest(ctl, args, name, error)) {
        return false;
    }
    json_dict_set_string(args, "protocol", "tcp");
    json_dict_set_string(args, "host-address", "127.0.0.1");
    json_dict_set_int(args, "host-port", 0);
    json_dict_set_int(args, "guest-port", port);
    json_dict_set_string(args, "lifetime", "client");
    json_dict_set_int(args, "client-port", own_port);
    info = vmnet_client_execute(ctl->client, "forward-add",
                                g_steal_pointer(&args), error);
    return info && connect_loopback(guest, ctl_int(info, "host-port"), error);
}

bool ctl_connect(Ctl *ctl, int argc, char **argv, GError **error)
{
    uint16_t own_port;
    int64_t port;
    bool done;
    int guest;

    if (!forward_spec_parse_port(argv[1], 1, &port, error)) {
        return false;
    }
    guest = bind_loopback(&own_port, error);
    if (guest < 0) {
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    done = reach(ctl, guest, own_port, argv[0], port, error) &&
           join(guest, error);
    close(guest);
    return done;
}
