#!/bin/sh
# bench.sh - bench/ compiles in silence as C99 and C++11, its lines are short, its table and its JSON hold the same
# rows. Prints one line a check and "N passed, N failed". CC, CXX and B are honoured; B/bench must be there.
CC=${CC:-cc} CXX=${CXX:-c++} B=${B:-build}
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
# check NAME COMMAND...: the command must succeed and print nothing.
check() {
    name=$1; shift
    if "$@" >"$work/log" 2>&1 && [ ! -s "$work/log" ]; then echo "ok $name"; passed=$((passed + 1))
    else echo "FAILED $name"; head -n 8 "$work/log"; failed=$((failed + 1)); fi
}
silent() {
    for f in bench/*.c; do "$@" -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -Werror -I. "$f" || return 1; done
}
lines() { awk 'length > 120 { print FILENAME ": " FNR }' bench/*.c bench/*.h bench/peers/*.py; }
refuses() { "$B/bench" "$@" >/dev/null 2>&1; [ $? = 2 ]; }
rows() { # of maths and decode: as many in the table as in the JSON, which python reads where it is there
    "$B/bench" maths decode --seconds 0.001 >"$work/table" || return 1
    "$B/bench" maths decode --seconds 0.001 --json >"$work/json" || return 1
    table=$(grep -cE '^(exp|tanh|erf|decode) .* (ns|read|not offered|[0-9]+%)' "$work/table")
    json=$(grep -c '"op": ' "$work/json")
    [ "$table" = "$json" ] && [ "$json" -gt 20 ] || { echo "$table rows in the table, $json in the JSON"; return 1; }
    if command -v python3 >/dev/null; then python3 -m json.tool "$work/json" "$work/same"; fi
}
check C99 silent "$CC" -std=c99
check C++11 silent "$CXX" -x c++ -std=c++11
check lines lines
check unknown_option refuses decode --isa none
check rows rows
echo "$passed passed, $failed failed"
[ $failed = 0 ]
