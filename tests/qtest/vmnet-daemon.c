/*
 * A vmnetd of a test's own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "vmnet-daemon.h"

static struct {
    char *program;
    char *folder;
    char *socket;
    pid_t pid;
} vmnetd;

static bool answers(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected;

    g_assert_cmpint(strlen(vmnetd.socket), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, vmnetd.socket);
    connected = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    close(fd);
    return connected;
}

/* A test that fails leaves none behind. */
static void end_with_parent(gpointer opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void vmnet_daemon_restart(void)
{
    char *argv[] = {
        vmnetd.program, (char *)"--no-supervisor", (char *)"--socket",
        vmnetd.socket, NULL,
    };
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    unlink(vmnetd.socket);
    g_assert_true(g_spawn_async("/", argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD
                                | G_SPAWN_STDOUT_TO_DEV_NULL
                                | G_SPAWN_STDERR_TO_DEV_NULL,
                                end_with_parent, NULL, &vmnetd.pid, NULL));
    while (!answers()) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

bool vmnet_daemon_start(void)
{
    g_autofree char *runtime = NULL;
    const char *named = getenv("VMNETD");

    vmnetd.program = named ? g_strdup(named) : g_find_program_in_path("vmnetd");
    if (!vmnetd.program) {
        g_print("1..0 # SKIP no vmnetd: neither $VMNETD nor in PATH\n");
        return false;
    }
    vmnetd.folder = g_dir_make_tmp("vmnet-qtest-XXXXXX", NULL);
    g_assert_nonnull(vmnetd.folder);
    runtime = g_build_filename(vmnetd.folder, "vmnet", NULL);
    g_assert_cmpint(mkdir(runtime, 0700), ==, 0);
    vmnetd.socket = g_build_filename(runtime, "vmnetd.sock", NULL);
    setenv("XDG_RUNTIME_DIR", vmnetd.folder, 1);
    setenv("XDG_STATE_HOME", vmnetd.folder, 1);
    unsetenv("VMNET_SOCKET");
    vmnet_daemon_restart();
    return true;
}

void vmnet_daemon_signal(int number)
{
    g_assert_cmpint(kill(vmnetd.pid, number), ==, 0);
    if (number == SIGSTOP) {
        g_assert_cmpint(waitpid(vmnetd.pid, NULL, WUNTRACED), ==, vmnetd.pid);
    }
}

void vmnet_daemon_kill(void)
{
    vmnet_daemon_signal(SIGKILL);
    g_assert_cmpint(waitpid(vmnetd.pid, NULL, 0), ==, vmnetd.pid);
}

void vmnet_daemon_end(void)
{
    char *argv[] = { (char *)"rm", (char *)"-rf", vmnetd.folder, NULL };

    vmnet_daemon_kill();
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 NULL, NULL);
    g_free(vmnetd.program);
    g_free(vmnetd.folder);
    g_free(vmnetd.socket);
}

const char *vmnet_daemon_folder(void)
{
    return vmnetd.folder;
}
