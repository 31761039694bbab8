#!/bin/sh
# test_report.sh [PROGRAM] - bench/report.c from outside, on two small files made here: its table, its picture, what it
# says of files that bench did not write, and of wrong options. N passed, N failed.
prog=${1:-build/bench-report}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
ok() { # ok WHAT, judging the last command
    if [ $? -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  bench-report: $1"; fi
}
head_of() { # machine, instruction set
    printf '{\n  "machine": "%s",\n  "compiler": "gcc \\"12\\"",\n  "flags": "-O2",\n  "isa": "%s",\n' "$1" "$2"
    printf '  "threads": "1",\n  "time": "wall",\n  "clock_before": {"mhz": 2600},\n  "rows": ['
}
row() { # op, shape, instruction set, ms, share, moved
    printf '%s\n    {"op": "%s", "shape": "%s", "dims": [1, 2], "isa": "%s", "threads": 1, "status": "done", ' \
        "$comma" "$1" "$2" "$3"
    printf '"best_ms": %s, "moved": %s, "share": %s}' "$4" "$6" "$5"
    comma=,
}
refused() {
    printf '%s\n    {"op": "%s", "shape": "%s", "dims": [], "isa": "x", "status": "not offered: the combination"}' \
        "$comma" "$1" "$2"
}
end() { printf '\n  ],\n  "clock_after": {"mhz": 2600}\n}\n'; }
{ head_of one x; comma=
  row floor fma scalar 60 null false; row floor fma x 4 null false; row attention 8x8 x 10 80.5 false
  row attention 8x8 x 30 null true; refused attention native; row softmax 4 x 0.05 12.25 false; end; } >"$dir/a.json"
{ head_of two y; comma=
  row floor fma scalar 30 null false; row floor fma y 2 null false; row attention 8x8 y 5 70 false
  row attention 8x8 y 60 60 false; row decode 'kv 8' y 1 50 false; end; } >"$dir/b.json"

"$prog" "$dir/a.json" "$dir/b.json" --svg "$dir/s.svg" >"$dir/out" 2>"$dir/err"; ok 'two files: exit code 0'
[ ! -s "$dir/err" ]; ok 'no message'
sed -n 's/^| *\([0-9]\)/\1/p' "$dir/out" | tr -s ' ' | sed 's/ *|$//; s/ *| */|/g' >"$dir/rows"
cat >"$dir/want" <<'END'
1|floor fma scalar|60.000 ms|30.000 ms|2.00|-|-
2|floor fma|4.000 ms|2.000 ms|2.00|-|-
3|attention 8x8|10.000 ms|5.000 ms|2.00|80.5 %|70.0 %
4|attention 8x8|30.000 ms|60.000 ms|0.50|moved|60.0 %
5|attention native|not offered|-|-|-|-
6|softmax 4|50.000 us|-|-|12.2 %|-
7|decode kv 8|-|1.000 ms|-|-|50.0 %
END
diff "$dir/want" "$dir/rows"; ok 'the table: pairs, both orders, moved, not offered, rows of one file'
grep -q '^A: one, x: 1 threads, time wall, gcc "12", -O2' "$dir/out"; ok 'the head of A'
grep -q '^7 rows, 4 with a time of both' "$dir/out"; ok 'the sum'
[ "$(awk '/^\|/ { print length($0) }' "$dir/out" | sort -u | wc -l)" = 1 ]; ok 'every line of the table is as long'
[ "$(grep -c '<svg.*xmlns' "$dir/s.svg")" = 3 ] &&
    [ "$(grep -c '<svg' "$dir/s.svg")" = "$(grep -c '</svg>' "$dir/s.svg")" ]
ok 'the picture: two in one'
grep -q '>A: x, one; B: y, two<' "$dir/s.svg"; ok 'the picture names both'

# bad WHAT SED MESSAGE: a.json changed by that script ends in exit code 2 and this line on stderr
bad() {
    sed "$2" "$dir/a.json" >"$dir/bad.json"
    "$prog" "$dir/b.json" "$dir/bad.json" >"$dir/out" 2>"$dir/err"
    [ $? -eq 2 ] && [ "$(cat "$dir/err")" = "$dir/bad.json:$3" ]
    ok "$1: $(head -n 1 "$dir/err")"
}
bad 'cut off' '12s/$/ {/;13,$d' '13: the file ends where '"'\"'"' is expected'
bad 'empty' 'd' "1: '{' is expected: not what bench --json prints"
bad 'a table' '1s/.*/machine    AMD/' "1: '{' is expected: not what bench --json prints"
bad 'no rows' '/"rows": \[/,/^  \],/d' '11: no "rows" or no "isa": not what bench --json prints'
bad 'a string without its end' '3s/",$//' '3: a string does not end'
bad 'no comma' '5s/,$//' "6: ',' is expected, not '\"threads\": \"'"
bad 'not a number' '13s/: 30,/: 3o,/' '13: not a number: 3o'
bad 'a word' '13s/: 30,/: slow,/' '13: not a value: slow'
bad 'no time' '13s/"best_ms": 30, //' '13: a row without a time "best_ms"'
bad 'no op' '13s/"op": "[a-z]*", //' '13: a row without "op" or "status"'
bad 'a row that is none' '13s/.*/7,/' '13: a row is expected'
bad 'more behind' '$s/$/ 1/' '18: more after the end: 1'
bad 'a deep hole' "3s/.*/\"a\": $(printf '%030d' 0 | tr 0 '[')/" '3: lists in lists, too deep'
{ head_of one x; i=0; while [ $i -lt 1025 ]; do echo '{"op": "a", "status": "no"},'; i=$((i + 1)); done; } >"$dir/long"
"$prog" "$dir/b.json" "$dir/long" >/dev/null 2>"$dir/err"
[ $? -eq 2 ] && grep -q 'long:1033: more than 1024 rows' "$dir/err"; ok "too many rows: $(cat "$dir/err")"
"$prog" "$dir/a.json" "$dir/none" >/dev/null 2>"$dir/err"
[ $? -eq 2 ] && [ "$(cat "$dir/err")" = "$dir/none: cannot be read" ]; ok 'no such file'
"$prog" "$dir" "$dir/a.json" >/dev/null 2>"$dir/err"; [ $? -eq 2 ] && [ -s "$dir/err" ]; ok 'a folder'

"$prog" --help >"$dir/out"; ok '--help exits with 0'
grep -q '^usage: bench-report' "$dir/out"; ok '--help prints the usage'
for args in '' "$dir/a.json" "$dir/a.json $dir/b.json $dir/b.json" "$dir/a.json $dir/b.json --svg" '--nonsense'; do
    "$prog" $args >/dev/null 2>"$dir/err"; [ $? -eq 2 ] && [ -s "$dir/err" ]; ok "$args: exit code 2 and a message"
done
"$prog" "$dir/a.json" "$dir/b.json" --svg "$dir/no/x.svg" >/dev/null 2>"$dir/err"
[ $? -eq 1 ] && [ -s "$dir/err" ]; ok 'a picture into no folder: exit code 1'
if [ -c /dev/full ]; then
    "$prog" "$dir/a.json" "$dir/b.json" >/dev/full 2>/dev/null; [ $? -eq 1 ]; ok 'a full disk: exit code 1'
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
