# Completion of vmnetctl, vmnet-run and vmnetd for bash
#
# Options and commands are those that --help names.  Networks and guests are asked
# of a daemon that runs; none is started: VMNETD names no program that could be.
# What guests call themselves is offered only where a shell sees nothing in it.
#
# SPDX-License-Identifier: GPL-2.0-or-later

# _vmnet_options PROGRAM...: the options in its help
_vmnet_options()
{
    "$@" --help 2>/dev/null |
        grep -oE '(^|, )[[:space:]]*--?[a-zA-Z][a-z-]*' | grep -oE -- '--?[a-zA-Z][a-z-]*'
}

# _vmnet_ask SYSTEM COMMAND MEMBER...: these members of a QMP command's answer
_vmnet_ask()
{
    local system=$1 command=$2 members
    shift 2
    members=$(IFS='|'; printf '%s' "$*")
    # shellcheck disable=SC2086 # --system or nothing
    VMNETD=/ timeout 2 vmnetctl $system --json qmp "$command" 2>/dev/null |
        sed -nE 's/^[[:space:]]*"('"$members"')": "([A-Za-z0-9][A-Za-z0-9._:/-]*)",?$/\2/p' |
        sort -u
}

_vmnet_reply()
{
    # shellcheck disable=SC2207 # words without blanks
    COMPREPLY=($(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}"))
}

_vmnet_files()
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "-$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

# _vmnet_system: "--system", if it is among the words so far
_vmnet_system()
{
    local word

    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word != --system ]] || echo --system
    done
}

_vmnetctl()
{
    local word words=() i

    COMPREPLY=()
    case ${COMP_WORDS[COMP_CWORD-1]} in
    --network)
        _vmnet_reply "$(_vmnet_ask "$(_vmnet_system)" query-networks name)"
        return
        ;;
    -n | --lines)
        return
        ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --network | -n | --lines) i=$((i + 1)) ;;
        -*) ;;
        *) words+=("$word") ;;
        esac
    done
    if [[ ${COMP_WORDS[COMP_CWORD]} == -* ]]; then
        _vmnet_reply "$(_vmnet_options vmnetctl "${words[@]:0:1}")"
        return
    fi
    case ${#words[@]},${words[*]} in
    0,*)
        _vmnet_reply "status leases forward connect log stop qmp"
        ;;
    1,forward)
        _vmnet_reply "add list remove"
        ;;
    1,connect)
        _vmnet_reply "$(_vmnet_ask "$(_vmnet_system)" query-netdevs \
            hostname address vm)"
        ;;
    1,qmp)
        _vmnet_reply "$(_vmnet_ask "$(_vmnet_system)" query-commands name)"
        ;;
    esac
}

_vmnet_run()
{
    local i

    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --network | --fd | --port | --name)
            i=$((i + 1))
            ;;
        --)
            _vmnet_command $((i + 1))
            return
            ;;
        -*) ;;
        *)
            _vmnet_command "$i"
            return
            ;;
        esac
    done
    case ${COMP_WORDS[COMP_CWORD-1]},${COMP_WORDS[COMP_CWORD]} in
    --network,*)
        _vmnet_reply "shared host $(_vmnet_ask "$(_vmnet_system)" \
            query-networks name)"
        ;;
    --port,*) _vmnet_reply "auto vhost-user stream dgram" ;;
    --fd,* | --name,*) ;;
    *,-*) _vmnet_reply "$(_vmnet_options vmnet-run)" ;;
    *) _vmnet_command "$COMP_CWORD" ;;
    esac
}

# _vmnet_command INDEX: a command line that begins there
_vmnet_command()
{
    if [[ $1 -lt $COMP_CWORD ]] && declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif [[ $1 -lt $COMP_CWORD ]]; then
        _vmnet_files f
    else
        _vmnet_files c
    fi
}

_vmnetd()
{
    COMPREPLY=()
    case ${COMP_WORDS[COMP_CWORD-1]} in
    --netdev)
        compopt -o nospace 2>/dev/null
        _vmnet_reply "vmnet-shared,id= vmnet-host,id= vmnet-bridged,id="
        ;;
    --export)
        compopt -o nospace 2>/dev/null
        _vmnet_reply "stream,id= dgram,id= vhost-user,id= tap,id="
        ;;
    --log-level) _vmnet_reply "error warning message info debug" ;;
    --user) _vmnet_files u ;;
    --group) _vmnet_files g ;;
    --bridged) _vmnet_reply "$(ls /sys/class/net 2>/dev/null)" ;;
    --state-dir | --runtime-dir) _vmnet_files d ;;
    --socket | --log-file | --pidfile | --resolv-conf | --policy) _vmnet_files f ;;
    --idle-timeout) ;;
    *) _vmnet_reply "$(_vmnet_options vmnetd)" ;;
    esac
}

complete -F _vmnetctl vmnetctl
complete -F _vmnet_run vmnet-run
complete -F _vmnetd vmnetd
