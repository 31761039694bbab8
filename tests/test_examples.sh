#!/bin/sh
# test_examples.sh [FOLDER] - every program of examples/ from outside: its first comment's cc line, warnings, --help,
# wrong options, and what it prints where that is the same everywhere. FOLDER holds the programs already built; without
# it each is compiled by the very line of its comment. CC and CXX are honoured. N passed, N failed[, N skipped].
CC=${CC:-cc} CXX=${CXX:-c++}
cd "$(dirname "$0")/.." || exit 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
at=${1:-$dir}
case $at in /*) ;; *) at=$PWD/$at ;; esac
passed=0 failed=0 skipped=0
ok() { # ok WHAT, judging the last command
    if [ $? -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  examples: $1"; fi
}
skip() { skipped=$((skipped + 1)); echo "skipped examples: $1"; }
silent() { # silent WHAT COMPILER...: it compiles and says nothing
    what=$1; shift
    "$@" -Wall -Wextra -Wshadow -Wconversion -pedantic -fsyntax-only -I. -o "$dir/x" > "$dir/log" 2>&1 &&
        [ ! -s "$dir/log" ]
    ok "$what: $(head -n 1 "$dir/log")"
}
# Which compilers can check alone (tcc takes the option and compiles); one for C++ need not be there.
echo 'int main(void) { return 0; }' > "$dir/plain.c"
c=1 cxx=1
"$CC" -fsyntax-only "$dir/plain.c" -o "$dir/x" > /dev/null 2>&1 ||
    { c=0; skip "warnings of $CC: it cannot check alone"; }
if ! command -v "$CXX" > /dev/null 2>&1; then cxx=0; skip "warnings of C++: no $CXX here"
else
    "$CXX" -fsyntax-only -x c++ "$dir/plain.c" -o "$dir/x" > /dev/null 2>&1 ||
        { cxx=0; skip "warnings of $CXX: it cannot check alone"; }
fi

for source in examples/*.c; do
    name=$(basename "$source" .c)
    prog=$at/$name
    # -- text: the compile line as promised, 120 columns, the public API only
    line=$(sed -n 's|^//     \(cc .*\)|\1|p; /^#/q' "$source")
    case $line in
    "cc -O2 -I. examples/$name.c -o $name && ./$name" | "cc -O2 -I. examples/$name.c -o build/$name && build/$name") ;;
    *) false ;;
    esac
    ok "$name: the cc line of its first comment: $line"
    ! grep -q 'attn__\|ATTN__' "$source"; ok "$name: nothing private to attn.h"
    LC_ALL=C awk 'length($0) > 120 { exit 1 }' "$source"; ok "$name: 120 columns"
    if [ $c = 1 ]; then silent "$name as C99" "$CC" -std=c99 "$source"; fi
    if [ $cxx = 1 ]; then silent "$name as C++11" "$CXX" -std=c++11 -x c++ "$source"; fi
    if [ $# -eq 0 ]; then
        "$CC" -O2 -I. "$source" -o "$prog" > "$dir/log" 2>&1 && [ ! -s "$dir/log" ]
        ok "$name: its cc line"
    fi
    # -- options
    "$prog" --help > "$dir/out" 2> "$dir/err" && grep -q "^usage: $name" "$dir/out" && [ ! -s "$dir/err" ]
    ok "$name --help"
    for wrong in --nonsense --isa --svg "--isa 8086"; do
        "$prog" $wrong > "$dir/out" 2> "$dir/err"
        [ $? -eq 2 ] && [ -s "$dir/err" ] && [ ! -s "$dir/out" ]; ok "$name $wrong: exit code 2 and a message"
    done
    if [ "$name" != regression ] && [ -c /dev/full ]; then
        "$prog" > /dev/full 2> /dev/null; [ $? -eq 1 ]; ok "$name: a full disk under the output: exit code 1"
    fi
done

# -- what they print
"$at/attend" > "$dir/out" && cmp -s "$dir/out" tests/expected/attend.txt; ok "attend prints tests/expected/attend.txt"
for isa in "" scalar avx2 avx512 neon; do
    "$at/cache" ${isa:+--isa $isa} > "$dir/out" 2> /dev/null
    status=$?
    [ $status -ne 2 ] || continue # not on this machine
    [ $status -eq 0 ] && [ "$(grep -c 'same bits$' "$dir/out")" = 5 ] && ! grep -q DIFFERENT "$dir/out"
    ok "cache $isa: five times the same bits"
done
"$at/masks" > "$dir/out"; ok "masks exits with 0"
[ "$(grep -c '^ *15 |' "$dir/out")" = 9 ]; ok "masks draws nine panels"
grep -A 1 '^causal$' "$dir/out" | grep -q '^ *0 |@@ *|$'; ok "masks: a causal first row sees itself alone"
grep -A 16 '^documents$' "$dir/out" | tail -n 1 | grep -q '^ *15 | \{24\}'
ok "masks: the last document sees none before it"
for name in attend masks; do
    "$at/$name" --svg "$dir/$name.svg" > /dev/null 2>&1 && grep -q '</svg>' "$dir/$name.svg"
    ok "$name --svg writes a picture"
    [ "$(cat "$dir/$name.svg" 2> /dev/null | wc -c)" -lt 200000 ]; ok "$name --svg: below 200 KB"
    "$at/$name" --svg "$dir/none/x.svg" > /dev/null 2> "$dir/err"
    [ $? -eq 1 ] && [ -s "$dir/err" ]; ok "$name --svg into no folder: exit code 1"
done
[ "$(grep -o '<text' "$dir/masks.svg" 2> /dev/null | wc -l)" = "$(grep -o '<text' docs/pictures/masks.svg | wc -l)" ]
ok "docs/pictures/masks.svg is of this program"
"$at/speed" > "$dir/out" 2>&1; ok "speed exits with 0"
grep -q '^double loop' "$dir/out" && grep -q '^scalar ' "$dir/out" && ! grep -q WRONG "$dir/out"
ok "speed has its rows"
"$at/speed" --isa scalar > "$dir/out" && [ "$(grep -c 'e-0[0-9]$' "$dir/out")" = 2 ]
ok "speed --isa scalar: that pass alone"

if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" -eq 0 ]
