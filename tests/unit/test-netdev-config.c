/*
 * Netdev options: what is refused, in which words, and what comes out
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "control/hostfwd.h"
#include "control/netdev-config.h"
#include "limits.h"
#include "qapi/keyval.h"
#include "qapi/qapi-visit.h"

#define NAME_RULE "1 to 63 letters, digits, '.', '_', '-', the first a " \
    "letter or digit"
#define NAME_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghi"

/* The options of a line as --netdev takes it. */
static Netdev *parse(const char *line)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonValue) args = NULL;
    QapiInput input;
    Netdev *options = NULL;

    args = keyval_parse(line, "type", &input, &error);
    g_assert_no_error(error);
    qapi_decode_Netdev(args, input, &options, &error);
    g_assert_no_error(error);
    return options;
}

static void test_defaults(void)
{
    g_autoptr(Netdev) options = parse("vmnet-shared,id=n0");
    g_auto(NetdevConfig) config = { 0 };

    g_assert_true(netdev_config_read(&config, options, NULL));
    g_assert_cmpint(config.network.mode, ==, NETWORK_MODE_SHARED);
    g_assert_null(config.network.name);
    g_assert_false(config.network.has_range);
    g_assert_cmpint(config.network.prefix6.addr.family, ==, AF_UNSPEC);
    g_assert_cmpuint(config.network.mtu_bytes, ==, 0);
    g_assert_cmpuint(config.network.lease_s, ==, 0);
    g_assert_cmpint(config.network.dhcp, ==, NETWORK_DEFAULT);
    g_assert_cmpint(config.network.match, ==, NETWORK_MATCH_ADOPT);
    g_assert_false(config.isolated);
    g_assert_false(config.has_mac);
    g_assert_cmpuint(config.forwards->len, ==, 0);
}

static void test_everything(void)
{
    g_autoptr(Netdev) options = parse(
        "vmnet-shared,id=n0,start-address=10.0.0.1,end-address=10.0.0.9,"
        "subnet-mask=255.255.255.0,isolated=on,nat66-prefix=fd00:1::,"
        "network=lab,match=strict,mtu=9000,mac=52:54:00:00:00:01,dhcp=off,"
        "dns=on,lease-time=60,host-loopback=on,hostfwd=tcp::1-:2,"
        "hostfwd=udp::3-:4");
    g_auto(NetdevConfig) config = { 0 };
    g_autoptr(GError) error = NULL;

    netdev_config_read(&config, options, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(config.network.name, ==, "lab");
    g_assert_true(config.network.has_range);
    g_assert_cmphex(config.network.start_address, ==, 0x0a000001);
    g_assert_cmphex(config.network.end_address, ==, 0x0a000009);
    g_assert_cmphex(config.network.subnet_mask, ==, 0xffffff00);
    g_assert_cmpint(config.network.prefix6.addr.family, ==, AF_INET6);
    g_assert_cmpuint(config.network.prefix6.len, ==, 64);
    g_assert_cmpuint(config.network.mtu_bytes, ==, 9000);
    g_assert_cmpuint(config.network.lease_s, ==, 60);
    g_assert_cmpint(config.network.dhcp, ==, NETWORK_OFF);
    g_assert_cmpint(config.network.dns, ==, NETWORK_ON);
    g_assert_cmpint(config.network.host_loopback, ==, NETWORK_ON);
    g_assert_cmpint(config.network.match, ==, NETWORK_MATCH_STRICT);
    g_assert_true(config.isolated);
    g_assert_true(config.has_mac);
    g_assert_cmpuint(config.forwards->len, ==, 2);
    g_assert_cmpuint(g_array_index(config.forwards, HostfwdRule, 1).guest.port,
                     ==, 4);
}

/* The length that control and networks must agree on. */
static void test_longest_name(void)
{
    g_autoptr(Netdev) options = parse("vmnet-host,id=n0,network=" NAME_63);
    g_auto(NetdevConfig) config = { 0 };

    g_assert_cmpuint(strlen(NAME_63), ==, LIMIT_NETWORK_NAME_BYTES);
    g_assert_true(netdev_config_read(&config, options, NULL));
}

static void test_uuid(void)
{
    g_autoptr(Netdev) options = parse(
        "vmnet-host,id=n0,net-uuid=2F0C1A10-7D0E-4B4C-9C9D-0123456789AB");
    g_auto(NetdevConfig) config = { 0 };

    g_assert_true(netdev_config_read(&config, options, NULL));
    g_assert_cmpstr(config.network.net_uuid, ==,
                    "2f0c1a10-7d0e-4b4c-9c9d-0123456789ab");
}

#define TOGETHER "'start-address', 'end-address', 'subnet-mask' should be " \
    "provided together"
#define UUID "2f0c1a10-7d0e-4b4c-9c9d-0123456789ab"

static const struct {
    const char *line, *error;
} bad[] = {
    { "vmnet-shared,id=n0,start-address=10.0.0.1", TOGETHER },
    { "vmnet-host,id=n0,start-address=10.0.0.1,end-address=10.0.0.9",
      TOGETHER },
    { "vmnet-host,id=n0,subnet-mask=255.255.255.0", TOGETHER },
    { "vmnet-shared,id=n0,start-address=10.0.0,end-address=10.0.0.9,"
      "subnet-mask=255.255.255.0",
      "netdev 'n0': start-address '10.0.0' is not an IPv4 address" },
    { "vmnet-shared,id=n0,start-address=10.0.0.1,end-address=fd00::1,"
      "subnet-mask=255.255.255.0",
      "netdev 'n0': end-address 'fd00::1' is not an IPv4 address" },
    { "vmnet-host,id=n0,net-uuid=1234", "Invalid UUID provided in 'net-uuid'" },
    { "vmnet-host,id=n0,net-uuid=" UUID ",network=x",
      "netdev 'n0': 'net-uuid' names a network of its own: it cannot be given "
      "together with 'network'" },
    { "vmnet-host,id=n0,net-uuid=" UUID ",dhcp=on",
      "netdev 'n0': 'dhcp' cannot be had with 'net-uuid': such a network has no "
      "gateway" },
    { "vmnet-shared,id=n0,mtu=0", "netdev 'n0': mtu 0 is too small" },
    { "vmnet-shared,id=n0,lease-time=0",
      "netdev 'n0': lease-time 0 is too small" },
    { "vmnet-shared,id=n0,mtu=575",
      "netdev 'n0': mtu 575 is not in 576 to 65520" },
    { "vmnet-shared,id=n0,mtu=65521",
      "netdev 'n0': mtu 65521 is not in 576 to 65520" },
    { "vmnet-shared,id=n0,lease-time=19",
      "netdev 'n0': lease-time 19 is not in 20 to 604800" },
    { "vmnet-shared,id=n0,mac=52:54:00:00:00",
      "netdev 'n0': mac '52:54:00:00:00' is not a MAC address" },
    { "vmnet-shared,id=n0,mac=01:00:5e:00:00:01",
      "netdev 'n0': mac 01:00:5e:00:00:01 is not that of one interface" },
    { "vmnet-shared,id=n0,network=../x",
      "netdev 'n0': network '../x' is not a name: " NAME_RULE },
    { "vmnet-shared,id=n0,network=a/b",
      "netdev 'n0': network 'a/b' is not a name: " NAME_RULE },
    { "vmnet-shared,id=n0,network=-x",
      "netdev 'n0': network '-x' is not a name: " NAME_RULE },
    { "vmnet-shared,id=n0,network=" NAME_63 "x",
      "netdev 'n0': network '" NAME_63 "x' is not a name: " NAME_RULE },
    { "vmnet-shared,id=n0,nat66-prefix=fd00::/48",
      "netdev 'n0': nat66-prefix 'fd00::/48' is not 64 bits long" },
    { "vmnet-host,id=n0,ipv6-prefix=10.0.0.0",
      "netdev 'n0': ipv6-prefix '10.0.0.0' is not an IPv6 prefix" },
    { "vmnet-shared,id=n0,hostfwd=tcp::1",
      "Invalid host forwarding rule 'tcp::1' (Bad host port separator)" },
    { "vmnet-bridged,id=n0,ifname=eth0,mac=eth0",
      "netdev 'n0': mac 'eth0' is not a MAC address" },
    { "vmnet-bridged,id=n0,network=../x",
      "netdev 'n0': network '../x' is not a name: " NAME_RULE },
};

static void test_bad(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Netdev) options = parse(bad[i].line);
        g_auto(NetdevConfig) config = { 0 };
        g_autoptr(GError) error = NULL;

        g_assert_false(netdev_config_read(&config, options, &error));
        g_assert_cmpstr(error->message, ==, bad[i].error);
    }
}

static void test_bridged(void)
{
    g_autoptr(Netdev) options = parse("vmnet-bridged,id=n0,ifname=br0,"
                                      "isolated=on,mac=52:54:00:00:00:01");
    g_autoptr(Netdev) nothing = parse("vmnet-bridged,id=n0");
    g_auto(NetdevConfig) config = { 0 };
    g_auto(NetdevConfig) plain = { 0 };

    g_assert_true(netdev_config_read(&config, options, NULL));
    g_assert_cmpint(config.network.mode, ==, NETWORK_MODE_BRIDGED);
    g_assert_cmpstr(config.network.ifname, ==, "br0");
    g_assert_true(config.isolated);
    g_assert_true(config.has_mac);
    g_assert_true(netdev_config_read(&plain, nothing, NULL));
    g_assert_null(plain.network.ifname);
}

static void test_copy(void)
{
    g_autoptr(Netdev) options = parse("vmnet-host,id=n0,mtu=1400,vm=web");
    g_autoptr(Netdev) copy = netdev_options_copy(options);

    g_assert_cmpstr(copy->id, ==, "n0");
    g_assert_cmpstr(copy->vm, ==, "web");
    g_assert_true(copy->u.vmnet_host.has_mtu);
    g_assert_cmpuint(copy->u.vmnet_host.mtu, ==, 1400);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netdev-config/nothing-written", test_defaults);
    g_test_add_func("/netdev-config/everything-written", test_everything);
    g_test_add_func("/netdev-config/longest-name", test_longest_name);
    g_test_add_func("/netdev-config/uuid-in-lower-case", test_uuid);
    g_test_add_func("/netdev-config/says-what-is-wrong", test_bad);
    g_test_add_func("/netdev-config/bridged", test_bridged);
    g_test_add_func("/netdev-config/copy-is-equal", test_copy);
    return g_test_run();
}
