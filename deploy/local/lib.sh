# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # names used by those who source it
# What every script here shares: messages, steps with progress, the lock, and processes that are known
# by pid *and* start time. Sourced. The caller sets STREAMLENS_HOME (absolute) before it starts or
# stops anything; all state lives below it:
#   run/NAME.pid  the service's own pid            run/NAME.id  pid, start time, boot (is it still ours?)
#   log/NAME.log  what it printed                  kafka/ postgres/  their data and settings

LOCAL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(cd "$LOCAL_DIR/../.." && pwd)
STATE_VERSION=1
SAY_FD=1

say() { printf '%s\n' "$*" >&"$SAY_FD"; }
note() { printf '  %s\n' "$*" >&"$SAY_FD"; }

# die WHAT [WHAT_TO_DO]...: one line on what is wrong, then what to do about it.
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    local line
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

am_root() { [ "$(id -u)" -eq 0 ]; }
have() { command -v "$1" >/dev/null 2>&1; }
now_s() { printf '%s' "${EPOCHSECONDS:-$(date +%s)}"; }

tail_log() {
    [ -s "$1" ] || return 0
    printf '  last lines of %s:\n' "$1" >&2
    tail -n "${2:-15}" "$1" | sed 's/^/    | /' >&2
}

# end_tree PID: it and all its children, each asked to end.
end_tree() {
    local child
    for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do end_tree "$child"; done
    kill -TERM "$1" 2>/dev/null || true
}

# step_interrupted PID STATUS: what runs in the background does not hear Ctrl-C by itself.
step_interrupted() {
    trap '' INT TERM # once is enough
    printf '\n  interrupted; run it again to go on\n' >&2
    end_tree "$1"
    rm -f "$STREAMLENS_HOME/log/step.$BASHPID"
    exit "$2"
}

# step TEXT COMMAND...: runs it with its output in log/steps.log and shows that it goes on: the seconds
# count up on a terminal, elsewhere there is a line after one second and then every 15 s. Returns the
# command's status, after printing the end of its output when it failed (STEP_TAIL lines).
step() {
    local text=$1 started status=0 pid next=1 elapsed log traps
    shift
    traps=$(trap -p INT TERM)
    mkdir -p "$STREAMLENS_HOME/log"
    log=$STREAMLENS_HOME/log/step.$BASHPID
    started=$(now_s)
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    # shellcheck disable=SC2064 # the pid of now
    trap "step_interrupted $pid 130" INT && trap "step_interrupted $pid 143" TERM
    if [ -t "$SAY_FD" ]; then printf '  %s ...' "$text" >&"$SAY_FD"; fi
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        elapsed=$(($(now_s) - started))
        if [ -t "$SAY_FD" ]; then
            printf '\r  %s ... %d s' "$text" "$elapsed" >&"$SAY_FD"
        elif [ "$elapsed" -ge "$next" ]; then
            if [ "$next" = 1 ]; then note "$text ..."; else note "$text ... $elapsed s"; fi
            next=$((next / 15 * 15 + 15))
        fi
    done
    wait "$pid" || status=$?
    trap - INT TERM
    eval "$traps"
    elapsed=$(($(now_s) - started))
    if [ -t "$SAY_FD" ]; then
        if [ "$status" -eq 0 ]; then printf '\r  %s ... done (%d s)\n' "$text" "$elapsed"; else printf '\n'; fi
    elif [ "$status" -eq 0 ] && [ "$next" -gt 1 ]; then
        printf '  %s ... done (%d s)\n' "$text" "$elapsed"
    fi >&"$SAY_FD"
    { printf '### %s: %s\n' "$(date -u +%FT%TZ)" "$*" && cat "$log"; } >>"$STREAMLENS_HOME/log/steps.log"
    if [ "$status" -ne 0 ] && [ "${STEP_TAIL:-20}" -gt 0 ]; then
        tail -n "${STEP_TAIL:-20}" "$log" | sed 's/^/    | /' >&2
    fi
    rm -f "$log"
    return "$status"
}

# --- the home ---------------------------------------------------------------------------------------

disk_check() {
    local free_mib
    free_mib=$(df -Pm "$STREAMLENS_HOME" | awk 'NR == 2 { print $4 }')
    [ "$free_mib" -ge 1024 ] || die "only $free_mib MiB are free where $STREAMLENS_HOME lies; 1024 are needed" \
        "Free some space, or set STREAMLENS_HOME to a directory on another disk."
}

home_prepare() {
    mkdir -p "$STREAMLENS_HOME" 2>/dev/null || die "cannot make $STREAMLENS_HOME" \
        "Set STREAMLENS_HOME to a directory you may write."
    [ -w "$STREAMLENS_HOME" ] || die "$STREAMLENS_HOME belongs to another user" \
        "Run as that user, or set STREAMLENS_HOME to a directory of your own."
    disk_check
    local found=
    [ -r "$STREAMLENS_HOME/version" ] && found=$(cat "$STREAMLENS_HOME/version")
    if [ -z "$found" ]; then
        printf '%s\n' "$STATE_VERSION" >"$STREAMLENS_HOME/version"
    elif [ "$found" != "$STATE_VERSION" ]; then
        die "$STREAMLENS_HOME was written by another version (state $found, wanted $STATE_VERSION)" \
            "Delete it with ./deploy/down --wipe, or set STREAMLENS_HOME to a fresh directory."
    fi
    mkdir -p "$STREAMLENS_HOME/run" "$STREAMLENS_HOME/log"
}

# One script at a time per home. The lock is on fd 9 and every child gets it closed, or a service would
# hold it for as long as it lives.
home_lock() {
    exec 9>"$STREAMLENS_HOME/lock"
    if ! flock -n 9; then
        note "another up, down or demo is at work in $STREAMLENS_HOME; waiting for it"
        flock -w 600 9 || die "the lock $STREAMLENS_HOME/lock is held for more than 10 minutes" \
            "Look who holds it: fuser -v $STREAMLENS_HOME/lock"
    fi
}

# --- ports ------------------------------------------------------------------------------------------

port_taken() {
    if have ss; then
        [ -n "$(ss -ltnH "sport = :$1")" ]
    else
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
    fi
}

# port_holders PORT: a line "PID PROGRAM" each.
port_holders() {
    ! have ss || ss -ltnpH "sport = :$1" | grep -oE '"[^"]+",pid=[0-9]+' | sed -E 's/"(.*)",pid=(.*)/\2 \1/'
}

# port_need PORT VARIABLE [PID]...: free, or held by these alone. Else says who has it and which variable moves it.
port_need() {
    local pid program ours=0 others=''
    if ! [[ $1 =~ ^[0-9]{1,5}$ ]] || [ "$1" -lt 1 ] || [ "$1" -gt 65535 ]; then
        die "$2 is '$1'; a port from 1 to 65535 is wanted"
    fi
    port_taken "$1" || return 0
    while read -r pid program; do
        if [[ " ${*:3} " == *" $pid "* ]]; then ours=1; else others=" by $program (pid $pid)"; fi
    done < <(port_holders "$1")
    if [ "$ours" = 1 ] && [ -z "$others" ]; then return 0; fi
    die "port $1 ($2) is taken$others" \
        "End that program, or choose another port: $2=$(($1 + 10000 > 65000 ? $1 - 10000 : $1 + 10000)) $0"
}

# --- processes --------------------------------------------------------------------------------------

# The kernel's start time of a process; empty when it is gone or a zombie nobody has reaped.
process_start_time() {
    local line fields
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    read -r -a fields <<<"${line##*) }"
    [ "${fields[0]}" = Z ] || printf '%s' "${fields[19]}"
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# process_alive NAME: the one we started, not whoever has its number now.
process_alive() {
    local pid start boot
    [ -r "$STREAMLENS_HOME/run/$1.id" ] || return 1
    read -r pid start boot <"$STREAMLENS_HOME/run/$1.id" || return 1
    [ "$boot" = "$(boot_id)" ] && [ -n "$start" ] && [ "$(process_start_time "$pid")" = "$start" ]
}

process_pid() { cut -d' ' -f1 "$STREAMLENS_HOME/run/$1.id"; }
process_pid_alive() { ! process_alive "$1" || process_pid "$1"; }

# process_start NAME COMMAND...: in its own session, output appended to log/NAME.log. The files are
# written by the new process itself before it becomes COMMAND, so the pid is the service's.
process_start() {
    local name=$1 base=$STREAMLENS_HOME/run/$1 i
    shift
    rm -f "$base.pid" "$base.id"
    # Bounded: two logs of about this size at most, one of them of the runs before.
    if [ "$(stat -c %s "$STREAMLENS_HOME/log/$name.log" 2>/dev/null || echo 0)" -gt 67108864 ]; then
        mv "$STREAMLENS_HOME/log/$name.log" "$STREAMLENS_HOME/log/$name.log.1"
    fi
    # shellcheck disable=SC2016 # the inner shell expands
    setsid bash -c '
        base=$1; shift
        read -r line </proc/$$/stat
        read -r -a fields <<<"${line##*) }"
        read -r boot </proc/sys/kernel/random/boot_id
        printf "%s\n" "$$" >"$base.pid"
        printf "%s %s %s\n" "$$" "${fields[19]}" "$boot" >"$base.id.new"
        mv "$base.id.new" "$base.id"
        exec "$@"' "$name" "$base" "$@" >>"$STREAMLENS_HOME/log/$name.log" 2>&1 </dev/null 9>&- &
    for ((i = 0; i < 500; i++)); do
        [ -e "$base.id" ] && return 0
        sleep 0.01
    done
    die "$name could not be started" "Look at $STREAMLENS_HOME/log/$name.log"
}

# process_wait NAME SECONDS COMMAND...: until COMMAND succeeds. 1 when NAME died, 2 when time is up.
process_wait() {
    local name=$1 deadline=$(($(now_s) + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        process_alive "$name" || return 1
        [ "$(now_s)" -lt "$deadline" ] || return 2
        sleep 0.1
    done
}

# process_stop NAME SIGNAL SECONDS: asks, waits, then kills. Nothing when it does not run.
process_stop() {
    local name=$1 pid deadline=$(($(now_s) + $3))
    if process_alive "$name"; then
        pid=$(process_pid "$name")
        kill "-$2" "$pid" 2>/dev/null || true
        while process_alive "$name"; do
            if [ "$(now_s)" -ge "$deadline" ]; then
                note "$name (pid $pid) has not ended in $3 s: killed"
                kill -KILL "$pid" 2>/dev/null || true
                deadline=$(($(now_s) + 10))
            fi
            sleep 0.05
        done
    fi
    rm -f "$STREAMLENS_HOME/run/$name.pid" "$STREAMLENS_HOME/run/$name.id"
}
