# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # names used by those who source it
# The whole installation of one home: its settings, the build, and the services. Sourced by deploy/up,
# down, status and demo.

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/packages.sh
. "$LOCAL_DIR/packages.sh"
# shellcheck source=deploy/local/kafka.sh
. "$LOCAL_DIR/kafka.sh"
# shellcheck source=deploy/local/postgres.sh
. "$LOCAL_DIR/postgres.sh"

STREAMLENS_HOME=$(realpath -m "${STREAMLENS_HOME:-$ROOT_DIR/.streamlens}")
BUILD_DIR=$(realpath -m "${BUILD_DIR:-$ROOT_DIR/build}")
ENV_FILE=$STREAMLENS_HOME/env
PROGRAMS=(ingest-api/streamlens-ingest-api processor/streamlens-processor
    metrics-api/streamlens-metrics-api deploy/admin/streamlens-admin)

SOCKET_PATH_MAX=107 # the kernel's

STARTED=0 # 1 when something had to be started or stopped

# --- settings ---------------------------------------------------------------------------------------

# Settings stay as they were given last (they stand in the env file) until given anew; an empty value
# takes one back. So `INGEST_PORT=9000 ./deploy/up` and then `./deploy/up` is no change.
settings_load() {
    local line name saved_kafka='' saved_postgres=''
    OWN=' kafka postgres '
    if [ -r "$ENV_FILE" ]; then
        while IFS= read -r line; do
            name=${line#export }
            name=${name%%=*}
            case $name in
            STREAMLENS_HOME | INGEST_URL | METRICS_URL) continue ;;
            STREAMLENS_OWN) eval "OWN=${line#*=}" && continue ;;
            KAFKA_BROKERS) eval "saved_kafka=${line#*=}" ;;
            POSTGRES_DSN) eval "saved_postgres=${line#*=}" ;;
            esac
            if [ -z "${!name+x}" ]; then
                eval "$line"
            fi
        done < <(grep '^export ' "$ENV_FILE")
    fi
    for name in $(compgen -e); do
        [ -n "${!name}" ] || [[ ! $name =~ ^[A-Z][A-Z0-9_]*$ ]] || unset "$name"
    done
    export KAFKA_PORT=${KAFKA_PORT:-19092} PG_PORT=${PG_PORT:-15432} INGEST_PORT=${INGEST_PORT:-8080}
    export METRICS_PORT=${METRICS_PORT:-8081} PROCESSOR_PORT=${PROCESSOR_PORT:-8082}
    export PROCESSORS=${PROCESSORS:-1} INGESTS=${INGESTS:-1} STREAMLENS_HOME
    # A file with the DSN beats the DSN we wrote ourselves.
    if [ -n "${POSTGRES_DSN_FILE:-}" ] && [ "${POSTGRES_DSN:-}" = "$saved_postgres" ]; then unset POSTGRES_DSN; fi
    # What is set and is not what we ourselves wrote was given by the user: then nothing is started.
    own_or_given kafka "${KAFKA_BROKERS:-}" "$saved_kafka"
    own_or_given postgres "${POSTGRES_DSN:-${POSTGRES_DSN_FILE:-}}" "$saved_postgres"
}

# own_or_given PART VALUE WHAT_WE_WROTE_LAST: adds PART to OWN or takes it out.
own_or_given() {
    local was_own=0
    [[ $OWN != *" $1 "* ]] || was_own=1
    OWN=${OWN/" $1 "/ }
    if [ -z "$2" ] || { [ "$was_own" = 1 ] && [ "$2" = "$3" ]; }; then OWN+="$1 "; fi
}

owns() { [[ $OWN == *" $1 "* ]]; }

settings_check() {
    if ! [[ $PROCESSORS =~ ^[1-9][0-9]{0,2}$ ]]; then
        die "PROCESSORS is '$PROCESSORS'; a number from 1 to 999 is wanted"
    fi
    if ! [[ $INGESTS =~ ^[1-9][0-9]?$ ]] || [ "$INGESTS" -gt 64 ]; then
        die "INGESTS is '$INGESTS'; a number from 1 to 64 is wanted"
    fi
    local name
    for name in $(ingest_names); do
        [ "$INGESTS" = 1 ] || [ -n "$(service_socket "$name")" ] ||
            die "$STREAMLENS_HOME is too long a path for the socket of $name, which INGESTS=$INGESTS needs" \
                "Set STREAMLENS_HOME to a directory of at most $((SOCKET_PATH_MAX - ${#name} - 10)) characters."
    done
    for name in KAFKA_PORT PG_PORT INGEST_PORT METRICS_PORT PROCESSOR_PORT; do
        [[ ${!name} =~ ^[1-9][0-9]{0,4}$ ]] && [ "${!name}" -le 65535 ] && continue
        die "$name is '${!name}'; a port from 1 to 65535 is wanted"
    done
}

# ports_wanted: a line "PORT VARIABLE NAME" for each port that this home takes.
ports_wanted() {
    local name
    if owns kafka; then
        printf '%s KAFKA_PORT kafka\n' "$KAFKA_PORT" "$((KAFKA_PORT + 1))"
    fi
    if owns postgres; then printf '%s PG_PORT postgres\n' "$PG_PORT"; fi
    printf '%s INGEST_PORT ingest-api\n' "$INGEST_PORT"
    for name in metrics-api $(processor_names); do
        printf '%s %s %s\n' "$(service_port "$name")" "$(service_port_variable "$name")" "$name"
    done
}

# Before anything is stopped or started. A port held by the very process that is to have it is no clash.
ports_check() {
    local port variable name pids
    local -A taken
    while read -r port variable name; do
        [ -z "${taken[$port]:-}" ] || die "port $port is given to two: ${taken[$port]} and $variable" \
            "KAFKA_PORT takes two, PROCESSOR_PORT one a processor, upwards."
        taken[$port]=$variable
        mapfile -t pids < <(port_pids "$name")
        port_need "$port" "$variable" "${pids[@]}"
    done < <(ports_wanted)
}

# Where a client on this machine reaches the services.
http_host() {
    case ${HTTP_ADDR:-127.0.0.1} in
    0.0.0.0 | '' | '*') printf 127.0.0.1 ;;
    ::) printf '[::1]' ;;
    *:*) printf '[%s]' "$HTTP_ADDR" ;;
    *) printf '%s' "${HTTP_ADDR:-127.0.0.1}" ;;
    esac
}

# Names of all settings the programs know, from the programs themselves.
settings_known() {
    local program
    for program in "${PROGRAMS[@]}"; do
        "$BUILD_DIR/$program" --print-config 2>/dev/null | sed -nE 's/^([A-Z][A-Z0-9_]*)=.*/\1/p'
    done | sort -u
}

# setting_given NAME: one that a program knows, directly or as NAME_FILE, or that goes to librdkafka.
setting_given() {
    case $1 in
    HTTP_PORT | HTTP_SOCKET | HTTP_REUSEPORT | GROUP_INSTANCE_ID) return 1 ;; # each process has its own
    INGESTS) return 1 ;;                                                      # ours as well
    KAFKA_CONF_*) return 0 ;;
    esac
    [[ " $SETTINGS_KNOWN " == *" ${1%_FILE} "* ]]
}

# The env file: everything another process needs, by hand or by the other scripts here.
env_write() {
    local name
    SETTINGS_KNOWN=$(settings_known | tr '\n' ' ')
    {
        printf '# The settings of this installation, written by deploy/up. One more processor by hand:\n'
        printf '#   . %q && %q\n' "$ENV_FILE" "$BUILD_DIR/processor/streamlens-processor"
        printf 'export STREAMLENS_OWN=%q\n' "$OWN"
        for name in STREAMLENS_HOME BUILD_DIR KAFKA_PORT PG_PORT INGEST_PORT METRICS_PORT \
            PROCESSOR_PORT PROCESSORS INGESTS; do
            printf 'export %s=%q\n' "$name" "${!name}"
        done
        printf 'export INGEST_URL=http://%s:%s\n' "$(http_host)" "$INGEST_PORT"
        printf 'export METRICS_URL=http://%s:%s\n' "$(http_host)" "$METRICS_PORT"
        for name in $(compgen -e | sort); do
            ! setting_given "$name" || printf 'export %s=%q\n' "$name" "${!name}"
        done
    } >"$ENV_FILE.new"
    chmod 600 "$ENV_FILE.new"
    mv "$ENV_FILE.new" "$ENV_FILE"
}

# --- build ------------------------------------------------------------------------------------------

build_release() {
    [ -e "$BUILD_DIR/build.ninja" ] || meson setup "$BUILD_DIR" "$ROOT_DIR" --buildtype=release || return 1
    ninja -C "$BUILD_DIR" "${PROGRAMS[@]}"
}

# Two homes may share one build directory: one build of it at a time.
build_locked() {
    mkdir -p "$BUILD_DIR"
    (flock 8 && build_release 8>&-) 8>"$BUILD_DIR/.up-lock"
}

build_programs() {
    step "building in $BUILD_DIR" build_locked || die "the build failed" \
        "The whole output is at the end of $STREAMLENS_HOME/log/steps.log" \
        "If the tree builds elsewhere, $BUILD_DIR may be stale: remove it and try again."
}

# --- services ---------------------------------------------------------------------------------------

processor_names() {
    local i
    for ((i = 1; i <= PROCESSORS; i++)); do printf 'processor-%d\n' "$i"; done
}

ingest_names() {
    local i
    if [ "$INGESTS" = 1 ]; then printf 'ingest-api\n' && return; fi
    for ((i = 1; i <= INGESTS; i++)); do printf 'ingest-api-%d\n' "$i"; done
}

# service_names: in the order of starting.
service_names() {
    printf 'metrics-api\n'
    processor_names
    ingest_names
}

service_program() {
    case $1 in
    processor-*) printf '%s/processor/streamlens-processor' "$BUILD_DIR" ;;
    ingest-api*) printf '%s/ingest-api/streamlens-ingest-api' "$BUILD_DIR" ;;
    *) printf '%s/%s/streamlens-%s' "$BUILD_DIR" "$1" "$1" ;;
    esac
}

service_port() {
    case $1 in
    ingest-api*) printf '%s' "$INGEST_PORT" ;;
    metrics-api) printf '%s' "$METRICS_PORT" ;;
    processor-*) printf '%s' $((PROCESSOR_PORT + ${1#processor-} - 1)) ;;
    esac
}

service_port_variable() {
    case $1 in
    ingest-api*) printf INGEST_PORT ;;
    metrics-api) printf METRICS_PORT ;;
    processor-*) printf PROCESSOR_PORT ;;
    esac
}

# port_pids NAME: of those who may hold its port, a line each: itself; the ingest processes share theirs.
port_pids() {
    local name names=$1
    [[ $1 != ingest-api* ]] || names=$(running_names ingest-api)
    for name in $names; do process_pid_alive "$name"; done
}

service_url() { printf 'http://%s:%s' "$(http_host)" "$(service_port "$1")"; }

# service_socket NAME: where an API listens beside its port, for a proxy and for ourselves: behind a shared port
# nobody can choose a process. Nothing where the path is too long for a socket.
service_socket() {
    local path=$STREAMLENS_HOME/run/$1.sock
    [[ $1 == processor-* ]] || [ "${#path}" -gt "$SOCKET_PATH_MAX" ] || printf '%s' "$path"
}

# service_curl NAME PATH OPTION...: asks this very process.
service_curl() {
    local name=$1 path=$2 socket
    shift 2
    socket=$(service_socket "$name")
    # A proxy of the environment is for the outside, not for this machine's own services.
    curl --noproxy '*' -sS --max-time 3 ${socket:+--unix-socket "$socket"} "$@" "$(service_url "$name")$path"
}

service_ready() { service_curl "$1" /readyz -f -o /dev/null; }

# service_env NAME: sets SERVICE_ENV to what only this service gets.
service_env() {
    SERVICE_ENV=("HTTP_PORT=$(service_port "$1")")
    local socket
    socket=$(service_socket "$1")
    [ -z "$socket" ] || SERVICE_ENV+=("HTTP_SOCKET=$socket")
    # Also for one: it goes on while those that take its place are started, see services_start.
    [[ $1 != ingest-api* ]] || SERVICE_ENV+=(HTTP_REUSEPORT=1)
    [[ $1 == processor-* ]] || return 0
    # At a broker shared with other installations of the same group, a name that none of them has: two of
    # one name throw each other out.
    if owns kafka; then SERVICE_ENV+=("GROUP_INSTANCE_ID=$1"); else
        SERVICE_ENV+=("GROUP_INSTANCE_ID=$(uname -n | tr -c 'A-Za-z0-9._\n-' _)-$(service_port "$1")")
    fi
}

# Two lines: what program, which settings. Secrets are masked in --print-config, so they are added here;
# only hashes are stored.
service_stamp() {
    local program
    program=$(service_program "$1")
    service_env "$1"
    sha256sum <"$program"
    { env "${SERVICE_ENV[@]}" "$program" --print-config && env | grep -E '^(POSTGRES_DSN|KAFKA_CONF_)' | sort; } |
        sha256sum
}

service_check() {
    local output
    service_env "$1"
    output=$(env "${SERVICE_ENV[@]}" "$(service_program "$1")" --check-config 2>&1) || {
        printf '%s\n' "$output" >&2
        die "$1 refuses its settings" "Correct the setting named above and run this again."
    }
}

# service_ensure NAME: runs with the present program and settings afterwards, though perhaps not ready
# yet. Sets STARTED=1 when it had to do something.
service_ensure() {
    local name=$1 stamp old why='' pids
    stamp=$(service_stamp "$name")
    old=$(cat "$STREAMLENS_HOME/run/$name.stamp" 2>/dev/null || true)
    mapfile -t pids < <(port_pids "$name")
    if process_alive "$name"; then
        [ "$stamp" != "$old" ] || return 0
        port_need "$(service_port "$name")" "$(service_port_variable "$name")" "${pids[@]}"
        why=' with its new settings'
        [ "${stamp%%$'\n'*}" = "${old%%$'\n'*}" ] || why=' as newly built'
        note "restarting $name$why"
        process_stop "$name" TERM 30
    else
        port_need "$(service_port "$name")" "$(service_port_variable "$name")" "${pids[@]}"
    fi
    service_env "$name"
    process_start "$name" env "${SERVICE_ENV[@]}" "$(service_program "$name")"
    STARTED=1
    printf '%s\n' "$stamp" >"$STREAMLENS_HOME/run/$name.stamp"
}

# service_says NAME: why it is not ready, or how it is degraded; nothing where it is whole.
service_says() {
    local answer
    answer=$(service_curl "$1" /readyz 2>&1) || true
    case $answer in
    *'"reason":"'* | *'"degraded":"'*) sed -E 's/^.*"(reason|degraded)":"(.*)"\}$/\2/' <<<"$answer" ;;
    '{"status":"healthy"}') ;;
    *) printf '%s\n' "$answer" ;;
    esac
}

service_wait_ready() {
    local name=$1 result=0
    STEP_TAIL=0 step "waiting for $name" process_wait "$name" "${READY_SECONDS:-90}" service_ready "$name" ||
        result=$?
    if [ "$result" -ne 0 ]; then
        tail_log "$STREAMLENS_HOME/log/$name.log"
        process_alive "$name" || die "$name ended at its start" \
            "Its last lines stand above; the whole log is $STREAMLENS_HOME/log/$name.log"
        die "$name runs but is not ready after ${READY_SECONDS:-90} s" "It says: $(service_says "$name")" \
            "Ask it again: curl -i $(service_url "$name")/readyz"
    fi
}

# running_names KIND: ingest-api, processor or metrics-api: those that have a pid file.
running_names() {
    local file
    for file in "$STREAMLENS_HOME/run/$1".id "$STREAMLENS_HOME/run/$1"-*.id; do
        [ ! -e "$file" ] || basename "$file" .id
    done | sort -V
}

# services_surplus_stop KIND VARIABLE: those that the variable leaves no room for.
services_surplus_stop() {
    local name
    for name in $(running_names "$1"); do
        [[ " $(service_names | tr '\n' ' ') " == *" $name "* ]] && continue
        note "stopping $name: $2 is ${!2}"
        process_stop "$name" TERM 30
        rm -f "$STREAMLENS_HOME/run/$name.stamp"
        STARTED=1
    done
}

# No events in, then what processes them, then what shows them. Those of a kind are asked at once, so that
# each drains while the others do.
services_stop() {
    local kind name
    for kind in ingest-api processor metrics-api; do
        for name in $(running_names "$kind"); do
            ! process_alive "$name" || kill -TERM "$(process_pid "$name")" 2>/dev/null || true
        done
        for name in $(running_names "$kind"); do process_stop "$name" TERM 30; done
    done
    rm -f "$STREAMLENS_HOME"/run/*.stamp
}

# --- demo -------------------------------------------------------------------------------------------

demo_run() {
    INGEST_URL=$(service_url ingest-api) METRICS_URL=$(service_url metrics-api) \
        STREAMLENS_ADMIN=$BUILD_DIR/deploy/admin/streamlens-admin "$LOCAL_DIR/demo.py" 9>&-
}
