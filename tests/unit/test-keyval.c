/*
 * key=value lines, and what decoders make of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/keyval.h"
#include "qapi/qapi-visit.h"

static void check(const char *text, const char *implied, const char *expected)
{
    g_autoptr(GError) error = NULL;
    QapiInput input;
    g_autoptr(JsonValue) value = keyval_parse(text, implied, &input, &error);
    g_autofree char *got = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(input, ==, text[0] == '{' ? QAPI_INPUT_JSON
                                              : QAPI_INPUT_KEYVAL);
    got = json_to_text(value);
    g_assert_cmpstr(got, ==, expected);
}

static void check_error(const char *text, const char *implied,
                        const char *expected)
{
    g_autoptr(GError) error = NULL;
    QapiInput input;
    g_autoptr(JsonValue) value = keyval_parse(text, implied, &input, &error);

    g_assert_null(value);
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_grammar(void)
{
    check("", NULL, "{}");
    check("a=1", NULL, "{\"a\": \"1\"}");
    check("a=1,b=,c-d_e=x=y", NULL,
          "{\"a\": \"1\", \"b\": \"\", \"c-d_e\": \"x=y\"}");
    check("a=1,", NULL, "{\"a\": \"1\"}");
    check("a=1,,2,,,b=,,", NULL, "{\"a\": \"1,2,\", \"b\": \",\"}");
    check("a.b.c=1,a.b.d=2,a.e=3", NULL,
          "{\"a\": {\"b\": {\"c\": \"1\", \"d\": \"2\"}, \"e\": \"3\"}}");
}

static void test_implied_key(void)
{
    check("vmnet-shared,id=n0", "type",
          "{\"type\": \"vmnet-shared\", \"id\": \"n0\"}");
    check("a,,b,id=n0", "type", "{\"type\": \"a,b\", \"id\": \"n0\"}");
    check("id=n0,type=x", "type", "{\"id\": \"n0\", \"type\": \"x\"}");
    check_error("id=n0,x", "type", "Expected '=' after parameter 'x'");
    check_error("x", NULL, "Expected '=' after parameter 'x'");
}

static void test_repeats(void)
{
    check("a=1,a=2,a=3", NULL, "{\"a\": [\"1\", \"2\", \"3\"]}");
    check("a.b=1,a.b=2", NULL, "{\"a\": {\"b\": [\"1\", \"2\"]}}");
}

static void test_indices(void)
{
    check("a.0=x,a.1=y", NULL, "{\"a\": [\"x\", \"y\"]}");
    check("a.1.b=y,a.0.b=x", NULL, "{\"a\": [{\"b\": \"x\"}, {\"b\": \"y\"}]}");
    check_error("a.0=x,a.2=y", NULL, "Parameter 'a.1' missing");
    check_error("a.0=x,a.b=y", NULL, "Parameters 'a.*' used inconsistently");
}

static void test_mistakes(void)
{
    check_error("=1", NULL, "Invalid parameter ''");
    check_error("a=1,,=2,=3", NULL, "Invalid parameter ''");
    check_error("1a=1", NULL, "Invalid parameter '1a'");
    check_error("a!b=1", NULL, "Invalid parameter 'a!b'");
    check_error("a..b=1", NULL, "Invalid parameter 'a..b'");
    check_error("a.=1", NULL, "Invalid parameter 'a.'");
    check_error(".a=1", NULL, "Invalid parameter '.a'");
    check_error("a=1,a.b=2", NULL, "Parameters 'a.*' used inconsistently");
    check_error("a.b=1,a=2", NULL, "Parameters 'a.*' used inconsistently");
    check_error("a.b.c=1,a.b=2", NULL,
                "Parameters 'a.b.*' used inconsistently");
}

static void test_depth_is_bounded(void)
{
    g_autoptr(GString) text = g_string_new("a");
    g_autoptr(GError) error = NULL;
    QapiInput input;

    for (int i = 0; i < 100000; i++) {
        g_string_append(text, ".a");
    }
    g_string_append(text, "=1");
    g_assert_null(keyval_parse(text->str, NULL, &input, &error));
    g_assert_nonnull(error);
}

static void test_json(void)
{
    check("{\"a\": true}", "type", "{\"a\": true}");
    check_error("{\"a\"", NULL, "JSON parse error, premature EOI");
    check_error("{} 1", NULL, "Expecting at most one JSON value");
    check_error("{} []", NULL, "Expecting at most one JSON value");
}

/* Decoders */

static Netdev *netdev(const char *text, GError **error)
{
    QapiInput input;
    g_autoptr(JsonValue) value = keyval_parse(text, "type", &input, error);
    Netdev *ret = NULL;

    g_assert_nonnull(value);
    return qapi_decode_Netdev(value, input, &ret, error) ? ret : NULL;
}

static void test_netdev(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Netdev) dev = netdev(
        "vmnet-shared,id=n0,isolated=on,mtu=0x5dc,dhcp=no,id=n1,"
        "hostfwd=tcp::1-:2,hostfwd=udp::3-:4", &error);
    NetdevVmnetSharedOptions *shared;

    g_assert_no_error(error);
    g_assert_cmpint(dev->type, ==, NET_CLIENT_DRIVER_VMNET_SHARED);
    g_assert_cmpstr(dev->id, ==, "n1");
    g_assert_false(dev->has_lifetime);
    shared = &dev->u.vmnet_shared;
    g_assert_true(shared->has_isolated && shared->isolated);
    g_assert_true(shared->has_mtu && shared->mtu == 1500);
    g_assert_true(shared->has_dhcp && !shared->dhcp);
    g_assert_false(shared->has_dns);
    g_assert_null(shared->network);
    g_assert_cmpstr(shared->hostfwd->value, ==, "tcp::1-:2");
    g_assert_cmpstr(shared->hostfwd->next->value, ==, "udp::3-:4");
    g_assert_null(shared->hostfwd->next->next);
}

static void test_one_value_is_a_list_of_one(void)
{
    g_autoptr(Netdev) dev = netdev("vmnet-host,id=n0,hostfwd=tcp::1-:2",
                                   NULL);

    g_assert_cmpstr(dev->u.vmnet_host.hostfwd->value, ==, "tcp::1-:2");
    g_assert_null(dev->u.vmnet_host.hostfwd->next);
}

/* Texts of qemu-system-x86_64 7.2 for -netdev user, tap, l2tpv3, and JSON */
static void test_netdev_mistakes(void)
{
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        { "", "Parameter 'id' is missing" },
        { "vmnet-shared", "Parameter 'id' is missing" },
        { "id=n0", "Parameter 'type' is missing" },
        { "bogus,id=n0", "Parameter 'type' does not accept value 'bogus'" },
        { "vmnet-bridged,id=n0,dhcp=on", "Invalid parameter 'dhcp'" },
        { "vmnet-shared,id=n0,foo=1", "Invalid parameter 'foo'" },
        { "vmnet-shared,id=n0,net-uuid=1", "Invalid parameter 'net-uuid'" },
        { "vmnet-shared,id=n0,dhcp=maybe",
          "Parameter 'dhcp' expects 'on' or 'off'" },
        { "vmnet-shared,id=n0,dhcp=",
          "Parameter 'dhcp' expects 'on' or 'off'" },
        { "vmnet-shared,id=n0,mtu=abc",
          "Parameter 'mtu' expects a uint64 value" },
        { "vmnet-shared,id=n0,mtu=-1",
          "Parameter 'mtu' expects a uint64 value" },
        { "vmnet-shared,id=n0,mtu=1x",
          "Parameter 'mtu' expects a uint64 value" },
        { "vmnet-shared,id=n0,mtu=", "Parameter 'mtu' expects a uint64 value" },
        { "vmnet-shared,id=n0,mtu=99999999999",
          "Parameter 'mtu' expects uint32_t" },
        { "vmnet-shared,id=n0,match=x",
          "Parameter 'match' does not accept value 'x'" },
        { "vmnet-shared,id=n0,mtu.x=1",
          "Parameters 'mtu.*' are unexpected" },
        { "{\"type\":\"vmnet-shared\"}", "Parameter 'id' is missing" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"dhcp\":\"on\"}",
          "Invalid parameter type for 'dhcp', expected: boolean" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"foo\":1}",
          "Parameter 'foo' is unexpected" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"mtu\":\"1\"}",
          "Parameter 'mtu' expects uint64" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"mtu\":-1}",
          "Parameter 'mtu' expects uint32_t" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"hostfwd\":\"a\"}",
          "Invalid parameter type for 'hostfwd', expected: array" },
        { "{\"type\":\"vmnet-shared\",\"id\":\"x\",\"hostfwd\":[\"a\",1]}",
          "Invalid parameter type for 'hostfwd[1]', expected: string" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", rows[i].text);
        g_assert_null(netdev(rows[i].text, &error));
        g_assert_nonnull(error);
        g_assert_cmpstr(error->message, ==, rows[i].error);
    }
}

static ExportOptions *export(const char *text, GError **error)
{
    QapiInput input;
    g_autoptr(JsonValue) value = keyval_parse(text, "type", &input, error);
    ExportOptions *ret = NULL;

    g_assert_nonnull(value);
    return qapi_decode_ExportOptions(value, input, &ret, error) ? ret : NULL;
}

static void test_export(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ExportOptions) opts = export(
        "stream,id=e0,netdev=n0,addr.type=unix,addr.path=/a,,b,server=yes",
        &error);

    g_assert_no_error(error);
    g_assert_cmpint(opts->type, ==, EXPORT_TYPE_STREAM);
    g_assert_cmpint(opts->addr->type, ==, EXPORT_ADDRESS_TYPE_UNIX);
    g_assert_cmpstr(opts->addr->u.q_unix.path, ==, "/a,b");
    g_assert_true(opts->has_server && opts->server);
}

static void test_export_mistakes(void)
{
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        { "stream,id=e0,netdev=n0", "Parameter 'addr' is missing" },
        { "stream,id=e0,netdev=n0,addr=3",
          "Invalid parameter type for 'addr', expected: object" },
        { "stream,id=e0,netdev=n0,addr.path=/a",
          "Parameter 'addr.type' is missing" },
        { "stream,id=e0,netdev=n0,addr.type=fd",
          "Parameter 'addr.str' is missing" },
        { "stream,id=e0,netdev=n0,addr.type=zz",
          "Parameter 'type' does not accept value 'zz'" },
        { "stream,id=e0,netdev=n0,addr.type=unix,addr.x=1",
          "Parameter 'addr.x' is unexpected" },
        { "stream,id=e0,netdev=n0,addr.type=unix,server=maybe",
          "Parameter 'server' expects 'on' or 'off'" },
        { "stream,id=e0,netdev=n0,addr.type=unix,server.a=on",
          "Parameters 'server.*' are unexpected" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", rows[i].text);
        g_assert_null(export(rows[i].text, &error));
        g_assert_nonnull(error);
        g_assert_cmpstr(error->message, ==, rows[i].error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/grammar", test_grammar);
    g_test_add_func("/keyval/implied-key", test_implied_key);
    g_test_add_func("/keyval/repeats", test_repeats);
    g_test_add_func("/keyval/indices", test_indices);
    g_test_add_func("/keyval/mistakes", test_mistakes);
    g_test_add_func("/keyval/depth-is-bounded", test_depth_is_bounded);
    g_test_add_func("/keyval/json", test_json);
    g_test_add_func("/keyval/netdev", test_netdev);
    g_test_add_func("/keyval/one-value-is-a-list-of-one",
                    test_one_value_is_a_list_of_one);
    g_test_add_func("/keyval/netdev-mistakes", test_netdev_mistakes);
    g_test_add_func("/keyval/export", test_export);
    g_test_add_func("/keyval/export-mistakes", test_export_mistakes);
    return g_test_run();
}
