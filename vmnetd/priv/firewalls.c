/*
 * Other people's firewalls: which there are, and rules where they have a place
 * for them
 *
 * Theory of operation
 * -------------------
 * Each base chain of a hook can drop what others accept.  Firewalls that drop
 * what they do not know when it is forwarded:
 *
 *   Docker     policy of "filter FORWARD"; the chain DOCKER-USER, which it does
 *              not touch, is for rules like ours
 *   ufw        policy of "filter FORWARD"; ufw-user-forward has what users allow.
 *              "ufw reload" empties it: install again
 *   firewalld  table "inet firewalld", which is its own: whoever runs it puts
 *              the tap into a zone
 *   libvirt    refuses only what concerns its own networks
 *
 * Only what nftables keeps is seen: a firewall of iptables-legacy is not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/firewalls.h"

#include <linux/netfilter.h>
#include <string.h>

#include "priv/nft.h"
#include "vmnet/error.h"

/* Rules of ours in one place: two per network. */
#define RULES_MAX 4096

/** Where a firewall keeps what others allow; indexes are bits of "places". */
static const struct {
    PrivFirewall firewall;
    uint8_t family;
    const char *chain;
} places[] = {
    { PRIV_FIREWALL_DOCKER, NFPROTO_IPV4, "DOCKER-USER" },
    { PRIV_FIREWALL_DOCKER, NFPROTO_IPV6, "DOCKER-USER" },
    { PRIV_FIREWALL_UFW, NFPROTO_IPV4, "ufw-user-forward" },
    { PRIV_FIREWALL_UFW, NFPROTO_IPV6, "ufw6-user-forward" },
};

/* Of iptables-nft. */
static const char place_table[] = "filter";

static const char *family_text(uint8_t family)
{
    return family == NFPROTO_IPV4 ? "ip" : "ip6";
}

/* What there is */

/**
 * Survey:
 * @drops4, @drops6: "filter" has a chain of the forward hook that drops
 * @other: so does another table
 */
typedef struct Survey {
    unsigned places, found;
    bool drops4, drops6, other;
} Survey;

static bool is_place_table(const NftChain *chain)
{
    return !strcmp(chain->table, place_table) &&
           (chain->family == NFPROTO_IPV4 || chain->family == NFPROTO_IPV6);
}

static void note_hook(Survey *survey, const NftChain *chain)
{
    if (chain->hook != NF_INET_FORWARD || !chain->drops ||
        chain->family == NFPROTO_BRIDGE || chain->family == NFPROTO_NETDEV) {
        return;
    }
    if (!is_place_table(chain)) {
        survey->other |= strcmp(chain->table, "firewalld") != 0;
    } else if (chain->family == NFPROTO_IPV4) {
        survey->drops4 = true;
    } else {
        survey->drops6 = true;
    }
}

static void read_chain(void *opaque, const NftChain *chain)
{
    Survey *survey = opaque;
    unsigned i;

    note_hook(survey, chain);
    if (!strcmp(chain->table, "firewalld")) {
        survey->found |= PRIV_FIREWALL_FIREWALLD;
    }
    if (!strcmp(chain->table, "libvirt_network") ||
        g_str_has_prefix(chain->name, "LIBVIRT_")) {
        survey->found |= PRIV_FIREWALL_LIBVIRT;
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        if (is_place_table(chain) && places[i].family == chain->family &&
            !strcmp(chain->name, places[i].chain)) {
            survey->places |= 1u << i;
            survey->found |= places[i].firewall;
        }
    }
}

static bool has_place(const Survey *survey, uint8_t family)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i].family == family && (survey->places & 1u << i)) {
            return true;
        }
    }
    return false;
}

static bool survey_all(Survey *survey, GError **error)
{
    int errnum = nft_each_chain(read_chain, survey);

    if (errnum) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                    "nftables: %s", g_strerror(errnum));
        return false;
    }
    if (survey->other ||
        (survey->drops4 && !has_place(survey, NFPROTO_IPV4)) ||
        (survey->drops6 && !has_place(survey, NFPROTO_IPV6))) {
        survey->found |= PRIV_FIREWALL_OTHER;
    }
    return true;
}

/* Rules of ours */

/**
 * Ours:
 * @comment: of the rules that are looked for
 * @is_prefix: or the beginning of theirs
 * @removal: commands are added to it; NULL: only counted
 */
typedef struct Ours {
    unsigned place, n;
    const char *comment;
    bool is_prefix;
    GString *removal;
} Ours;

static void read_rule(void *opaque, const NftRule *rule)
{
    Ours *ours = opaque;
    bool matches = rule->comment &&
                   (ours->is_prefix
                    ? g_str_has_prefix(rule->comment, ours->comment)
                    : !strcmp(rule->comment, ours->comment));

    if (!matches || ours->n >= RULES_MAX) {
        return;
    }
    ours->n++;
    if (ours->removal) {
        g_autofree char *line = g_strdup_printf(
            "delete rule %s %s %s handle %" G_GUINT64_FORMAT "\n",
            family_text(places[ours->place].family), place_table,
            places[ours->place].chain, rule->handle);

        if (!strstr(ours->removal->str, line)) { /* not told twice */
            g_string_append(ours->removal, line);
        }
    }
}

static unsigned find_ours(Ours *ours)
{
    nft_each_rule(places[ours->place].family, place_table,
                  places[ours->place].chain, read_rule, ours);
    return ours->n;
}

static char *comment_of(const char *ifname, const char *mark)
{
    return g_strdup_printf("%s %s", mark, ifname ?: "");
}

bool firewalls_pass(const char *ifname, const char *mark, unsigned *ret_found,
                    GError **error)
{
    g_autofree char *comment = comment_of(ifname, mark);
    g_autoptr(GString) commands = g_string_new(NULL);
    Survey survey = { 0 };
    unsigned i;

    if (!survey_all(&survey, error)) {
        return false;
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        Ours ours = { .place = i, .comment = comment };

        if (!(survey.places & 1u << i) || find_ours(&ours) > 0) {
            continue;
        }
        g_string_append_printf(
            commands, "insert rule %1$s %2$s %3$s iifname \"%4$s\" accept "
            "comment \"%5$s\"\ninsert rule %1$s %2$s %3$s oifname \"%4$s\" "
            "accept comment \"%5$s\"\n", family_text(places[i].family),
            place_table, places[i].chain, ifname, comment);
    }
    *ret_found = survey.found;
    return !commands->len || nft_run(commands->str, error);
}

bool firewalls_forget(const char *ifname, const char *mark, GError **error)
{
    g_autofree char *comment = comment_of(ifname, mark);
    g_autoptr(GString) commands = g_string_new(NULL);
    Survey survey = { 0 };
    unsigned i;

    if (!survey_all(&survey, error)) {
        return false;
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        Ours ours = {
            .place = i, .comment = comment, .is_prefix = !ifname,
            .removal = commands,
        };

        if (survey.places & 1u << i) {
            find_ours(&ours);
        }
    }
    return !commands->len || nft_run(commands->str, error);
}
