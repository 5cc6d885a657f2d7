/*
 * The kernel's part of one network: packet filter, address translation, IP
 * forwarding
 *
 * Theory of operation
 * -------------------
 *   install   record what will be changed of the host (settings.h)
 *             the table, in one transaction: it guards what follows
 *             forwarding, other people's firewalls
 *   remove    the same backwards
 *
 * Nothing is kept in memory that the kernel or the record does not know: tables
 * are told by their comment, so that the next process can clean up after this
 * one wherever it was killed.
 *
 * Connections that are tracked when rules change go on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/rules.h"

#include <linux/netfilter.h>
#include <string.h>

#include "priv/firewalls.h"
#include "priv/forwarding.h"
#include "priv/nft.h"
#include "priv/rules-text.h"
#include "priv/settings.h"
#include "vmnet/error.h"

static char comment[32];        /* of our tables; "": not opened */
static char *record_dir;
static unsigned firewalls;

bool priv_rules_open(const char *state_dir, uint32_t mark, GError **error)
{
    if (!nft_is_built(error) || !settings_open(state_dir, error)) {
        return false;
    }
    /* Without root's rights its name leads nowhere. */
    record_dir = g_strdup_printf("/proc/self/fd/%d", settings_dir());
    g_snprintf(comment, sizeof(comment), "vmnetd %08x", mark);
    return true;
}

void priv_rules_close(void)
{
    nft_close();
    settings_close();
    g_clear_pointer(&record_dir, g_free);
    comment[0] = '\0';
}

const char *const *priv_rules_paths(void)
{
    static const char *paths[3];

    paths[0] = record_dir ? SETTINGS_ROOT : NULL;
    paths[1] = record_dir;
    return paths;
}

static bool is_open(GError **error)
{
    if (!comment[0]) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                            "networks of the kernel's need libnftables and "
                            "root");
    }
    return comment[0];
}

/* Tables */

/**
 * Tables:
 * @name: of the table that is looked for; NULL: all
 * @ours: (element-type utf8): of our tables
 */
typedef struct Tables {
    const char *name;
    GPtrArray *ours;
    bool is_foreign;
} Tables;

static void read_table(void *opaque, const NftTable *table)
{
    Tables *tables = opaque;
    bool is_ours = !g_strcmp0(table->comment, comment) &&
                   g_str_has_prefix(table->name, PRIV_GATEWAY_PREFIX);

    if (table->family != NFPROTO_INET) {
        return;
    }
    if (is_ours) {
        if (g_ptr_array_find_with_equal_func(tables->ours, table->name,
                                             g_str_equal, NULL)) {
            return; /* told twice */
        }
        g_ptr_array_add(tables->ours, g_strdup(table->name));
    } else if (!g_strcmp0(table->name, tables->name)) {
        tables->is_foreign = true;
    }
}

static bool find_tables(Tables *tables, GError **error)
{
    int errnum;

    tables->ours = g_ptr_array_new_with_free_func(g_free);
    errnum = nft_each_table(read_table, tables);
    if (errnum) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                    "nftables: %s", g_strerror(errnum));
    } else if (tables->is_foreign) {
        g_set_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY,
                    "nftables: table 'inet %s' is there and not ours: remove "
                    "or rename it", tables->name);
    }
    return !errnum && !tables->is_foreign;
}

static bool is_there(const Tables *tables)
{
    return g_ptr_array_find_with_equal_func(tables->ours, tables->name,
                                            g_str_equal, NULL);
}

/* Install */

static void warn_of_firewalls(const char *name, unsigned found)
{
    if (found & PRIV_FIREWALL_FIREWALLD) {
        g_warning("network interface '%s': firewalld drops what it forwards "
                  "unless it is in a zone that allows it: firewall-cmd "
                  "--zone=trusted --add-interface=%s", name, name);
    }
    if (found & PRIV_FIREWALL_OTHER) {
        g_warning("network interface '%s': a firewall on this host drops what "
                  "is forwarded (policy of its forward hook) and must be told "
                  "to let it pass", name);
    }
}

/* Not being let pass by another is no reason to be none: it is told. */
static void pass_firewalls(const char *name)
{
    g_autoptr(GError) error = NULL;
    unsigned found = firewalls;

    if (!firewalls_pass(name, comment, &found, &error)) {
        g_warning("network interface '%s': other firewalls: %s", name,
                  error->message);
    }
    if (found != firewalls) {
        warn_of_firewalls(name, found);
    }
    firewalls = found;
}

static bool install(const PrivRules *rules, const Tables *tables,
                    GError **error)
{
    g_autoptr(Forwarding) forwarding = forwarding_plan(rules);
    g_autofree char *text = rules_text_table(rules,
                                             forwarding_opened(forwarding),
                                             comment, is_there(tables));

    if (!nft_run(text, error)) {
        return false;
    }
    if (!forwarding_apply(forwarding, error)) {
        if (!is_there(tables)) {
            priv_rules_remove(rules->name, NULL);
        }
        return false;
    }
    if (rules->mode == PRIV_RULES_SHARED) {
        pass_firewalls(rules->name);
    }
    return true;
}

bool priv_rules_install(const PrivRules *rules, GError **error)
{
    Tables tables = { .name = rules->name };
    bool ok = is_open(error) && rules_text_check(rules, error);

    if (ok) {
        ok = find_tables(&tables, error) && install(rules, &tables, error);
        g_ptr_array_unref(tables.ours);
    }
    return ok;
}

/* Remove */

static bool remove_table(const char *name, GError **error)
{
    g_autofree char *text = g_strdup_printf("delete table inet %s\n", name);

    return nft_run(text, error);
}

/* Returns: whether all has gone well; @error: the first that has not */
static bool remove_tables(const Tables *tables, GError **error)
{
    bool ok = true;
    unsigned i;

    for (i = 0; i < tables->ours->len; i++) {
        const char *name = g_ptr_array_index(tables->ours, i);

        if ((!tables->name || !strcmp(name, tables->name)) &&
            !remove_table(name, ok ? error : NULL)) {
            ok = false;
        }
    }
    return ok;
}

/* What lets packets in goes first, what keeps them out last. */
static bool remove_found(const Tables *tables, GError **error)
{
    bool is_last = !tables->name ||
                   tables->ours->len == (is_there(tables) ? 1 : 0);
    bool ok = firewalls_forget(tables->name, comment, error);

    ok &= settings_restore(is_last ? NULL : tables->name, ok ? error : NULL);
    ok &= remove_tables(tables, ok ? error : NULL);
    if (is_last) {
        firewalls = 0;
    }
    return ok;
}

bool priv_rules_remove(const char *name, GError **error)
{
    Tables tables = { .name = name };
    bool ok = is_open(error);

    if (ok) {
        ok = find_tables(&tables, error) && remove_found(&tables, error);
        g_ptr_array_unref(tables.ours);
    }
    return ok;
}

bool priv_rules_sweep(GError **error)
{
    return !comment[0] || priv_rules_remove(NULL, error);
}

unsigned priv_rules_firewalls(void)
{
    return firewalls;
}
