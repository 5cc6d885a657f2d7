/*
 * vmnetctl connect: stdin and stdout joined to a guest's TCP port
 *
 * Theory of operation
 *
 * A forward on 127.0.0.1, at a port that the kernel chooses, lives as long as
 * our connection to vmnetd; we connect to it.  Then bytes go both ways until
 * both have ended: the end of stdin is passed on (half close), and what the
 * guest still sends is written.  A direction reads only when what it read
 * before has been written, so that a slow side slows its other side and
 * nothing is kept but one buffer.
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

static int connect_loopback(int64_t port, GError **error)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        ctl_fail(error, "cannot connect to 127.0.0.1:%d: %s", (int)port,
                 g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
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

bool ctl_connect(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(JsonValue) args = json_dict();
    g_autoptr(JsonValue) info = NULL;
    int64_t port;
    bool joined;
    int guest;

    if (!forward_spec_parse_port(argv[1], 1, &port, error) ||
        !ctl_set_guest(ctl, args, argv[0], error)) {
        return false;
    }
    json_dict_set_string(args, "protocol", "tcp");
    json_dict_set_string(args, "host-address", "127.0.0.1");
    json_dict_set_int(args, "host-port", 0);
    json_dict_set_int(args, "guest-port", port);
    json_dict_set_string(args, "lifetime", "client");
    info = vmnet_client_execute(ctl->client, "forward-add",
                                g_steal_pointer(&args), error);
    if (!info) {
        return false;
    }
    guest = connect_loopback(ctl_int(info, "host-port"), error);
    if (guest < 0) {
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    joined = join(guest, error);
    close(guest);
    return joined;
}
