#!/bin/sh
# greet-all.sh CLIENT PROGRAM...: greets every server of SERVERS with a client, each within TIMEOUT seconds. It writes the
# results to /results/CLIENT: a file .log with the output and then, when this is complete, a file .code with the exit code.
set -u
client=$1
shift

mkdir -p "/results/$client"
for server in $SERVERS; do
  result=/results/$client/$server
  "$@" greet --socket "/run/samehost/$server.sock" --name "$client" --timeout "$TIMEOUT" >"$result.log" 2>&1
  echo "$?" >"$result.tmp"
  mv "$result.tmp" "$result.code"
done
echo "$client has greeted all servers"

# With --exit-code-from, Compose stops everything when the first container exits. That must not be this one.
trap 'exit 0' TERM INT
sleep infinity &
wait
