#!/bin/sh
# bench.sh - bench/ compiles in silence as C99 and C++11, its lines are short, its table and its JSON hold the same
# rows, rates and shares follow from times and limits, bench-report reads it. Prints one line a check and "N passed, N
# failed". CC, CXX and B are honoured; B/bench, B/bench-report and B/attn.o must be there.
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
numbers() { # of $work/json: shares are rates over the larger limit; bytes of f32 caches of 32 key heads over the time
    awk 'function number(key) {
            if (!match($0, "\"" key "\": [-+.0-9e]+")) return -1
            return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0
        }
        function near(a, b) { return a > 0.99 * b && a < 1.01 * b }
        /"status": "done"/ {
            share = number("share"); limit = number("limit_before"); after = number("limit_after")
            if (after > limit) limit = after
            if (share > 1 && !near(share, 100 * number("rate") / limit)) print "the share: " $0
            if (share > 1) shares++
            if (number("median_ms") < number("best_ms")) print "the median: " $0
        }
        /"op": "decode".*"variant": "kv 32 f32"/ {
            bytes = 2 * 32 * 4096 * 128 * 4; seen++
            if (!near(number("rate") * number("best_ms"), bytes * 1e-6)) print "the rate: " $0
        }
        /"op": "exp"/ { seen++; if (!near(number("rate") * 4096, number("best_ms") * 1e6)) print "the rate: " $0 }
        END { if (seen != 2 || shares < 5) print seen " rows of known work, " shares " shares" }' "$work/json"
}
head_keys() {
    for key in machine cpus compiler flags build isa threads time clock_before clock_after; do
        [ "$(grep -c "^  \"$key\": ." "$work/json")" = 1 ] || echo "no $key in the head"
    done
}
report() { # every row that was measured stands in it twice
    "$B/bench-report" "$work/json" "$work/json" >"$work/report" || return 1
    n=$(grep -c '"status": "done"' "$work/json")
    tail -n 1 "$work/report" | grep -v " rows, $n with a time of both"
    return 0
}
quotes() { # of flags and backslashes, in the JSON and back again
    "$CC" -O1 -DATTN__DONE '-DBENCH_FLAGS="-D\"a\\b\""' -I. bench/bench.c "$B/attn.o" -o "$work/bench" &&
        "$work/bench" maths --seconds 0.001 --json >"$work/json2" &&
        "$B/bench-report" "$work/json2" "$work/json2" >"$work/report" || return 1
    grep -q -F -e '-D"a\b"' "$work/report" || head -n 1 "$work/report"
}
check C99 silent "$CC" -std=c99
check C++11 silent "$CXX" -x c++ -std=c++11
check lines lines
check unknown_option refuses decode --isa none
check rows rows
check numbers numbers
check head head_keys
check report report
check quotes quotes
echo "$passed passed, $failed failed"
[ $failed = 0 ]
