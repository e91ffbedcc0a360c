#!/bin/bash
# Two machines on one cable, as network namespaces: a server that runs `snapproxy serve` and announces it by avahi, and a
# client, whose default gateway is the server, on which a command is run. Nothing reaches the real network.
#
# Usage, as root: unshare --net --mount bash local_network.sh FOLDER CONFIGURATION AVAHI-SERVICE COMMAND...
# The command's output is the script's. snapproxy is started by $SNAPPROXY, with the configuration, on 10.98.7.6:3142.
set -eu

role=${ROLE:-server}
folder=$1 configuration=$2 service=$3
mkdir -p "$folder/$role/services"
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

wait_for() {
    for _ in $(seq 600); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "waited in vain for: $*" >&2
    exit 1
}

# avahi-daemon has fixed folders, so each machine gets its own over them; the bus is private too.
start_avahi() {
    mkdir -p /run/avahi-daemon
    mount -t tmpfs tmpfs /run/avahi-daemon
    mount --bind "$folder/$role/services" /etc/avahi/services
    cat > "$folder/$role/bus.conf" << END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=$folder/$role/bus</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow user="*"/>
  </policy>
</busconfig>
END
    dbus-daemon --config-file="$folder/$role/bus.conf" --nofork 2> "$folder/$role/bus.log" &
    export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$folder/$role/bus"
    wait_for test -S "$folder/$role/bus"
    printf '[server]\nallow-interfaces=%s\nuse-ipv6=no\nhost-name=%s\n[wide-area]\nenable-wide-area=no\n' "$1" "$role" \
        > "$folder/$role/avahi.conf"
    avahi-daemon --file "$folder/$role/avahi.conf" --no-drop-root --no-chroot --no-rlimits > "$folder/$role/avahi.log" 2>&1 &
}

join() {
    ip link set lo up
    ip address add "$2/24" dev "$1"
    ip link set "$1" up
    start_avahi "$1"
}

if [ "$role" = client ]; then
    touch "$folder/client.ready"
    wait_for test -e "$folder/server.ready"
    join cable1 10.98.7.7
    ip route add default via 10.98.7.6
    shift 3
    wait_for sh -c 'avahi-browse --terminate --resolve --parsable _apt-proxy._tcp | grep "^="'
    "$@"
else
    cp "$service" "$folder/server/services/snapproxy.service"
    ROLE=client unshare --net --mount bash "$0" "$@" &
    client=$!
    wait_for test -e "$folder/client.ready"
    ip link add cable0 type veth peer name cable1
    ip link set cable1 netns "$client"
    join cable0 10.98.7.6
    $SNAPPROXY serve --config "$configuration" --listen 10.98.7.6:3142 --ready-file "$folder/listening" > "$folder/log" 2>&1 &
    wait_for test -s "$folder/listening"
    touch "$folder/server.ready"
    wait "$client"
fi
