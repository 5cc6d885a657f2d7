/*
 * JSON as QMP has it: what is accepted, refused, in which words, and how the
 * stream finds into step again.  Texts and order were taken from
 * qemu-storage-daemon 7.2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/json.h"

#include <string.h>

/* What a stream handed out: values as text, errors as "! text", by lines. */
typedef struct Log {
    GString *text;
    JsonStream *stream;
    bool pause;
    bool free_it;
} Log;

static void log_value(void *opaque, JsonValue *value, const GError *error)
{
    Log *log = opaque;

    g_assert_true((value == NULL) != (error == NULL));
    if (value != NULL) {
        g_autofree char *text = json_to_text(value);

        g_string_append_printf(log->text, "%s\n", text);
        json_unref(value);
    } else {
        g_string_append_printf(log->text, "! %s\n", error->message);
    }
    if (log->pause) {
        json_stream_pause(log->stream);
    }
    if (log->free_it) {
        json_stream_free(log->stream);
    }
}

/* @piece: bytes fed at once */
static char *run(const JsonLimits *limits, const char *text, size_t len,
                 size_t piece)
{
    Log log = { .text = g_string_new(NULL) };
    g_autoptr(JsonStream) stream = json_stream_new(limits, log_value, &log);

    for (size_t i = 0; i < len; i += piece) {
        json_stream_feed(stream, text + i, MIN(piece, len - i));
    }
    return g_string_free(log.text, FALSE);
}

static void check(const char *text, const char *expected)
{
    g_autofree char *whole = run(NULL, text, strlen(text), 1024);
    g_autofree char *bytes = run(NULL, text, strlen(text), 1);

    g_assert_cmpstr(whole, ==, expected);
    g_assert_cmpstr(bytes, ==, expected);
}

static void test_values(void)
{
    check("{} [] 1 -0.5e+10 true false null \"x\" 'y' ",
          "{}\n[]\n1\n-0.5e+10\ntrue\nfalse\nnull\n\"x\"\n\"y\"\n");
    check("{\"b\": 1, 'a': [1, [2, {}]], \"c\": null}",
          "{\"b\": 1, \"a\": [1, [2, {}]], \"c\": null}\n");
    check("[1][2]{}'a''b'1 2", "[1]\n[2]\n{}\n\"a\"\n\"b\"\n1\n");
    check("\t\r\n {\n\"a\"\t:\r1 }", "{\"a\": 1}\n");
}

static void test_number_keeps_its_text(void)
{
    check("18446744073709551616 1.50e3 1e400 -0 ",
          "18446744073709551616\n1.50e3\n1e400\n-0\n");
}

static void test_string_escapes(void)
{
    check("\"\\\"\\'\\\\\\/\\b\\f\\n\\r\\t\" ",
          "\"\\\"'\\\\/\\b\\f\\n\\r\\t\"\n");
    check("'\"' \"'\" '\\''", "\"\\\"\"\n\"'\"\n\"'\"\n");
    check("\"\\u00e9\\ud83d\\ude00\\u0000\x7f\xC3\xA9\xF0\x9F\x98\x80\"",
          "\"\\u00E9\\uD83D\\uDE00\\u0000\\u007F\\u00E9\\uD83D\\uDE00\"\n");
    check("\"a\xC0\x80" "b\"", "\"a\\u0000b\"\n");
}

static void test_string_mistakes(void)
{
    static const char *const broken[] = {
        "\x80", "\xC3", "\xE2\x82", "\xC1\x81", "\xE0\x80\x80",
        "\xED\xA0\x80", "\xEF\xBF\xBF", "\xEF\xB7\x90", "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80",
    };

    check("\"\\x\" 1 ", "! JSON parse error, invalid escape sequence in string"
          "\n1\n");
    check("\"\\u12\"", "! JSON parse error, \\u12\" is not a valid Unicode"
          " character\n");
    check("\"\\ud800\"", "! JSON parse error, \\ud800 is not a valid Unicode"
          " character\n");
    check("\"\\ud83dx\\ude00\"", "! JSON parse error, \\ud83d is not a valid"
          " Unicode character\n");
    check("\"\\ud83d\\u0041\"", "! JSON parse error, \\ud83d is not a valid"
          " Unicode character\n");
    check("\"\\ufffe\"", "! JSON parse error, \\ufffe is not a valid Unicode"
          " character\n");
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *text = g_strdup_printf("\"%s\"", broken[i]);

        check(text, "! JSON parse error, invalid UTF-8 sequence in string\n");
    }
}

static void test_mistakes(void)
{
    check("junk ", "! JSON parse error, invalid keyword 'junk'\n");
    check("{]", "! JSON parse error, expecting value\n");
    check("]", "! JSON parse error, expecting value\n");
    check("[,]", "! JSON parse error, expecting value\n");
    check("[1,]", "! JSON parse error, expecting value\n");
    check("[1 2]", "! JSON parse error, expected separator in list\n");
    check("{\"a\" 1}", "! JSON parse error, missing : in object pair\n");
    check("{\"a\"}", "! JSON parse error, missing : in object pair\n");
    check("{\"a\":}", "! JSON parse error, expecting value\n");
    check("{\"a\":1,}", "! JSON parse error, expecting value\n");
    check("{\"a\":1 \"b\":2}",
          "! JSON parse error, expected separator in dict\n");
    check("{1:2}", "! JSON parse error, key is not a string in object\n");
    check("{[]:2}", "! JSON parse error, key is not a string in object\n");
    check("{\"a\":1,'a':2}", "! JSON parse error, duplicate key\n");
    check("{\"a\":1,'a':[,]}", "! JSON parse error, expecting value\n");
}

static void test_stray_text(void)
{
    check("01 2\n", "! JSON parse error, stray '01'\n");
    check("-\n", "! JSON parse error, stray '-\n'\n");
    check("1.\n3 \n4 ", "! JSON parse error, stray '1.\n'\n4\n");
    check("1.5e\n", "! JSON parse error, stray '1.5e\n'\n");
    check("%d", "! JSON parse error, stray '%'\n");
    check("True", "! JSON parse error, stray 'T'\n");
    check("\"abc\n\"", "! JSON parse error, stray '\"abc\n'\n");
    check("0e1 ", "0\n! JSON parse error, invalid keyword 'e'\n1\n");
}

static void test_stream_finds_into_step(void)
{
    /* The rest of a broken value is not a value of its own. */
    check("{\"a\":[1,{\"b\":}]} 1 ", "! JSON parse error, expecting value\n"
          "1\n");
    check("{\"a\":[1,{\"b\":]}}} 1 ", "! JSON parse error, expecting value\n"
          "! JSON parse error, expecting value\n1\n");
    check("[} ]\n1 ", "! JSON parse error, expecting value\n"
          "! JSON parse error, expecting value\n1\n");
    /* Stray text ends it; what follows is skipped to something structural. */
    check("{\"x\":@ 1 \"y\"{\"id\":2}", "! JSON parse error, stray '@'\n"
          "{\"id\": 2}\n");
    check("@\t1\n1 ", "! JSON parse error, stray '@'\n1\n");
    check("{\"x\":\xFF{\"id\":2}", "! JSON parse error, stray '\xFF'\n"
          "{\"id\": 2}\n");
}

static void test_limits(void)
{
    JsonLimits limits = { .max_bytes = 16, .max_tokens = 8, .max_depth = 3 };
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        { "[[[1]]] ", "[[[1]]]\n" },
        { "[[[[ {}", "! JSON nesting depth limit exceeded\n{}\n" },
        { "[1,2,3] ", "[1, 2, 3]\n" },
        { "[1,2,3,4] 1 ", "! JSON token count limit exceeded\n1\n" },
        { "[\"123456789012\"] ", "! JSON token size limit exceeded\n" },
        { "\"1234567890123456789\"\n1 ",
          "! JSON token size limit exceeded\n1\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = run(&limits, rows[i].text,
                                   strlen(rows[i].text), 3);

        g_test_message("%s", rows[i].text);
        g_assert_cmpstr(got, ==, rows[i].expected);
    }
}

static void test_depth_is_bounded(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *taken = NULL;
    g_autofree char *refused = NULL;
    g_autofree char *hostile = NULL;

    for (int i = 0; i < 1024; i++) {
        g_string_prepend_c(text, '[');
        g_string_append_c(text, ']');
    }
    taken = run(NULL, text->str, text->len, text->len);
    g_assert_true(g_str_has_prefix(taken, "[[[["));
    g_string_prepend_c(text, '[');
    refused = run(NULL, text->str, text->len, text->len);
    g_assert_true(g_str_has_prefix(refused,
                                   "! JSON nesting depth limit exceeded\n"));
    g_string_truncate(text, 0);
    for (int i = 0; i < 100000; i++) {
        g_string_append(text, "{\"a\":[");
    }
    hostile = run(NULL, text->str, text->len, text->len);
    g_assert_true(g_str_has_prefix(hostile,
                                   "! JSON nesting depth limit exceeded\n"));
}

static void test_many_members(void)
{
    g_autoptr(GString) text = g_string_new("{");
    g_autoptr(JsonValue) value = NULL;
    g_autoptr(GError) error = NULL;
    int64_t number;

    for (int i = 0; i < 20000; i++) {
        g_string_append_printf(text, "%s\"k%d\":%d", i > 0 ? "," : "", i, i);
    }
    g_string_append_c(text, '}');
    value = json_parse(text->str, text->len, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_dict_size(value), ==, 20000);
    g_assert_true(json_dict_get_int(value, "k19999", &number));
    g_assert_cmpint(number, ==, 19999);
    g_assert_null(json_dict_get(value, "k20000"));

    g_string_truncate(text, text->len - 1);
    g_string_append(text, ",\"k3\":1}");
    g_assert_null(json_parse(text->str, text->len, &error));
    g_assert_cmpstr(error->message, ==, "JSON parse error, duplicate key");
}

static void test_pause_keeps_the_rest(void)
{
    Log log = { .text = g_string_new(NULL), .pause = true };
    g_autoptr(JsonStream) stream = json_stream_new(NULL, log_value, &log);

    log.stream = stream;
    json_stream_feed(stream, "1 [2] 3", 7);
    g_assert_cmpstr(log.text->str, ==, "1\n");
    json_stream_feed(stream, " 4 ", 3);
    g_assert_cmpstr(log.text->str, ==, "1\n[2]\n");
    json_stream_feed(stream, NULL, 0);
    g_assert_cmpstr(log.text->str, ==, "1\n[2]\n3\n");
    log.pause = false;
    json_stream_feed(stream, NULL, 0);
    g_assert_cmpstr(log.text->str, ==, "1\n[2]\n3\n4\n");
    g_string_free(log.text, TRUE);
}

static void test_free_from_the_callback(void)
{
    Log log = { .text = g_string_new(NULL), .free_it = true };

    log.stream = json_stream_new(NULL, log_value, &log);
    json_stream_feed(log.stream, "1 2 3 ", 6);
    g_assert_cmpstr(log.text->str, ==, "1\n");
    g_string_free(log.text, TRUE);
}

static void test_end_of_input(void)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        { "12", "12\n" },
        { "{\"a\":", "! JSON parse error, premature EOI\n" },
        { "[1", "! JSON parse error, premature EOI\n" },
        { "\"abc", "! JSON parse error, stray '\"abc'\n" },
        { "nul", "! JSON parse error, invalid keyword 'nul'\n" },
        { " ", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Log log = { .text = g_string_new(NULL) };
        g_autoptr(JsonStream) stream = json_stream_new(NULL, log_value, &log);

        json_stream_feed(stream, rows[i].text, strlen(rows[i].text));
        json_stream_end(stream);
        g_assert_cmpstr(log.text->str, ==, rows[i].expected);
        g_string_free(log.text, TRUE);
    }
}

static void test_parse_takes_one_value(void)
{
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        { "", "Expecting a JSON value" },
        { " \n", "Expecting a JSON value" },
        { "{} 1", "Expecting at most one JSON value" },
        { "{} }", "Expecting at most one JSON value" },
        { "} {}", "JSON parse error, expecting value" },
        { "{\"type\":\"user\"", "JSON parse error, premature EOI" },
    };
    g_autoptr(JsonValue) value = json_parse(" {'a' : 1}\n", 11, NULL);

    g_assert_cmpuint(json_dict_size(value), ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(json_parse(rows[i].text, strlen(rows[i].text), &error));
        g_assert_nonnull(error);
        g_assert_cmpstr(error->message, ==, rows[i].error);
    }
}

static void test_integers_have_a_range(void)
{
    static const struct {
        const char *text;
        bool is_int;
        bool is_uint;
    } rows[] = {
        { "0", true, true },
        { "-0", true, true },
        { "-1", true, false },
        { "9223372036854775807", true, true },
        { "9223372036854775808", false, true },
        { "18446744073709551615", false, true },
        { "18446744073709551616", false, false },
        { "-9223372036854775808", true, false },
        { "-9223372036854775809", false, false },
        { "1.0", false, false },
        { "1e3", false, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(JsonValue) value = json_parse(rows[i].text,
                                                strlen(rows[i].text), NULL);
        int64_t number;
        uint64_t positive;

        g_assert_true(json_get_int(value, &number) == rows[i].is_int);
        g_assert_true(json_get_uint(value, &positive) == rows[i].is_uint);
    }
}

static void test_getters_refuse_other_types(void)
{
    g_autoptr(JsonValue) text = json_string("x");
    g_autoptr(JsonValue) list = json_list();
    bool boolean;
    int64_t number;

    g_assert_false(json_get_bool(text, &boolean));
    g_assert_false(json_get_int(text, &number));
    g_assert_false(json_get_int(NULL, &number));
    g_assert_null(json_get_string(list));
    g_assert_null(json_dict_get(list, "x"));
    g_assert_null(json_dict_get_string(NULL, "x"));
    g_assert_null(json_list_get(list, 0));
    g_assert_cmpuint(json_dict_size(list), ==, 0);
    g_assert_cmpuint(json_list_size(text), ==, 0);
}

static void test_set_replaces(void)
{
    g_autoptr(JsonValue) dict = json_dict();
    g_autofree char *text = NULL;

    json_dict_set_int(dict, "a", 1);
    json_dict_set_bool(dict, "b", true);
    json_dict_set_string(dict, "a", "\xFF");
    text = json_to_text(dict);
    g_assert_cmpstr(text, ==, "{\"a\": \"\\uFFFD\", \"b\": true}");
}

static void test_pretty(void)
{
    const char *text = "{\"a\": [1, {\"b\": null}], \"c\": {}, \"d\": []}";
    g_autoptr(JsonValue) value = json_parse(text, strlen(text), NULL);
    g_autofree char *pretty = json_to_pretty(value);

    g_assert_cmpstr(pretty, ==,
                    "{\n"
                    "    \"a\": [\n"
                    "        1,\n"
                    "        {\n"
                    "            \"b\": null\n"
                    "        }\n"
                    "    ],\n"
                    "    \"c\": {},\n"
                    "    \"d\": []\n"
                    "}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/values", test_values);
    g_test_add_func("/json/number-keeps-its-text", test_number_keeps_its_text);
    g_test_add_func("/json/string/escapes", test_string_escapes);
    g_test_add_func("/json/string/mistakes", test_string_mistakes);
    g_test_add_func("/json/mistakes", test_mistakes);
    g_test_add_func("/json/stray-text", test_stray_text);
    g_test_add_func("/json/stream/finds-into-step",
                    test_stream_finds_into_step);
    g_test_add_func("/json/stream/limits", test_limits);
    g_test_add_func("/json/stream/depth-is-bounded", test_depth_is_bounded);
    g_test_add_func("/json/stream/pause-keeps-the-rest",
                    test_pause_keeps_the_rest);
    g_test_add_func("/json/stream/free-from-the-callback",
                    test_free_from_the_callback);
    g_test_add_func("/json/stream/end-of-input", test_end_of_input);
    g_test_add_func("/json/many-members", test_many_members);
    g_test_add_func("/json/parse-takes-one-value",
                    test_parse_takes_one_value);
    g_test_add_func("/json/integers-have-a-range", test_integers_have_a_range);
    g_test_add_func("/json/getters-refuse-other-types",
                    test_getters_refuse_other_types);
    g_test_add_func("/json/set-replaces", test_set_replaces);
    g_test_add_func("/json/pretty", test_pretty);
    return g_test_run();
}
