/*
 * A client's bytes: messages out and in, over a socket that never waits
 *
 * A descriptor goes with the first byte of its message.  What the socket does
 * not take stays queued, and the socket is watched for room as long as
 * something does.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/client-int.h"

/* What a daemon may answer: a thousand netdevs are less than a megabyte. */
static const JsonLimits limits = {
    .max_bytes = 64 * 1024 * 1024,
    .max_tokens = 2 * 1024 * 1024,
    .max_depth = 64,
};

#define RECEIVE_BYTES 16384
/* A daemon that talks without end is not to hold the caller's main loop. */
#define RECEIVES_MAX 16

typedef struct ClientOutput {
    char *line;
    size_t len, done;
    int fd;
    bool is_greeting;
} ClientOutput;

static void output_free(ClientOutput *out)
{
    if (out->fd >= 0) {
        close(out->fd);
    }
    g_free(out->line);
    g_free(out);
}

static void stream_value(void *opaque, JsonValue *value, const GError *error)
{
    VmnetClient *client = opaque;

    if (value) {
        g_queue_push_tail(&client->messages, value);
    } else if (!client->stream_error) {
        client->stream_error = g_error_copy(error);
    }
}

void client_io_attach(VmnetClient *client, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    int flags = fcntl(fd, F_GETFL);

    g_assert(client->fd < 0);
    client->fd = fd;
    client->eof = false;
    client->events = EPOLLIN;
    client->stream = json_stream_new(&limits, stream_value, client);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        client->eof = true;
    }
}

void client_io_detach(VmnetClient *client)
{
    ClientOutput *out;

    if (client->fd >= 0) {
        /* A process that was forked may keep it open, and it in the set. */
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
        close(client->fd);
        client->fd = -1;
    }
    g_clear_pointer(&client->stream, json_stream_free);
    g_queue_clear_full(&client->messages, (GDestroyNotify)json_unref);
    g_clear_error(&client->stream_error);
    while ((out = g_queue_peek_head(&client->output)) && out->is_greeting) {
        output_free(g_queue_pop_head(&client->output));
    }
}

void client_io_clear(VmnetClient *client)
{
    g_queue_clear_full(&client->output, (GDestroyNotify)output_free);
}

bool client_io_push(VmnetClient *client, const JsonValue *message, int fd,
                    bool greeting, GError **error)
{
    g_autofree char *json = json_to_text(message);
    ClientOutput *out;
    int copy = -1;

    if (fd >= 0) {
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0) {
            g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                        "descriptor %d cannot be sent: %s", fd,
                        g_strerror(errno));
            return false;
        }
    }
    out = g_new0(ClientOutput, 1);
    out->line = g_strconcat(json, "\n", NULL);
    out->len = strlen(out->line);
    out->fd = copy;
    out->is_greeting = greeting;
    if (greeting) {
        g_queue_push_head(&client->output, out);
    } else {
        g_queue_push_tail(&client->output, out);
    }
    return true;
}

static ssize_t send_some(int socket_fd, const ClientOutput *out)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = out->line + out->done,
                         .iov_len = out->len - out->done };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (out->fd >= 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &out->fd, sizeof(int));
    }
    do {
        n = sendmsg(socket_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n;
}

static ClientOutput *next_output(VmnetClient *client)
{
    ClientOutput *out = g_queue_peek_head(&client->output);

    return out && client->fd >= 0 &&
           (out->is_greeting || client->state == VMNET_CLIENT_CONNECTED) ?
           out : NULL;
}

/* That nobody reads any more shows when we read, so an error is no news. */
void client_io_send(VmnetClient *client)
{
    ClientOutput *out;

    while ((out = next_output(client))) {
        ssize_t n = send_some(client->fd, out);

        if (n < 0) {
            break;
        }
        if (out->fd >= 0) {
            close(out->fd);
            out->fd = -1;
        }
        out->done += n;
        if (out->done == out->len) {
            output_free(g_queue_pop_head(&client->output));
        }
    }
    client_io_update(client);
}

void client_io_update(VmnetClient *client)
{
    uint32_t events = EPOLLIN;
    struct epoll_event event;

    if (client->fd < 0) {
        return;
    }
    if (next_output(client) && !client->eof) {
        events |= EPOLLOUT;
    }
    if (events != client->events) {
        client->events = events;
        event = (struct epoll_event){ .events = events };
        epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
    }
}

void client_io_receive(VmnetClient *client)
{
    char buf[RECEIVE_BYTES];
    unsigned i;

    for (i = 0; i < RECEIVES_MAX && client->fd >= 0 && !client->eof; i++) {
        ssize_t n = recv(client->fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n > 0) {
            json_stream_feed(client->stream, buf, n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            client->eof = true;
        } else if (errno == EAGAIN) {
            break;
        }
    }
}

GError *client_io_error(const VmnetClient *client)
{
    if (client->stream_error) {
        return g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                           "what listens on '%s' does not speak QMP: %s",
                           client->path, client->stream_error->message);
    }
    if (client->eof) {
        return g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                           "vmnetd at '%s' closed the connection",
                           client->path);
    }
    return NULL;
}
