#!/bin/sh
# A start script for tests: its server is the simulator's stand-in, and its JVM does with caches what a real one does.
home=$(dirname "$0")/..
value() {
    for word in $CRATE_JAVA_OPTS; do
        case $word in "$1"=*) echo "${word#*=}" ;; esac
    done
}
notes=$(value -XX:AOTConfiguration)
cache=$(value -XX:AOTCache)
case $(value -XX:AOTMode) in
record)
    echo notes >"$notes"
    ;;
create)
    [ "$(cat "$notes")" = notes ] && echo "a cache" >"$cache"
    exit
    ;;
*)
    case ${cache:+$(cat "$cache")} in
    "") ;;
    "a cache") echo "the cache is used" ;;
    deadly) kill -SEGV $$ ;;
    *) echo "[0.009s][warning][aot] The AOT cache has been truncated." ;;
    esac
    ;;
esac
exec "$home/lib/simulator" crate "$@"
