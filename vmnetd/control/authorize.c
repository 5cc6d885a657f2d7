/*
 * What a client of the system instance may do: the policy, asked
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/authorize.h"

#include "control/hostfwd.h"
#include "control/netdev.h"
#include "vmnet/error.h"

static bool is_asked(const Client *client)
{
    return client->control->policy && client->qmp && client->uid != 0;
}

/**
 * Ask: one question
 * @rule: that decides; NULL: none
 */
typedef struct Ask {
    const Client *client;
    const char *network;
    const PolicyRule *rule;
} Ask;

static Ask ask_about(const Client *client, const char *network)
{
    return (Ask) {
        .client = client,
        .network = network,
        .rule = policy_find(client->control->policy, &client->peer, network),
    };
}

static char *describe(const Ask *ask)
{
    const Policy *policy = ask->client->control->policy;

    if (ask->rule) {
        return policy_rule_describe(policy, ask->rule);
    }
    return g_strdup_printf("no rule of %s is for this user and network",
                           policy->path);
}

/*
 * @what: after "may not", as in "create it"
 * @mend: what root can write into the rule; where there is none, a rule
 */
static bool answer(const Ask *ask, bool is_allowed, const char *what,
                   const char *mend, GError **error)
{
    const Client *client = ask->client;
    g_autofree char *by = describe(ask);

    g_message("policy: %s: uid %u (pid %s): network '%s': %s: %s",
              is_allowed ? "granted" : "refused", (unsigned)client->uid,
              client->name, ask->network, what, by);
    if (!is_allowed) {
        g_set_error(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                    "network '%s': user %u may not %s: %s; root can write %s "
                    "there and 'kill -HUP' vmnetd, see vmnet-policy(5)",
                    ask->network, (unsigned)client->uid, what, by,
                    ask->rule ? mend : "one");
    }
    return is_allowed;
}

static bool check_start(const Ask *ask, const NetworkChoice *choice,
                        GError **error)
{
    const PolicyRule *rule = ask->rule;

    if (choice->runs) {
        return answer(ask, rule && rule->use, "use it", "'use: yes'", error);
    }
    return answer(ask, rule && rule->use && rule->create, "create it",
                  "'create: yes'", error);
}

static bool check_interface(const Ask *ask, const char *ifname, GError **error)
{
    g_autofree char *what = NULL, *mend = NULL;

    if (!ifname[0]) {
        return true;
    }
    what = g_strdup_printf("join interface '%s'", ifname);
    mend = g_strdup_printf("'bridge: %s'", ifname);
    return answer(ask, ask->rule && policy_rule_bridges(ask->rule, ifname),
                  what, mend, error);
}

static bool check_port(const Ask *ask, uint16_t port, GError **error)
{
    const PolicyRule *rule = ask->rule;
    g_autofree char *what = NULL;

    if (port == 0 || port >= POLICY_LOW_PORTS) {
        return true;
    }
    what = g_strdup_printf("forward from host port %u", port);
    return answer(ask, rule && rule->use && rule->low_ports, what,
                  "'ports-below-1024: yes'", error);
}

static bool check_ports(const Ask *ask, const GArray *forwards, GError **error)
{
    unsigned i;

    for (i = 0; i < forwards->len; i++) {
        const HostfwdRule *rule = &g_array_index(forwards, HostfwdRule, i);

        if (!check_port(ask, rule->host.port, error)) {
            return false;
        }
    }
    return true;
}

/* @ret_choice: to be cleared, also on failure */
static bool ask_about_choice(const Client *client, const NetworkConfig *config,
                             NetworkChoice *ret_choice, Ask *ret_ask,
                             GError **error)
{
    if (!network_choose(client->control->networks, config, ret_choice, error)) {
        return false;
    }
    *ret_ask = ask_about(client, ret_choice->name);
    return true;
}

bool authorize_network(const Client *client, const NetworkConfig *config,
                       const GArray *forwards, GError **error)
{
    g_auto(NetworkChoice) choice = { 0 };
    Ask ask;

    if (!is_asked(client)) {
        return true;
    }
    if (!ask_about_choice(client, config, &choice, &ask, error)) {
        return false;
    }
    return check_start(&ask, &choice, error) &&
           check_interface(&ask, choice.ifname, error) &&
           check_ports(&ask, forwards, error);
}

/* Of the same user, on networks for which the same rule decides. */
static unsigned count_netdevs(const Ask *ask)
{
    const Control *control = ask->client->control;
    unsigned i, n = 0;

    for (i = 0; i < control->netdevs->len; i++) {
        const ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);
        NetworkInfo info;

        if (netdev->uid != ask->client->uid) {
            continue;
        }
        network_info(netdev->network, &info);
        n += policy_find(control->policy, &ask->client->peer, info.name) ==
             ask->rule;
    }
    return n;
}

bool authorize_netdev(const Client *client, const NetworkConfig *config,
                      GError **error)
{
    g_auto(NetworkChoice) choice = { 0 };
    g_autofree char *what = NULL;
    Ask ask;

    if (!is_asked(client)) {
        return true;
    }
    if (!ask_about_choice(client, config, &choice, &ask, error)) {
        return false;
    }
    if (ask.rule && count_netdevs(&ask) < ask.rule->netdevs) {
        return true;
    }
    what = g_strdup_printf("have more than %u netdevs",
                           ask.rule ? ask.rule->netdevs : 0);
    return answer(&ask, false, what, "more with 'netdevs:'", error);
}

bool authorize_forward(const Client *client, Network *network, uint16_t port,
                       GError **error)
{
    NetworkInfo info;
    Ask ask;

    if (!is_asked(client)) {
        return true;
    }
    network_info(network, &info);
    ask = ask_about(client, info.name);
    return answer(&ask, ask.rule && ask.rule->use, "use it", "'use: yes'",
                  error) &&
           check_port(&ask, port, error);
}

bool authorize_end(const Client *client, const char *name, GError **error)
{
    Ask ask;

    if (!is_asked(client)) {
        return true;
    }
    ask = ask_about(client, name);
    return answer(&ask, ask.rule && ask.rule->use && ask.rule->create,
                  "end it", "'create: yes'", error);
}

bool authorize_quit(const Client *client, GError **error)
{
    if (!is_asked(client)) {
        return true;
    }
    g_message("policy: refused: uid %u (pid %s): quit",
              (unsigned)client->uid, client->name);
    g_set_error_literal(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                        "only root can end the system instance");
    return false;
}

const char *authorize_why_not(const Client *client, const char *ifname)
{
    g_autofree char *name = g_strdup_printf("bridged-%s", ifname);
    Ask ask;

    if (!is_asked(client)) {
        return NULL;
    }
    ask = ask_about(client, name);
    return ask.rule && policy_rule_bridges(ask.rule, ifname) ? NULL :
           "the policy does not let this user join it: see vmnet-policy(5)";
}
