# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # STARTED is read by those who source it
# The local broker: jars by Maven, one KRaft node under $STREAMLENS_HOME/kafka. Sourced after lib.sh and
# packages.sh. Takes KAFKA_PORT (the controller is on the next one), KAFKA_HEAP and KAFKA_JVM (further options).

kafka_jars_fetch() {
    local dir=$1
    rm -rf "$dir.new"
    # Maven refuses a JAVA_HOME that holds no Java; this one does.
    JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v "$JAVA")")")") \
        mvn -q -B -Djansi.mode=strip -Dstyle.color=never -f "$LOCAL_DIR/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$dir.new" &&
        sha256sum <"$LOCAL_DIR/pom.xml" >"$dir.new/pom.sha256" && rm -rf "$dir" && mv "$dir.new" "$dir"
}

kafka_jars() {
    local dir=$STREAMLENS_HOME/kafka/libs
    if [ "$(cat "$dir/pom.sha256" 2>/dev/null)" = "$(sha256sum <"$LOCAL_DIR/pom.xml")" ]; then
        return 0
    fi
    mkdir -p "$STREAMLENS_HOME/kafka"
    step "fetching Kafka's jars (43 MB)" kafka_jars_fetch "$dir" ||
        die "Maven could not fetch Kafka's jars" \
            "It needs Maven Central, or a mirror of it named in ~/.m2/settings.xml (<mirrorOf>central</mirrorOf>)." \
            "With a broker at hand none of this is needed: KAFKA_BROKERS=host:port $0"
}

kafka_format() {
    local dir=$STREAMLENS_HOME/kafka id
    # As Kafka's own tool makes them: 16 random bytes, base64 for URLs, no leading dash.
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    "$JAVA" -cp "$dir/libs/*" kafka.tools.StorageTool format -t "A${id:1}" -c "$dir/server.properties"
}

kafka_answers() {
    kcat -b "127.0.0.1:$KAFKA_PORT" -L -m 2 -X log_level=0 2>/dev/null | grep -q '^ 1 brokers:'
}

kafka_run() {
    local dir=$STREAMLENS_HOME/kafka result=0 options
    read -r -a options <<<"${KAFKA_JVM:-}"
    if ! [ -e "$dir/data/meta.properties" ]; then
        rm -rf "$dir/data"
        kafka_format || return 1
    fi
    process_start kafka "$JAVA" -Xms128m -Xmx"${KAFKA_HEAP:-512m}" -XX:+ExitOnOutOfMemoryError "${options[@]}" \
        -Dlog4j2.configurationFile="$LOCAL_DIR/log4j2.properties" -Djava.awt.headless=true \
        -cp "$dir/libs/*" kafka.Kafka "$dir/server.properties"
    process_wait kafka 60 kafka_answers || result=$?
    [ "$result" -eq 0 ] || tail_log "$STREAMLENS_HOME/log/kafka.log"
    return "$result"
}

# kafka_start: nothing when it runs with these settings; restarts it when they changed.
kafka_start() {
    local dir=$STREAMLENS_HOME/kafka
    java_need
    kafka_jars
    sed -e "s|@KAFKA_PORT@|$KAFKA_PORT|g" -e "s|@CONTROLLER_PORT@|$((KAFKA_PORT + 1))|g" \
        -e "s|@DATA@|$dir/data|g" "$LOCAL_DIR/server.properties" >"$dir/server.properties.new"
    if process_alive kafka; then
        cmp -s "$dir/server.properties.new" "$dir/server.properties" && return 0
        note "Kafka's settings changed: restarting it"
        kafka_stop
    fi
    port_need "$KAFKA_PORT" KAFKA_PORT
    port_need "$((KAFKA_PORT + 1))" KAFKA_PORT
    mv "$dir/server.properties.new" "$dir/server.properties"
    STARTED=1
    step "starting Kafka on 127.0.0.1:$KAFKA_PORT" kafka_run ||
        die "Kafka did not start" "Look at $STREAMLENS_HOME/log/kafka.log; state of another version is cleared by ./deploy/down --wipe."
}

kafka_stop() { process_stop kafka TERM 30; }
