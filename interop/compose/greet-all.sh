#!/bin/sh
# greet-all.sh CLIENT PROGRAM...: greets every server of SERVERS with a client, each within TIMEOUT seconds. It writes the
# results to RESULTS/CLIENT (/results/CLIENT by default): a file .log with the output and then, when this is complete, a file
# .code with the exit code. A greeting that failed is tried once more after all others, when fewer clients call. Then the
# output of the first try is in a file .first.
set -u
client=$1 results=${RESULTS:-/results}/$1
shift

greet() { # greet SERVER PROGRAM...
  socket=/run/samehost/$1.sock log=$results/$1.log
  shift
  "$@" greet --socket "$socket" --name "$client" --timeout "$TIMEOUT" >"$log" 2>&1
}

finish() { # finish SERVER CODE
  echo "$2" >"$results/$1.tmp"
  mv "$results/$1.tmp" "$results/$1.code"
}

mkdir -p "$results"
failed=""
for server in $SERVERS; do
  if greet "$server" "$@"; then
    finish "$server" 0
  else
    failed="$failed $server"
  fi
done
for server in $failed; do
  mv "$results/$server.log" "$results/$server.first"
  greet "$server" "$@"
  finish "$server" $?
done
echo "$client has greeted all servers"

# With --exit-code-from, Compose stops everything when the first container exits. That must not be this one.
trap 'kill $!; exit 0' TERM INT
sleep infinity &
wait
