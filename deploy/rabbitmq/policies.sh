#!/bin/sh
# Sets the bus's policies. Usage: policies.sh VHOST [QUEUE MAX_BYTES MAX_AGE_MS]
# With a queue: also tightens that subscription's bounds. Needs rabbitmqctl and its rights.
set -eu

vhost=${1:?usage: policies.sh VHOST [QUEUE MAX_BYTES MAX_AGE_MS]}
limit=
case $(rabbitmqctl version) in
3.*) ;;
*)
    limit='"delivery-limit":-1'
    rabbitmqctl set_policy --vhost "$vhost" --apply-to queues --priority 1 bus-delivery-limit '.*' "{$limit}"
    ;;
esac

if [ $# -eq 4 ]; then
    pattern=$(printf '%s' "$2" | sed 's/\./\\./g')
    rabbitmqctl set_policy --vhost "$vhost" --apply-to queues --priority 2 "bus-keep-$2" "^$pattern\$" \
        "{${limit:+$limit,}\"overflow\":\"drop-head\",\"max-length-bytes\":$3,\"message-ttl\":$4}"
fi
