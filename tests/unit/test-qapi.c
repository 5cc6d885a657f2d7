/*
 * Generated code: every type there and back, errors, commands, events
 *
 * The schema of these tests is tests/qapi-schema/good.json, which has all
 * that the language has, with TEST_IF_PRESENT defined and TEST_IF_ABSENT not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/qapi-error.h"
#include "test-qapi-commands.h"
#include "test-qapi-events.h"
#include "test-qapi-introspect.h"
#include "test-qapi-recode.h"
#include "test-qapi-visit.h"

#include <string.h>

static JsonValue *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    JsonValue *value = json_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    return value;
}

static void recode_samples(const QapiRecode *type)
{
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

static void test_every_type_survives(void)
{
    for (const QapiRecode *type = test_qapi_recode; type->name != NULL;
         type++) {
        recode_samples(type);
    }
}

/* A sample without one of its members, or with a wrong one, frees cleanly. */
static void recode_damaged(const QapiRecode *type, const char *sample)
{
    g_autoptr(JsonValue) value = parse(sample);

    for (size_t i = 0; i < json_dict_size(value); i++) {
        const char *key;

        json_dict_at(value, i, &key);
        for (int wrong = 0; wrong < 3; wrong++) {
            g_autoptr(JsonValue) damaged = parse(sample);
            g_autoptr(JsonValue) again = NULL;

            json_dict_set(damaged, key, wrong == 0 ? json_null()
                          : wrong == 1 ? json_list() : json_int(-7));
            type->recode(damaged, QAPI_INPUT_JSON, &again, NULL);
            g_clear_pointer(&again, json_unref);
            type->recode(damaged, QAPI_INPUT_KEYVAL, &again, NULL);
        }
    }
}

static void test_damaged_values_are_refused_cleanly(void)
{
    for (const QapiRecode *type = test_qapi_recode; type->name != NULL;
         type++) {
        for (size_t i = 0; type->samples[i] != NULL; i++) {
            recode_damaged(type, type->samples[i]);
        }
    }
}

static void check_decode_error(const QapiRecode *types, const char *name,
                               const char *text, const char *expected)
{
    g_autoptr(JsonValue) value = parse(text);
    g_autoptr(JsonValue) again = NULL;
    g_autoptr(GError) error = NULL;

    while (strcmp(types->name, name) != 0) {
        types++;
    }
    g_test_message("%s %s", name, text);
    g_assert_false(types->recode(value, QAPI_INPUT_JSON, &again, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_assert_null(again);
}

static void test_decode_errors(void)
{
    static const char *const rows[][3] = {
        { "Numbers", "1", "Invalid parameter type for 'null', expected:"
          " object" },
        { "Numbers", "{'s':1}", "Invalid parameter type for 's', expected:"
          " string" },
        { "Numbers", "{'b':'on'}", "Invalid parameter type for 'b', expected:"
          " boolean" },
        { "Numbers", "{'i':1.0}", "Invalid parameter type for 'i', expected:"
          " integer" },
        { "Numbers", "{'i8':128}", "Parameter 'i8' expects int8_t" },
        { "Numbers", "{'i16':-32769}", "Parameter 'i16' expects int16_t" },
        { "Numbers", "{'i32':2147483648}", "Parameter 'i32' expects int32_t" },
        { "Numbers", "{'u8':256}", "Parameter 'u8' expects uint8_t" },
        { "Numbers", "{'u8':-1}", "Parameter 'u8' expects uint8_t" },
        { "Numbers", "{'u16':65536}", "Parameter 'u16' expects uint16_t" },
        { "Numbers", "{'u32':4294967296}", "Parameter 'u32' expects uint32_t" },
        { "Numbers", "{'u64':18446744073709551616}",
          "Parameter 'u64' expects uint64" },
        { "Numbers", "{'u64':-1}", "Parameter 'u64' expects uint64" },
        { "Numbers", "{'x':1}", "Parameter 'x' is unexpected" },
        { "Lists", "{'s':1}", "Invalid parameter type for 's', expected:"
          " array" },
        { "Lists", "{'s':['a',1]}", "Invalid parameter type for 's[1]',"
          " expected: string" },
        { "Lists", "{'kinds':['three']}", "Parameter 'null' does not accept"
          " value 'three'" },
        { "Lists", "{'inner':[{'parts':[{'default':1}]}]}", "Invalid parameter"
          " type for 'inner[0].parts[0].default', expected: string" },
        { "Lists", "{'inner':[{'parts':[{}]}]}", "Parameter"
          " 'inner[0].parts[0].default' is missing" },
        { "Derived", "{'default':'x','absent':'x'}", "Parameter 'absent' is"
          " unexpected" },
        { "Union", "{}", "Parameter 'kind' is missing" },
        { "Union", "{'kind':'one'}", "Parameter 'id' is missing" },
        { "Union", "{'kind':'absent','id':'x'}", "Parameter 'kind' does not"
          " accept value 'absent'" },
        { "Union", "{'kind':'2-two','id':'x'}", "Parameter 'default' is"
          " missing" },
        { "Union", "{'kind':'2-two','id':'x','default':'x','b':true}",
          "Parameter 'b' is unexpected" },
        { "Union", "{'kind':'empty','id':'x','b':true}", "Parameter 'b' is"
          " unexpected" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_decode_error(test_qapi_recode, rows[i][0], rows[i][1],
                           rows[i][2]);
    }
}

static void test_depth_is_bounded_by_json(void)
{
    g_autoptr(GString) text = g_string_new("{\"default\":\"x\"}");
    g_autoptr(JsonValue) value = NULL;
    g_autoptr(Derived) obj = NULL;
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 1023; i++) {
        g_string_prepend(text, "{\"default\":\"x\",\"next\":");
        g_string_append_c(text, '}');
    }
    value = parse(text->str);
    g_assert_true(qapi_decode_Derived(value, QAPI_INPUT_JSON, &obj, &error));
    g_assert_no_error(error);
}

static void test_base(void)
{
    g_autoptr(JsonValue) value = parse(
        "{'default':'x','present':1,'next':{'default':'y'}}");
    g_autoptr(Derived) obj = NULL;

    qapi_decode_Derived(value, QAPI_INPUT_JSON, &obj, NULL);
    g_assert_cmpstr(qapi_Derived_base(obj)->q_default, ==, "x");
    g_assert_true((void *)qapi_Middle_base(qapi_Derived_base(obj->next)) ==
                  (void *)obj->next);
}

static void test_lists(void)
{
    g_autoptr(strList) list = NULL;
    strList **tail = &list;
    g_autoptr(JsonValue) value = NULL;
    g_autofree char *text = NULL;

    QAPI_LIST_APPEND(tail, g_strdup("b"));
    QAPI_LIST_APPEND(tail, g_strdup("c"));
    QAPI_LIST_PREPEND(list, g_strdup("a"));
    value = qapi_encode_strList(list);
    text = json_to_text(value);
    g_assert_cmpstr(text, ==, "[\"a\", \"b\", \"c\"]");
}

static void test_enums(void)
{
    g_assert_cmpstr(Kind_str(KIND_2_TWO), ==, "2-two");
    g_assert_cmpint(KIND_ONE, ==, 0);
    g_assert_cmpint(qapi_enum_find(&Kind_lookup, "empty"), ==, KIND_EMPTY);
    g_assert_cmpint(qapi_enum_find(&Kind_lookup, "absent"), ==, -1);
    g_assert_cmpint(Kind_lookup.size, ==, KIND__MAX);
}

/* Commands: what was called, with what */
static GString *calls;

bool qmp_do_nothing(void *session, GError **error)
{
    g_string_append_printf(calls, "do-nothing %s\n", (char *)session);
    return true;
}

Derived *qmp_legacy_Name(void *session, bool has_kind, Kind kind,
                         int64_t odd_Name, const char *word, strList *words,
                         Derived *part, GError **error)
{
    Derived *ret;

    g_string_append_printf(calls, "legacy %s %d %s %s %s\n",
                           has_kind ? Kind_str(kind) : "-", (int)odd_Name,
                           word, words != NULL ? words->value : "-",
                           part != NULL ? part->q_default : "-");
    if (odd_Name < 0) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                    "No such thing");
        return NULL;
    }
    if (odd_Name == 0) {
        return NULL;
    }
    ret = g_new0(Derived, 1);
    ret->q_default = g_strdup(word);
    return ret;
}

UnionList *qmp_take_struct(void *session, const char *s, bool has_b, bool b,
                           bool has_i, int64_t i, bool has_i8, int8_t i8,
                           bool has_i16, int16_t i16, bool has_i32,
                           int32_t i32, bool has_i64, int64_t i64,
                           bool has_u8, uint8_t u8, bool has_u16, uint16_t u16,
                           bool has_u32, uint32_t u32, bool has_u64,
                           uint64_t u64, bool has_size, uint64_t size,
                           JsonValue *any, GError **error)
{
    g_string_append_printf(calls, "take-struct %s %d\n", s != NULL ? s : "-",
                           has_u16 ? u16 : -1);
    return NULL;
}

bool qmp_take_union(void *session, Union *arg, GError **error)
{
    g_string_append_printf(calls, "take-union %s\n", arg->id);
    return true;
}

bool qmp_raw(void *session, const JsonValue *args, JsonValue **ret,
             GError **error)
{
    *ret = json_string("raw");
    return true;
}

/* The result, "-" without one, or "! " and the error. */
static char *execute(const char *name, const char *args)
{
    static char session[] = "session";
    const QmpCommand *command = test_qmp_commands;
    g_autoptr(JsonValue) value = args != NULL ? parse(args) : NULL;
    g_autoptr(JsonValue) ret = NULL;
    g_autoptr(GError) error = NULL;

    while (strcmp(command->name, name) != 0) {
        command++;
        g_assert_nonnull(command->name);
    }
    if (!command->invoke(session, value, &ret, &error)) {
        g_assert_null(ret);
        return g_strdup_printf("! %s: %s", qapi_error_class_str(error),
                               error->message);
    }
    g_assert_no_error(error);
    return ret != NULL ? json_to_text(ret) : g_strdup("-");
}

static void test_commands(void)
{
    static const struct {
        const char *name;
        const char *args;
        const char *result;
        const char *call;
    } rows[] = {
        { "do-nothing", NULL, "-", "do-nothing session\n" },
        { "do-nothing", "{}", "-", "do-nothing session\n" },
        { "do-nothing", "{'x':1}",
          "! GenericError: Parameter 'x' is unexpected", "" },
        { "legacy_Name", NULL,
          "! GenericError: Parameter 'odd_Name' is missing", "" },
        { "legacy_Name", "{'odd_Name':7,'word':'w'}",
          "{\"default\": \"w\"}", "legacy - 7 w - -\n" },
        { "legacy_Name", "{'odd_Name':7,'word':'w','kind':'one',"
          "'words':['x'],'part':{'default':'d'}}",
          "{\"default\": \"w\"}", "legacy one 7 w x d\n" },
        { "legacy_Name", "{'odd_Name':-1,'word':'w'}",
          "! DeviceNotFound: No such thing", "legacy - -1 w - -\n" },
        { "legacy_Name", "{'odd_Name':0,'word':'w'}", "{}",
          "legacy - 0 w - -\n" },
        { "take-struct", NULL, "[]", "take-struct - -1\n" },
        { "take-struct", "{'s':'a','u16':9}", "[]", "take-struct a 9\n" },
        { "take-union", "{'kind':'one','id':'u'}", "-", "take-union u\n" },
        { "raw", "{'any':'thing'}", "\"raw\"", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *result = NULL;

        calls = g_string_new(NULL);
        g_test_message("%s %s", rows[i].name, rows[i].args);
        result = execute(rows[i].name, rows[i].args);
        g_assert_cmpstr(result, ==, rows[i].result);
        g_assert_cmpstr(calls->str, ==, rows[i].call);
        g_string_free(calls, TRUE);
    }
}

static void test_command_flags(void)
{
    for (const QmpCommand *command = test_qmp_commands; command->name != NULL;
         command++) {
        g_assert_cmpstr(command->name, !=, "do-if");
        g_assert_cmpuint(command->flags, ==,
                         strcmp(command->name, "take-struct") == 0
                         ? QMP_COMMAND_DEPRECATED : 0);
    }
}

static void test_events(void)
{
    Derived derived = { .q_default = (char *)"d" };
    g_autoptr(JsonValue) full = qapi_event_encode_HAPPENED(true, KIND_EMPTY,
                                                           "w");
    g_autoptr(JsonValue) none = qapi_event_encode_HAPPENED(false, KIND_ONE,
                                                           NULL);
    g_autoptr(JsonValue) boxed = qapi_event_encode_HAPPENED_IF(&derived);
    g_autofree char *full_text = json_to_text(full);
    g_autofree char *none_text = json_to_text(none);
    g_autofree char *boxed_text = json_to_text(boxed);

    g_assert_cmpstr(full_text, ==, "{\"kind\": \"empty\", \"word\": \"w\"}");
    g_assert_cmpstr(none_text, ==, "{}");
    g_assert_cmpstr(boxed_text, ==, "{\"default\": \"d\"}");
    g_assert_null(qapi_event_encode_PLAIN());
    g_assert_cmpstr(test_QapiEvent_str(TEST_QAPI_EVENT_HAPPENED_IF), ==,
                    "HAPPENED_IF");
}

static void test_introspection_has_conditions(void)
{
    g_autoptr(JsonValue) list = parse(test_qapi_introspect_json);

    g_assert_cmpint(json_type(list), ==, JSON_LIST);
    g_assert_null(strstr(test_qapi_introspect_json, "absent"));
    g_assert_null(strstr(test_qapi_introspect_json, "do-if"));
    g_assert_nonnull(strstr(test_qapi_introspect_json, "\"present\""));
    g_assert_nonnull(strstr(test_qapi_introspect_json, "HAPPENED_IF"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/every-type-survives", test_every_type_survives);
    g_test_add_func("/qapi/damaged-values-are-refused-cleanly",
                    test_damaged_values_are_refused_cleanly);
    g_test_add_func("/qapi/decode-errors", test_decode_errors);
    g_test_add_func("/qapi/depth-is-bounded-by-json",
                    test_depth_is_bounded_by_json);
    g_test_add_func("/qapi/read-as-base", test_base);
    g_test_add_func("/qapi/lists", test_lists);
    g_test_add_func("/qapi/enums", test_enums);
    g_test_add_func("/qapi/commands", test_commands);
    g_test_add_func("/qapi/command-flags", test_command_flags);
    g_test_add_func("/qapi/events", test_events);
    g_test_add_func("/qapi/introspection-has-conditions",
                    test_introspection_has_conditions);
    return g_test_run();
}
