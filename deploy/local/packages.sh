# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # names used by those who source it
# The one list of Debian packages. Sourced after lib.sh.

PACKAGES_RUN=(
    build-essential pkg-config meson ninja-build                      # building
    libevent-dev librdkafka-dev libpq-dev libjansson-dev libxxhash-dev zlib1g-dev node-llhttp check
    libssl-dev libcjose-dev libre2-dev libmimalloc-dev
    tzdata                                                            # steps of days in a zone
    postgresql-15 maven kcat                                          # database, broker
    python3 curl procps util-linux iproute2                           # these scripts
)
PACKAGES_TEST=(
    clang clang-tidy clang-format libclang-rt-14-dev llvm valgrind shellcheck prometheus
    git openssl haproxy
    systemd                                                           # tests/manifests: systemd-analyze
    python3-jsonschema                                                # tests/support/schema_check.py
    jq python3-venv default-jdk-headless                              # deploy/examples
)
# What tests/interop calls, and who has it. One from elsewhere, often newer, does as well.
COMMANDS_INTEROP=('node nodejs' 'npm npm' 'go golang-go' 'cargo cargo-web')

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

# packages_missing NAME...: those of the list that are not there, one a line.
packages_missing() {
    local name
    for name in "$@"; do package_installed "$name" || printf '%s\n' "$name"; done
}

packages_apt() {
    local sudo=()
    am_root || sudo=(sudo)
    "${sudo[@]}" apt-get update &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# packages_need NAME...: installs what is missing, or says which command does.
packages_need() {
    local missing command
    have dpkg-query || die "this is not Debian: its packages cannot be installed from here" \
        "Install what these Debian packages hold, then run the parts by hand: $*"
    mapfile -t missing < <(packages_missing "$@")
    java_find || missing+=(default-jre-headless)
    [ "${#missing[@]}" -gt 0 ] || return 0
    command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if ! am_root; then
        have sudo || die "packages are missing, you are not root and there is no sudo" \
            "Have somebody run as root:" "  $command"
        # Asked for here, where a terminal can be read: inside a step a question would hang unseen.
        sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } ||
            die "packages are missing and sudo does not let you install them" \
                "Have somebody run as root:" "  $command"
    fi
    note "missing: ${missing[*]}"
    step "installing ${#missing[@]} packages" packages_apt "${missing[@]}" ||
        die "packages could not be installed" \
            "Is there a network, and do the sources in /etc/apt answer? Then try by hand:" "  $command"
}

# commands_need 'COMMAND PACKAGE'...: installs the packages of commands that are not there.
commands_need() {
    local pair missing=()
    for pair in "$@"; do have "${pair% *}" || missing+=("${pair#* }"); done
    packages_need "${missing[@]}"
}

# java_find: sets JAVA to a Java of 17 or later, which Kafka 4 asks for. JAVA_HOME comes first.
java_find() {
    local candidate major
    for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java /usr/lib/jvm/*/bin/java; do
        have "$candidate" || continue
        major=$("$candidate" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1)
        if [ "${major:-0}" -ge 17 ]; then
            JAVA=$candidate
            return 0
        fi
    done
    return 1
}

java_need() {
    if java_find; then
        [ -z "${JAVA_HOME:-}" ] || [ "$JAVA" = "$JAVA_HOME/bin/java" ] ||
            note "there is no Java 17 or later in JAVA_HOME ($JAVA_HOME); using $JAVA"
        return 0
    fi
    if have java || [ -n "${JAVA_HOME:-}" ]; then
        die "Kafka needs Java 17 or later; here is: $("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | head -n 1)" \
            "Install default-jre-headless (Debian 12: Java 17), or set JAVA_HOME to a newer one."
    fi
    die "there is no Java" "Install it: apt-get install -y --no-install-recommends default-jre-headless"
}
