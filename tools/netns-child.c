/*
 * vmnet-run --netns: inside, up to the execution of COMMAND
 *
 * A user namespace in which we are root, a network namespace, a mount namespace,
 * and one for the name if there is one.  Root inside is the user outside,
 * nobody else is mapped.  Where root may not make user namespaces he needs none.
 *
 * The new resolv.conf is a file of a tmpfs that nothing else refers to: it is
 * bound over the old one's place, and the tmpfs taken away again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"

/* A setting that forbids user namespaces, and what allows them. */
typedef struct Obstacle {
    const char *path, *forbids, *remedy;
} Obstacle;

static const Obstacle obstacles[] = {
    { "/proc/sys/user/max_user_namespaces", "0",
      "sysctl user.max_user_namespaces=10000" },
    { "/proc/sys/kernel/unprivileged_userns_clone", "0",
      "sysctl kernel.unprivileged_userns_clone=1" },
    { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
      "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile of "
      "AppArmor for vmnet-run" },
};

/* Say that @what cannot be done, and what the administrator could do. */
static void complain_forbidden(const char *what, int errnum)
{
    const char *remedy = "a container or a sandbox may forbid it: allow "
                         "unshare(2) there, or run as root";
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(obstacles); i++) {
        g_autofree char *value = NULL;

        if (g_file_get_contents(obstacles[i].path, &value, NULL, NULL) &&
            g_str_equal(g_strchomp(value), obstacles[i].forbids)) {
            remedy = obstacles[i].remedy;
        }
    }
    run_complain("cannot make a %s: %s; %s", what, g_strerror(errnum), remedy);
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (!ok) {
        run_complain("cannot write '%s': %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool map_ids(uid_t uid, gid_t gid)
{
    g_autofree char *uid_map = g_strdup_printf("0 %u 1", uid);
    g_autofree char *gid_map = g_strdup_printf("0 %u 1", gid);

    return write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", uid_map) &&
           write_file("/proc/self/gid_map", gid_map);
}

static bool enter_namespaces(int wanted)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (unshare(CLONE_NEWUSER | wanted) == 0) {
        return map_ids(uid, gid);
    }
    if (uid == 0 && unshare(wanted) == 0) {
        return true;
    }
    complain_forbidden("user namespace", errno);
    return false;
}

static bool take_name(const char *name)
{
    if (name && sethostname(name, strlen(name)) < 0) {
        run_complain("cannot set the host name: %s", g_strerror(errno));
        return false;
    }
    return true;
}

static int open_tap(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        run_complain("cannot open '/dev/net/tun': %s; %s", g_strerror(errno),
                     errno == EACCES ? "it has to be writable for everybody, "
                     "which gives no rights outside of namespaces "
                     "(chmod 0666)" : "the kernel's module tun is needed");
        return -1;
    }
    g_strlcpy(ifr.ifr_name, NETNS_INTERFACE, sizeof(ifr.ifr_name));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        complain_forbidden("tap", errno);
        close(fd);
        return -1;
    }
    return fd;
}

static int open_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        run_complain("cannot make a socket: %s", g_strerror(errno));
    }
    return fd;
}

static bool send_fds(int channel, const NetnsFds *fds)
{
    union {
        char buf[CMSG_SPACE(sizeof(*fds))];
        struct cmsghdr align;
    } ancillary = { 0 };
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ancillary.buf,
        .msg_controllen = sizeof(ancillary.buf),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(*fds));
    memcpy(CMSG_DATA(cmsg), fds, sizeof(*fds));
    return sendmsg(channel, &msg, MSG_NOSIGNAL) == 1;
}

NetnsFds netns_receive_fds(int channel)
{
    union {
        char buf[CMSG_SPACE(sizeof(NetnsFds))];
        struct cmsghdr align;
    } ancillary = { 0 };
    NetnsFds fds = { -1, -1, -1 };
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ancillary.buf,
        .msg_controllen = sizeof(ancillary.buf),
    };
    struct cmsghdr *cmsg;

    if (recvmsg(channel, &msg, MSG_CMSG_CLOEXEC) == 1 &&
        (cmsg = CMSG_FIRSTHDR(&msg)) &&
        cmsg->cmsg_len == CMSG_LEN(sizeof(fds))) {
        memcpy(&fds, CMSG_DATA(cmsg), sizeof(fds));
    }
    return fds;
}

/* IPv6 addresses at once: vmnetd sees to it that nobody else has them. */
static void hurry_ipv6(void)
{
    const char *path = "/proc/sys/net/ipv6/conf/" NETNS_INTERFACE
                       "/dad_transmits";

    if (access(path, F_OK) == 0) {
        write_file(path, "0");
    }
}

static bool mount_resolv_conf(const char *text)
{
    /* Any directory will do: it is covered for a moment. */
    static const char dir[] = "/tmp", file[] = "/tmp/resolv.conf";
    bool ok;

    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0) {
        return false;
    }
    ok = g_file_set_contents(file, text, -1, NULL) && chmod(file, 0644) == 0 &&
         mount(file, RESOLV_CONF, NULL, MS_BIND, NULL) == 0;
    umount2(dir, MNT_DETACH);
    return ok;
}

/* The parent's word that all is ready. */
static bool receive_go(int channel, char *resolv, size_t size)
{
    ssize_t len = recv(channel, resolv, size - 1, 0);

    if (len <= 0) {
        return false;
    }
    resolv[len] = '\0';
    return true;
}

static int execute(const Run *run, const sigset_t *mask)
{
    int errnum;

    sigprocmask(SIG_SETMASK, mask, NULL);
    execv(run->program, run->argv);
    errnum = errno;
    run_complain("cannot execute '%s': %s", run->program, g_strerror(errnum));
    return errnum == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int netns_child(const Run *run, int channel, const sigset_t *mask)
{
    char resolv[NETNS_RESOLV_MAX];
    NetnsFds fds = { -1, -1, -1 };
    int wanted = CLONE_NEWNET | CLONE_NEWNS | (run->name ? CLONE_NEWUTS : 0);

    if (!enter_namespaces(wanted) || !take_name(run->name) ||
        (fds.tap = open_tap()) < 0 ||
        (fds.inet = open_socket(AF_INET, SOCK_DGRAM)) < 0 ||
        (fds.packet = open_socket(AF_PACKET, SOCK_RAW)) < 0) {
        return EXIT_OWN_FAILURE;
    }
    hurry_ipv6();
    /* Without its network it is of no use.  A new user namespace resets this;
     * a parent that has ended before is noticed by receive_go(). */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!send_fds(channel, &fds) ||
        !receive_go(channel, resolv, sizeof(resolv))) {
        return EXIT_OWN_FAILURE;
    }
    if (resolv[0] != '\n' && !mount_resolv_conf(resolv)) {
        run_complain("cannot replace " RESOLV_CONF " (%s): names are looked up "
                     "as outside", g_strerror(errno));
    }
    return execute(run, mask);
}
