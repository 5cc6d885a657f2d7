/*
 * A VMM's command line: what is found, what is left alone, what is written
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "opts.h"
#include "qemu-options.h"
#include "run-args.h"
#include "text.h"

#define PATH "/run/x/net0.sock"
#define MAC "52:54:00:01:02:03"

static const QemuVersion v7 = { 7, 2 };

/* Scan what a shell would make of @line; *ret_argv has to outlive the result. */
static RunArgs *scan(const char *line, char ***ret_argv, GError **error)
{
    int argc;

    g_assert_true(g_shell_parse_argv(line, &argc, ret_argv, NULL));
    return run_args_scan(argc, *ret_argv, error);
}

/* @line rewritten, with the same target for each netdev. */
static char *rewrite(const char *line, const QemuVersion *version)
{
    g_auto(GStrv) argv = NULL;
    g_auto(GStrv) out = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = scan(line, &argv, &error);
    RunTarget targets[4];
    size_t i;

    g_assert_no_error(error);
    g_assert_cmpuint(args->netdevs->len, <=, G_N_ELEMENTS(targets));
    for (i = 0; i < G_N_ELEMENTS(targets); i++) {
        targets[i] = (RunTarget){ .path = (char *)PATH, .fd = 7,
                                  .mac = (char *)MAC };
    }
    out = run_args_rewrite(args, version, targets);
    return run_args_quote(out);
}

static void check_rewrite(const char *line, const char *expected)
{
    g_autofree char *out = rewrite(line, &v7);

    g_assert_cmpstr(out, ==, expected);
}

static void check_unchanged(const char *line)
{
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = scan(line, &argv, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(args->netdevs->len, ==, 0);
    check_rewrite(line, line);
}

static void check_error(const char *line, const char *expected)
{
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = scan(line, &argv, &error);

    g_assert_null(args);
    g_assert_nonnull(error);
    if (!strstr(error->message, expected)) {
        g_test_message("got: %s", error->message);
        g_test_fail();
    }
}

/* Member @key of the netdev_add of @line's only netdev. */
static char *member(const char *line, const char *key)
{
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = scan(line, &argv, &error);
    const RunNetdev *netdev;

    g_assert_no_error(error);
    g_assert_cmpuint(args->netdevs->len, ==, 1);
    netdev = g_ptr_array_index(args->netdevs, 0);
    return g_strdup(json_dict_get_string(netdev->args, key));
}

static void check_member(const char *line, const char *key,
                         const char *expected)
{
    g_autofree char *value = member(line, key);

    g_assert_cmpstr(value, ==, expected);
}

#define STREAM "stream,id=net0,server=off,addr.type=unix,addr.path=" PATH

static void test_netdev_in_every_form(void)
{
    check_rewrite("q -netdev vmnet-shared,id=net0", "q -netdev " STREAM);
    check_rewrite("q --netdev vmnet-host,id=net0", "q --netdev " STREAM);
    check_rewrite("q -netdev id=net0,type=vmnet-shared,isolated=on",
                  "q -netdev " STREAM);
    check_rewrite("q -netdev '{\"type\":\"vmnet-shared\",\"id\":\"net0\"}'",
                  "q -netdev " STREAM);
    /* which is QEMU's to refuse */
    check_rewrite("q -netdev vmnet-shared,id=a,,fd=5",
                  "q -netdev stream,id=a,,fd=5,server=off,addr.type=unix,"
                  "addr.path=" PATH);
    check_rewrite("q -netdev vmnet-bridged,id=net0,ifname=eth0",
                  "q -netdev " STREAM);
    check_rewrite("q -netdev vmnet-shared,id=net0 -netdev vmnet-host,id=b",
                  "q -netdev " STREAM " -netdev stream,id=b,server=off,"
                  "addr.type=unix,addr.path=" PATH);
}

static void test_other_arguments_are_left_alone(void)
{
    check_unchanged("q");
    check_unchanged("q -netdev");
    check_unchanged("q -append '-netdev vmnet-shared'");
    check_unchanged("q -append -netdev vmnet-shared,id=net0");
    check_unchanged("q -name -netdev -uuid -nic");
    check_unchanged("q --kernel --netdev");
    check_unchanged("q -netdev user,id=net0,hostfwd=tcp::1-:2");
    check_unchanged("q -netdev tap,id=vmnet-shared,ifname=vmnet-host");
    check_unchanged("q -netdev '{\"type\":\"user\",\"id\":\"n\"}'");
    check_unchanged("q -netdev '{broken'");
    check_unchanged("q vmnet-shared,id=net0 -device x,netdev=net0");
    check_unchanged("q -nic user,model=e1000 -nic none -nic ''");
    check_unchanged("q -object -netdev -chardev -netdev");
}

static void test_flags_take_no_value(void)
{
    check_rewrite("q -nographic -netdev vmnet-shared,id=net0 -S",
                  "q -nographic -netdev " STREAM " -S");
    check_rewrite("q -enable-kvm -netdev vmnet-shared,id=net0",
                  "q -enable-kvm -netdev " STREAM);
    check_rewrite("q -from-the-future -netdev vmnet-shared,id=net0",
                  "q -from-the-future -netdev " STREAM);
    check_rewrite("nice -n 5 q -netdev vmnet-shared,id=net0",
                  "nice -n 5 q -netdev " STREAM);
}

static void test_reconnect_follows_the_version(void)
{
    static const struct {
        QemuVersion version;
        const char *suffix;
    } rows[] = {
        { { 6, 0 }, "" },
        { { 7, 2 }, "" },
        { { 8, 0 }, ",reconnect=1" },
        { { 9, 0 }, ",reconnect=1" },
        { { 9, 1 }, ",reconnect=1" },
        { { 9, 2 }, ",reconnect-ms=100" },
        { { 10, 0 }, ",reconnect-ms=100" },
        { { 11, 0 }, ",reconnect-ms=100" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *out = rewrite("q -netdev vmnet-shared,id=net0",
                                       &rows[i].version);
        g_autofree char *expected = g_strconcat("q -netdev " STREAM,
                                                rows[i].suffix, NULL);

        g_assert_cmpstr(out, ==, expected);
    }
}

static void test_version_is_read(void)
{
    QemuVersion version = { 1, 1 };

    g_assert_true(qemu_version_parse(
        "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n", &version));
    g_assert_cmpint(version.major, ==, 10);
    g_assert_cmpint(version.minor, ==, 0);
    g_assert_false(qemu_version_parse("QEMU emulator version x", &version));
    g_assert_false(qemu_version_parse("version -1.2", &version));
    g_assert_false(qemu_version_parse("", &version));
    g_assert_cmpint(version.major, ==, 10);

    g_assert_true(qemu_version_is_asked("qemu-system-x86_64"));
    g_assert_true(qemu_version_is_asked("/usr/libexec/qemu-kvm"));
    g_assert_true(qemu_version_is_asked("kvm"));
    g_assert_false(qemu_version_is_asked("env"));
    g_assert_false(qemu_version_is_asked("./my-qemu-system-x86_64.sh"));
}

static void test_mac_goes_to_the_nic(void)
{
    check_rewrite("q -netdev vmnet-shared,id=net0 -device e1000,netdev=net0",
                  "q -netdev " STREAM " -device e1000,netdev=net0,mac=" MAC);
    check_rewrite("q -netdev vmnet-shared,id=net0 -device e1000,netdev=net0,",
                  "q -netdev " STREAM " -device e1000,netdev=net0,mac=" MAC);
    check_rewrite("q -netdev vmnet-shared,id=net0 "
                  "-device e1000,netdev=net0,romfile=,,",
                  "q -netdev " STREAM
                  " -device e1000,netdev=net0,romfile=,,,mac=" MAC);
    /* before its netdev, with an option that we would not have understood */
    check_rewrite("q -device e1000,multifunction,netdev=net0,id=x "
                  "-netdev vmnet-shared,id=net0",
                  "q -device e1000,multifunction,netdev=net0,id=x,mac=" MAC
                  " -netdev " STREAM);
    check_rewrite("q -netdev vmnet-shared,id=net0 -device "
                  "'{\"driver\":\"e1000\",\"netdev\":\"net0\"}'",
                  "q -netdev " STREAM " -device '{\"driver\": \"e1000\", "
                  "\"netdev\": \"net0\", \"mac\": \"" MAC "\"}'");
    check_rewrite("q -netdev vmnet-shared,id=net0 -net nic,netdev=net0",
                  "q -netdev " STREAM " -net nic,netdev=net0,macaddr=" MAC);
    /* not to that of another */
    check_rewrite("q -netdev vmnet-shared,id=net0 -device e1000,netdev=net1",
                  "q -netdev " STREAM " -device e1000,netdev=net1");
}

static void test_mac_of_the_user_is_kept(void)
{
    const char *const line = "q -netdev vmnet-shared,id=net0 -device "
                             "e1000,netdev=net0,mac=52:54:00:AA:00:01";

    check_rewrite(line, "q -netdev " STREAM " -device "
                        "e1000,netdev=net0,mac=52:54:00:AA:00:01");
    check_member(line, "mac", "52:54:00:AA:00:01");
    check_member("q -netdev vmnet-shared,id=net0,mac=52:54:00:aa:00:02 "
                 "-device e1000,netdev=net0", "mac", "52:54:00:aa:00:02");
    check_error("q -netdev vmnet-shared,id=net0,mac=52:54:00:aa:00:02 "
                "-device e1000,netdev=net0,mac=52:54:00:aa:00:03",
                "netdev 'net0': mac is 52:54:00:aa:00:02, and its NIC's is "
                "52:54:00:aa:00:03");
}

static void test_nic_keeps_its_options(void)
{
    check_rewrite("q -nic vmnet-shared", "q -nic socket,fd=7,mac=" MAC);
    check_rewrite("q -nic vmnet-shared,model=virtio-net-pci,isolated=on",
                  "q -nic socket,fd=7,model=virtio-net-pci,mac=" MAC);
    check_rewrite("q -nic model=e1000,type=vmnet-host,mac=52:54:00:00:00:09",
                  "q -nic socket,fd=7,model=e1000,mac=52:54:00:00:00:09");
    check_rewrite("q -nic vmnet-shared,id=n,mtu=9000",
                  "q -nic socket,fd=7,id=n,mac=" MAC);
    check_member("q -nic vmnet-shared,mac=52:54:00:00:00:09", "mac",
                 "52:54:00:00:00:09");
    check_member("q -nic vmnet-shared", "id", "nic0");
}

static void test_identity_makes_the_seed(void)
{
#define NET " -netdev vmnet-shared,id=net0"
    static const char *const rows[][2] = {
        { "q -uuid ABCD -name a" NET, "uuid:abcd/net0" },
        { "q -name a,process=b -hda /nonexistent/d.img" NET, "name:a/net0" },
        { "q -name process=b,guest=a" NET, "name:a/net0" },
        { "q -hda /nonexistent/d.img" NET, "disk:/nonexistent/d.img/net0" },
        { "q -drive if=pflash,file=/fw -drive file=/nonexistent/d.img,if=none"
          NET, "disk:/nonexistent/d.img/net0" },
        { "q -drive driver=qcow2,file.driver=file,file.filename=/nonexistent/d"
          NET, "disk:/nonexistent/d/net0" },
        { "q -drive file=/nonexistent/i.iso,media=cdrom" NET, "any/net0" },
        { "q -cdrom /nonexistent/i.iso" NET, "any/net0" },
        { "q -blockdev file,filename=/nonexistent/d.img,node-name=n" NET,
          "disk:/nonexistent/d.img/net0" },
        { "q -blockdev qcow2,file.driver=file,file.filename=/nonexistent/d"
          NET, "disk:/nonexistent/d/net0" },
        { "q -blockdev '{\"driver\":\"qcow2\",\"file\":{\"filename\":"
          "\"/nonexistent/d\"}}'" NET, "disk:/nonexistent/d/net0" },
        { "q -blockdev '{\"driver\":\"file\",\"filename\":\"/fw\","
          "\"read-only\":true}'" NET, "any/net0" },
        { "qemu-system-x /nonexistent/d.img" NET,
          "disk:/nonexistent/d.img/net0" },
        { "qemu-system-x -unknown 5" NET, "any/net0" },
        { "timeout 60" NET, "any/net0" },
        { "q -name a -netdev vmnet-shared,id=net0,mac-seed=s", "s" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_member(rows[i][0], "mac-seed", rows[i][1]);
    }
    check_member("q -name a" NET, "vm", "a");
    check_member("q -uuid AB" NET, "vm", "ab");
    check_member("q" NET, "vm", NULL);
    check_member("q -name 'a b/c\td'" NET, "vm", "a b_c_d");
    check_member("q -name ''" NET, "vm", NULL);
#undef NET
}

static void test_long_names_are_cut_between_characters(void)
{
    g_autoptr(GString) name = g_string_new("x");
    g_autofree char *line = NULL;
    g_autofree char *vm = NULL;

    while (name->len < 300) {
        g_string_append(name, "\xc3\xbc");
    }
    line = g_strdup_printf("q -name %s -netdev vmnet-shared,id=n", name->str);
    vm = member(line, "vm");
    g_assert_cmpuint(strlen(vm), ==, 127);
    g_assert_true(g_utf8_validate(vm, -1, NULL));
}

static void test_mistakes_are_named(void)
{
    check_error("q -netdev vmnet-shared", "'id' is missing");
    check_error("q -netdev vmnet-shared,id=n,foo=1", "'foo'");
    check_error("q -netdev vmnet-fast,id=n", "'vmnet-fast'");
    check_error("q -netdev vmnet-shared,id=n -netdev vmnet-host,id=n",
                "Duplicate ID 'n'");
    check_error("q -netdev vmnet-shared,id=n,isolated=maybe", "'isolated'");
    check_error("q -netdev vmnet-bridged,id=n,dhcp=on", "'dhcp'");
    check_error("q -netdev vmnet-host,id=n,nat66-prefix=fd00::", "-netdev "
                "vmnet-host,id=n,nat66-prefix=fd00::: ");
    check_error("q -nic vmnet-shared,foo=1", "-nic vmnet-shared,foo=1: ");
}

static void test_paths_with_commas(void)
{
    g_auto(GStrv) argv = NULL;
    g_auto(GStrv) out = NULL;
    g_autoptr(RunArgs) args = scan("q -netdev vmnet-shared,id=n", &argv, NULL);
    RunTarget target = { .path = (char *)"/a,b c/=.sock", .fd = -1 };

    out = run_args_rewrite(args, &v7, &target);
    g_assert_cmpstr(out[2], ==, "stream,id=n,server=off,addr.type=unix,"
                                "addr.path=/a,,b c/=.sock");
}

static void test_option_strings(void)
{
    g_autoptr(GPtrArray) opts = opts_parse("one,a=x,,y,b,a=z=,", "first");
    const Opt *opt = g_ptr_array_index(opts, 1);

    g_assert_cmpuint(opts->len, ==, 4);
    g_assert_cmpstr(opts_get(opts, "first"), ==, "one");
    g_assert_cmpstr(opt->value, ==, "x,y");
    g_assert_cmpstr(opt->text, ==, "a=x,,y");
    g_assert_cmpstr(opts_get(opts, "a"), ==, "z=");
    g_assert_null(opts_get(opts, "b"));
    g_assert_true(opts_get_on(opts, "b"));
    g_assert_false(opts_get_on(opts, "c"));
}

static void test_option_table(void)
{
    g_assert_cmpint(qemu_option_arity("netdev"), ==, QEMU_OPTION_VALUE);
    g_assert_cmpint(qemu_option_arity("M"), ==, QEMU_OPTION_VALUE);
    g_assert_cmpint(qemu_option_arity("m"), ==, QEMU_OPTION_VALUE);
    g_assert_cmpint(qemu_option_arity("s"), ==, QEMU_OPTION_FLAG);
    g_assert_cmpint(qemu_option_arity("S"), ==, QEMU_OPTION_FLAG);
    g_assert_cmpint(qemu_option_arity("xen-domid-restrict"), ==,
                    QEMU_OPTION_FLAG);
    g_assert_cmpint(qemu_option_arity("D"), ==, QEMU_OPTION_VALUE);
    g_assert_cmpint(qemu_option_arity("xen-domid"), ==, QEMU_OPTION_VALUE);
    g_assert_cmpint(qemu_option_arity(""), ==, QEMU_OPTION_UNKNOWN);
    g_assert_true(qemu_option_table_is_sorted());
    g_assert_cmpstr(qemu_option_name("--x"), ==, "x");
    g_assert_cmpstr(qemu_option_name("-x"), ==, "x");
    g_assert_null(qemu_option_name("x"));
    g_assert_cmpstr(qemu_option_name("-"), ==, "");
}

static void test_terminal_text(void)
{
    static const char *const rows[][2] = {
        { "web-1", "web-1" },
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "a\x1b[2Jb\n", "a\\x1b[2Jb\\x0a" },
        { "\xff\xfe", "\\xff\\xfe" },
        { "\xe2\x80\xae" "evil", "\\u{202e}evil" },
        { "\xc2\x9b" "1m", "\\xc2\\x9b" "1m" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = text_escape(rows[i][0]);

        g_assert_cmpstr(text, ==, rows[i][1]);
    }
}

/* What --port makes of a command line with one netdev. */
typedef struct PortCase {
    const char *args;
    RunPort wanted;
    int qemu_major;
    RunPort port;
    const char *why;    /* in the reason, or the error; NULL: neither */
    const char *added;  /* in what is added; NULL: nothing */
} PortCase;

#define VIRTIO " -netdev vmnet-shared,id=net0 -device virtio-net-pci,netdev=net0"
#define VU RUN_PORT_VHOST_USER
#define ADDED "memory-backend-memfd,id=pc.ram,size="

static const PortCase port_cases[] = {
    { "", RUN_PORT_AUTO, 10, VU, "virtio-net", ADDED "134217728,share=on" },
    { "-m 512", RUN_PORT_AUTO, 10, VU, "", ADDED "536870912," },
    { "-m 1G -m size=3M,slots=2,maxmem=9G", RUN_PORT_AUTO, 10, VU, "",
      ADDED "3145728," },
    { "-m 9B", RUN_PORT_AUTO, 10, VU, "", ADDED "8192," },
    { "-m 1.5G", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "-m says" },
    { "-m 99999999999999999999", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "-m" },
    { "-M q35", RUN_PORT_AUTO, 10, VU, "", ADDED },
    { "-machine pc-q35-7.2,usb=off", RUN_PORT_AUTO, 10, VU, "", ADDED },
    { "-M pc-i440fx-2.1", RUN_PORT_AUTO, 10, VU, "", ADDED },
    { "-M pcfoo", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "'pcfoo'" },
    { "-M microvm", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "'microvm'" },
    { "-numa node", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "-numa" },
    { "-mem-path /x", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "-mem-path" },
    { "-readconfig f", RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "-readconfig" },
    { "-object memory-backend-ram,id=m,size=1G", RUN_PORT_AUTO, 10,
      RUN_PORT_STREAM, "-object" },
    { "-object memory-backend-file,id=m,share=on -M pc,memory-backend=m",
      RUN_PORT_AUTO, 10, VU, "" },
    { "-object memory-backend-file,id=n,share=on -M pc,memory-backend=m",
      RUN_PORT_AUTO, 10, RUN_PORT_STREAM, "not shared" },
    { "-object rng-random,id=r", RUN_PORT_AUTO, 10, VU, "", ADDED },
    { "", RUN_PORT_AUTO, 7, RUN_PORT_STREAM, "KVM" },
    { "-enable-kvm", RUN_PORT_AUTO, 7, VU, "", ADDED },
    { "-accel kvm", RUN_PORT_AUTO, 7, VU, "", ADDED },
    { "-M pc,accel=kvm", RUN_PORT_AUTO, 7, VU, "", ADDED },
    { "-M pc,accel=kvm:tcg", RUN_PORT_AUTO, 7, RUN_PORT_STREAM, "KVM" },
    { "", VU, 7, VU, NULL, ADDED },
    { "-numa node", VU, 10, RUN_PORT__MAX, "-numa" },
    { "", RUN_PORT_STREAM, 10, RUN_PORT_STREAM },
    { "", RUN_PORT_DGRAM, 10, RUN_PORT_DGRAM },
};

static void check_port(const PortCase *c)
{
    g_autofree char *line = g_strdup_printf("qemu-system-x86_64 %s" VIRTIO,
                                            c->args);
    const QemuVersion version = { c->qemu_major, 2 };
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = scan(line, &argv, &error);
    g_autofree char *added = NULL;
    const RunNetdev *netdev;
    const char *why;

    g_assert_no_error(error);
    netdev = g_ptr_array_index(args->netdevs, 0);
    if (run_args_choose(args, c->wanted, &version, &error)) {
        g_assert_cmpint(netdev->port, ==, c->port);
        why = netdev->why;
    } else {
        g_assert_cmpint(c->port, ==, RUN_PORT__MAX);
        why = error->message;
    }
    g_test_message("%s: %s", line, why);
    g_assert_true(!why == !c->why && (!why || strstr(why, c->why)));
    added = args->memory_args ? g_strjoinv(" ", args->memory_args) : NULL;
    g_assert_true(!added == !c->added && (!added || strstr(added, c->added)));
}

static void test_ports(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(port_cases); i++) {
        check_port(&port_cases[i]);
    }
}

static void test_vhost_user_options(void)
{
    g_auto(GStrv) argv = NULL, out = NULL;
    g_autoptr(RunArgs) args = scan("kvm -M q35" VIRTIO, &argv, NULL);
    g_autofree char *line = NULL;
    RunTarget target = { .path = (char *)"/run/a,b.sock", .fd = -1 };

    g_assert_true(run_args_choose(args, RUN_PORT_VHOST_USER, &v7, NULL));
    out = run_args_rewrite(args, &v7, &target);
    line = run_args_quote(out);
    g_assert_cmpstr(line, ==, "kvm -M q35 -netdev "
                    "vhost-user,id=net0,chardev=vmnet-net0 "
                    "-device virtio-net-pci,netdev=net0 "
                    "-object memory-backend-memfd,id=pc.ram,size=134217728,"
                    "share=on -machine memory-backend=pc.ram "
                    "-chardev socket,id=vmnet-net0,path=/run/a,,b.sock,"
                    "reconnect=1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-args/netdev-in-every-form",
                    test_netdev_in_every_form);
    g_test_add_func("/run-args/other-arguments-left-alone",
                    test_other_arguments_are_left_alone);
    g_test_add_func("/run-args/flags-take-no-value", test_flags_take_no_value);
    g_test_add_func("/run-args/reconnect-follows-version",
                    test_reconnect_follows_the_version);
    g_test_add_func("/run-args/version-is-read", test_version_is_read);
    g_test_add_func("/run-args/mac-goes-to-nic", test_mac_goes_to_the_nic);
    g_test_add_func("/run-args/mac-of-user-kept",
                    test_mac_of_the_user_is_kept);
    g_test_add_func("/run-args/nic-keeps-options",
                    test_nic_keeps_its_options);
    g_test_add_func("/run-args/identity-makes-seed",
                    test_identity_makes_the_seed);
    g_test_add_func("/run-args/long-names-cut",
                    test_long_names_are_cut_between_characters);
    g_test_add_func("/run-args/mistakes-are-named", test_mistakes_are_named);
    g_test_add_func("/run-args/paths-with-commas", test_paths_with_commas);
    g_test_add_func("/run-args/option-strings", test_option_strings);
    g_test_add_func("/run-args/option-table", test_option_table);
    g_test_add_func("/run-args/terminal-text", test_terminal_text);
    g_test_add_func("/run-args/ports", test_ports);
    g_test_add_func("/run-args/vhost-user-options", test_vhost_user_options);
    return g_test_run();
}
