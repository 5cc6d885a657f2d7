/*
 * The rules of a network without a daemon, in the namespace it is started in
 *
 *   priv-rules --state DIR [--kill-at N] [KEY=VALUE...] (install|remove|sweep)...
 *
 * Keys: name, mode, prefix, gateway, prefix6, gateway6, nat44, nat66, external,
 * forward=tcp,HOST,PORT,GUEST,PORT (HOST "any": each).
 *
 * --kill-at ends it by SIGKILL before its Nth system call that can change
 * something, counted from when all is opened; with fewer it exits with 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "priv/rules.h"

#define MARK 0x80000001u

static void die(const char *format, const char *what)
{
    fprintf(stderr, format, what);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* Options */

static IpAddr read_addr(const char *text)
{
    IpAddr addr;

    if (!ip_addr_parse(text, &addr)) {
        die("'%s' is no address", text);
    }
    return addr;
}

static IpPrefix read_prefix(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);

    if (g_strv_length(parts) != 2) {
        die("'%s' is no prefix", text);
    }
    return (IpPrefix){ read_addr(parts[0]), atoi(parts[1]) };
}

static PrivForward read_forward(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 5);
    PrivForward forward = { 0 };

    if (g_strv_length(parts) != 5) {
        die("'%s' is no forward", text);
    }
    forward.proto = strcmp(parts[0], "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
    if (strcmp(parts[1], "any") != 0) {
        forward.host.addr = read_addr(parts[1]);
    }
    forward.host.port = atoi(parts[2]);
    forward.guest.addr = read_addr(parts[3]);
    forward.guest.port = atoi(parts[4]);
    return forward;
}

static void read_option(PrivRules *rules, const char *key, const char *value)
{
    if (!strcmp(key, "name")) {
        g_strlcpy(rules->name, value, sizeof(rules->name));
    } else if (!strcmp(key, "external")) {
        g_strlcpy(rules->external, value, sizeof(rules->external));
    } else if (!strcmp(key, "mode")) {
        rules->mode = strcmp(value, "host") ? PRIV_RULES_SHARED
                                            : PRIV_RULES_HOST;
    } else if (!strcmp(key, "prefix")) {
        rules->prefix = read_prefix(value);
    } else if (!strcmp(key, "prefix6")) {
        rules->prefix6 = read_prefix(value);
    } else if (!strcmp(key, "gateway")) {
        rules->gateway = read_addr(value);
    } else if (!strcmp(key, "gateway6")) {
        rules->gateway6 = read_addr(value);
    } else if (!strcmp(key, "nat44")) {
        rules->nat44 = !strcmp(value, "on");
    } else if (!strcmp(key, "nat66")) {
        rules->nat66 = !strcmp(value, "on");
    } else if (!strcmp(key, "forward") &&
               rules->n_forwards < PRIV_FORWARDS_MAX) {
        rules->forwards[rules->n_forwards++] = read_forward(value);
    } else {
        die("what is '%s'?", key);
    }
}

/* Work */

static bool run_command(const PrivRules *rules, const char *command,
                        GError **error)
{
    if (!strcmp(command, "install")) {
        bool ok = priv_rules_install(rules, error);

        printf("firewalls %u\n", priv_rules_firewalls());
        return ok;
    }
    if (!strcmp(command, "remove")) {
        return priv_rules_remove(rules->name, error);
    }
    if (!strcmp(command, "sweep")) {
        return priv_rules_sweep(error);
    }
    die("what is '%s'?", command);
    return false;
}

static int run_all(char **args, bool is_traced)
{
    PrivRules rules = { .mode = PRIV_RULES_SHARED, .nat44 = true,
                        .nat66 = true };
    g_autoptr(GError) error = NULL;

    if (is_traced) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
    }
    for (; *args; args++) {
        g_auto(GStrv) pair = g_strsplit(*args, "=", 2);

        if (pair[1]) {
            read_option(&rules, pair[0], pair[1]);
        } else if (!run_command(&rules, *args, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

/* Killing */

static bool is_counted(long nr)
{
    return nr == SYS_write || nr == SYS_sendto || nr == SYS_sendmsg ||
           nr == SYS_renameat || nr == SYS_unlinkat || nr == SYS_openat;
}

/* Returns: the exit status; 137: it was killed. */
static int kill_at(pid_t child, unsigned n)
{
    struct __ptrace_syscall_info info;
    int status;

    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == SIGSTOP) {
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD);
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
            ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0 &&
            info.op == PTRACE_SYSCALL_INFO_ENTRY &&
            is_counted(info.entry.nr) && n-- == 0) {
            kill(child, SIGKILL);
        }
        ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    char **args = argv + 1;
    long at = -1;

    if (argc < 3 || strcmp(args[0], "--state") != 0) {
        die("usage: %s --state DIR [--kill-at N] ...", argv[0]);
    }
    if (!priv_rules_open(args[1], MARK, &error)) {
        die("%s", error->message);
    }
    args += 2;
    if (args[0] && args[1] && !strcmp(args[0], "--kill-at")) {
        at = atol(args[1]);
        args += 2;
    }
    if (at >= 0) {
        pid_t child = fork();

        if (child != 0) {
            return kill_at(child, at);
        }
    }
    return run_all(args, at >= 0);
}
