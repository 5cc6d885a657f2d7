/*
 * vmnetd's schema: every type there and back, and what query-qmp-schema says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi-recode.h"
#include "qapi/qapi-introspect.h"
#include "qapi/qapi-visit.h"

#include <string.h>

static JsonValue *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    JsonValue *value = json_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    return value;
}

static void test_every_type_survives(void)
{
    for (const QapiRecode *type = qapi_recode; type->name != NULL; type++) {
        g_test_message("%s", type->name);
        for (size_t i = 0; type->samples[i] != NULL; i++) {
            g_autoptr(JsonValue) value = parse(type->samples[i]);
            g_autoptr(JsonValue) again = NULL;
            g_autoptr(GError) error = NULL;
            g_autofree char *text = NULL;

            type->recode(value, QAPI_INPUT_JSON, &again, &error);
            g_assert_no_error(error);
            text = json_to_text(again);
            g_assert_cmpstr(text, ==, type->samples[i]);
        }
    }
}

static bool has_text(const JsonValue *list, const char *text)
{
    for (size_t i = 0; i < json_list_size(list); i++) {
        if (g_strcmp0(json_get_string(json_list_get(list, i)), text) == 0) {
            return true;
        }
    }
    return false;
}

/* The object that is called @name, of commands, events and types. */
static const JsonValue *find(const JsonValue *list, const char *name)
{
    for (size_t i = 0; i < json_list_size(list); i++) {
        const JsonValue *item = json_list_get(list, i);

        if (g_strcmp0(json_dict_get_string(item, "name"), name) == 0) {
            return item;
        }
    }
    return NULL;
}

/* Every type that is referred to is described, and decodes as SchemaInfo. */
static void check_introspection(const char *text)
{
    static const char *const references[] = { "arg-type", "ret-type",
                                              "element-type" };
    g_autoptr(JsonValue) list = parse(text);
    g_autoptr(SchemaInfoList) infos = NULL;
    g_autoptr(JsonValue) again = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text_again = NULL;

    for (size_t i = 0; i < json_list_size(list); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(references); j++) {
            const char *name = json_dict_get_string(json_list_get(list, i),
                                                    references[j]);

            g_assert_true(name == NULL || find(list, name) != NULL);
        }
    }
    qapi_decode_SchemaInfoList(list, QAPI_INPUT_JSON, &infos, &error);
    g_assert_no_error(error);
    again = qapi_encode_SchemaInfoList(infos);
    g_assert_cmpuint(json_list_size(again), ==, json_list_size(list));
    text_again = json_to_text(again);
    g_assert_cmpuint(strlen(text_again), ==, strlen(text));
}

static void test_introspection(void)
{
    check_introspection(qapi_introspect_json);
}

/* As libvirt looks for what a netdev can do. */
static void test_introspection_as_clients_use_it(void)
{
    g_autoptr(JsonValue) list = parse(qapi_introspect_json);
    const JsonValue *command = find(list, "netdev_add");
    const JsonValue *arg = find(list, json_dict_get_string(command,
                                                           "arg-type"));
    const JsonValue *variants = json_dict_get(arg, "variants");
    const JsonValue *shared = NULL;
    const JsonValue *hostfwd;
    const JsonValue *type;

    g_assert_cmpstr(json_dict_get_string(arg, "tag"), ==, "type");
    for (size_t i = 0; i < json_list_size(variants); i++) {
        const JsonValue *variant = json_list_get(variants, i);

        if (strcmp(json_dict_get_string(variant, "case"),
                   "vmnet-shared") == 0) {
            shared = find(list, json_dict_get_string(variant, "type"));
        }
    }
    hostfwd = find(json_dict_get(shared, "members"), "hostfwd");
    g_assert_cmpstr(json_dict_get_string(hostfwd, "type"), ==, "[str]");
    g_assert_cmpint(json_type(json_dict_get(hostfwd, "default")), ==,
                    JSON_NULL);
    type = find(list, json_dict_get_string(
        find(json_dict_get(arg, "members"), "type"), "type"));
    g_assert_true(has_text(json_dict_get(type, "values"), "vmnet-host"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi-schema/every-type-survives",
                    test_every_type_survives);
    g_test_add_func("/qapi-schema/introspection", test_introspection);
    g_test_add_func("/qapi-schema/introspection/as-clients-use-it",
                    test_introspection_as_clients_use_it);
    return g_test_run();
}
