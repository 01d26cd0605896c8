# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # STARTED is read by those who source it
# The local database: a cluster of its own under $STREAMLENS_HOME/postgres, on TCP 127.0.0.1:PG_PORT with
# a made-up password and no socket file. Debian's own cluster on 5432 is not touched. Sourced after
# lib.sh. Takes PG_PORT, and PG_SCRATCH=1 for one that may forget when the machine (not just it) dies.

postgres_find() {
    local dir
    for dir in "${PG_BIN:-/usr/lib/postgresql/15/bin}" /usr/lib/postgresql/{16,17,18}/bin; do
        if [ -x "$dir/postgres" ]; then
            PG_BIN=$dir
            return 0
        fi
    done
    die "there is no PostgreSQL 15 server" "Install it: apt-get install -y --no-install-recommends postgresql-15"
}

# PostgreSQL refuses root, so as root it runs as Debian's user postgres. setpriv becomes the command
# instead of starting it: the pid in run/ is then PostgreSQL's own.
postgres_user=()
postgres_user_set() {
    am_root || return 0
    id postgres >/dev/null 2>&1 || die "there is no user postgres to run the database as" \
        "Debian's package postgresql-15 makes it; PostgreSQL itself refuses to run as root."
    postgres_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
}

# The user postgres cannot enter a checkout below /root: the data then lies in /var/lib/streamlens, under
# a name made of the home's path, with a link to it from the home.
postgres_place() {
    local link=$STREAMLENS_HOME/postgres real
    [ -e "$link" ] && return 0
    if [ "${#postgres_user[@]}" -eq 0 ]; then
        mkdir -p "$link"
    elif "${postgres_user[@]}" test -x "$STREAMLENS_HOME"; then
        mkdir -p "$link" && chown postgres:postgres "$link"
    else
        real=/var/lib/streamlens/$(printf '%s' "$STREAMLENS_HOME" | sha256sum | cut -c 1-16)
        note "user postgres may not enter $STREAMLENS_HOME: the database lies in $real"
        mkdir -p "$real" && chown postgres:postgres "$real" && ln -sfn "$real" "$link"
    fi
    chmod 700 "$link/."
}

postgres_init() {
    local dir result=0
    dir=$(readlink -f "$STREAMLENS_HOME/postgres")
    rm -rf "$dir/data"
    (umask 077 && head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/password")
    [ "${#postgres_user[@]}" -eq 0 ] || chown postgres:postgres "$dir/password"
    (cd / && "${postgres_user[@]}" "$PG_BIN/initdb" -D "$dir/data.new" -U postgres --pwfile="$dir/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8) || result=$?
    [ "$result" -eq 0 ] && mv "$dir/data.new" "$dir/data"
    return "$result"
}

postgres_password() { cat "$STREAMLENS_HOME/postgres/password"; }
postgres_answers() {
    PGPASSWORD=$(postgres_password) PGCONNECT_TIMEOUT=2 "$PG_BIN/psql" -h 127.0.0.1 -p "$PG_PORT" \
        -U postgres -d postgres -Atqc 'SELECT 1'
}

# postgres_processes DATA: succeeds while anything of PostgreSQL works there; all its processes do so in
# the data directory.
postgres_processes() {
    local cwd
    for cwd in /proc/[0-9]*/cwd; do
        [ "$(readlink "$cwd" 2>/dev/null)" != "$1" ] || return 0
    done
    return 1
}

# postgres_unlock DATA: a killed PostgreSQL leaves its postmaster.pid, and after a reboot, or while nobody
# has reaped it, that number is somebody's: the next start would take him for a PostgreSQL. With a
# process still there the file stays: it keeps two servers off the same data.
postgres_unlock() {
    local i
    [ -e "$1/postmaster.pid" ] || return 0
    for ((i = 0; i < 100; i++)); do
        postgres_processes "$1" || break
        sleep 0.1
    done
    postgres_processes "$1" || rm -f "$1/postmaster.pid"
}

postgres_run() {
    local dir result=0 options=()
    dir=$(readlink -f "$STREAMLENS_HOME/postgres")
    if ! [ -e "$dir/data/PG_VERSION" ]; then
        rm -rf "$dir/data.new"
        postgres_init || return 1
    fi
    if [ "${PG_SCRATCH:-0}" = 1 ]; then options=(-c fsync=off -c full_page_writes=off); fi
    cd "$dir" || return 1
    postgres_unlock "$dir/data"
    process_start postgres "${postgres_user[@]}" "$PG_BIN/postgres" -D "$dir/data" -p "$PG_PORT" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \
        -c log_line_prefix='%m [%p] ' "${options[@]}"
    process_wait postgres 60 postgres_answers || result=$?
    [ "$result" -eq 0 ] || tail_log "$STREAMLENS_HOME/log/postgres.log"
    return "$result"
}

postgres_start() {
    local found wanted
    postgres_find
    postgres_user_set
    if process_alive postgres; then
        [ "$(cat "$STREAMLENS_HOME/postgres.port" 2>/dev/null)" = "$PG_PORT" ] && return 0
        note "PG_PORT changed: restarting PostgreSQL"
        postgres_stop
    fi
    postgres_place
    found=$(cat "$STREAMLENS_HOME/postgres/data/PG_VERSION" 2>/dev/null || true)
    wanted=$("$PG_BIN/postgres" --version | sed -nE 's/[^0-9]*([0-9]+).*/\1/p')
    [ -z "$found" ] || [ "$found" = "$wanted" ] ||
        die "the database in $STREAMLENS_HOME was made by PostgreSQL $found, installed is $wanted" \
            "Set PG_BIN to the old one's bin directory, or start afresh with ./deploy/down --wipe."
    port_need "$PG_PORT" PG_PORT
    STARTED=1
    step "starting PostgreSQL on 127.0.0.1:$PG_PORT" postgres_run ||
        die "PostgreSQL did not start" "Look at $STREAMLENS_HOME/log/postgres.log"
    printf '%s\n' "$PG_PORT" >"$STREAMLENS_HOME/postgres.port"
}

postgres_admin_dsn() { # as the superuser
    printf 'postgresql://postgres:%s@127.0.0.1:%s/postgres' "$(postgres_password)" "$PG_PORT"
}

# postgres_dsn NAME: as the role of that name, of the database of that name.
postgres_dsn() {
    printf 'postgresql://%s:%s@127.0.0.1:%s/%s' "$1" "$(postgres_password)" "$PG_PORT" "$1"
}

# postgres_database NAME: a role without special rights and a database it owns, both named NAME. Such a role
# may not make the one that reads (sql/README.md).
postgres_database() {
    local psql=("$PG_BIN/psql" -v ON_ERROR_STOP=1 -Atq -d "$(postgres_admin_dsn)")
    [ "$("${psql[@]}" -c "SELECT 1 FROM pg_roles WHERE rolname = '$1'")" = 1 ] ||
        "${psql[@]}" -c "CREATE ROLE $1 LOGIN PASSWORD '$(postgres_password)'"
    [ "$("${psql[@]}" -c "SELECT 1 FROM pg_database WHERE datname = '$1'")" = 1 ] ||
        "${psql[@]}" -c "CREATE DATABASE $1 OWNER $1"
    [ "$("${psql[@]}" -c "SELECT 1 FROM pg_roles WHERE rolname = 'streamlens_reader'")" = 1 ] ||
        "${psql[@]}" -c "CREATE ROLE streamlens_reader NOLOGIN"
}

# SIGINT is PostgreSQL's fast stop: it does not wait for clients.
postgres_stop() { process_stop postgres INT 30; }

postgres_wipe() {
    local link=$STREAMLENS_HOME/postgres
    if [ -L "$link" ]; then rm -rf "$(readlink -f "$link")"; fi
    rm -rf "$link" "$STREAMLENS_HOME/postgres.port"
}
