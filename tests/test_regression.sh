#!/bin/sh
# test_regression.sh [PROGRAM] - examples/regression from outside, run from the repository's top: the notes' numbers
# against PyTorch's (tests/expected/regression_notes.txt), good and bad CSV, options, exit codes. N passed, N failed.
prog=${1:-build/regression}
want=tests/expected/regression_notes.txt
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
ok() { # ok WHAT, judging the last command
    if [ $? -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  regression: $1"; fi
}
# bad WHAT TEXT MESSAGE: the file with that text ends in exit code 2, nothing on stdout's end but this line on stderr
bad() {
    printf "$2" > "$dir/bad.csv"
    "$prog" --out "$dir/o" "$dir/bad.csv" > "$dir/out" 2> "$dir/err"
    [ $? -eq 2 ] && [ "$(cat "$dir/err")" = "$dir/bad.csv:$3" ]
    ok "$1: $(head -1 "$dir/err")"
}

# near A B of awk: as conformance/README.md asks of nw_train
near='function near(a, b,  d) { d = a > b ? a - b : b - a; return d <= 1e-4 + 1e-3 * (b < 0 ? -b : b) }'
for isa in "" scalar; do
    "$prog" --notes --out "$dir/notes" ${isa:+--isa $isa} > "$dir/out"; ok "--notes $isa exits with 0"
    awk "$near"' FNR == NR { if ($1 == "epoch") { w[$2] = $3; loss[$2] = $4 }; next }
        FNR > 2 && FNR < 8 && $1 == FNR - 2 && near($2, w[$1]) && near($3, loss[$1]) { good++ }
        END { exit good != 5 }' \
        "$want" "$dir/out"
    ok "--notes $isa: w and loss of five epochs are those of PyTorch"
    tr , ' ' < "$dir/notes/notes_fit.csv" | awk "$near"'
        FNR == NR { if ($1 == "fit") for (i = 3; i <= 5; i++) f[$2, i] = $i; next }
        FNR > 1 { x = sprintf("%.1f", $1); for (i = 2; i <= 4; i++) good += near($i, f[x, i + 1]) }
        END { exit good != 150 }' "$want" -
    ok "--notes $isa: three fits at 50 points are those of PyTorch"
done
for f in 1_average 2_kernel 3_weights 4_loss 5_learnt 6_sharper 7_eye; do
    grep -q '</svg>' "$dir/notes/notes_$f.svg"; ok "--notes writes notes_$f.svg"
done

"$prog" --out "$dir/a/b" > "$dir/out"; ok "the Nile exits with 0, and makes a/b"
grep -q 'LOWESS of statsmodels' "$dir/out"; ok "the Nile's table has LOWESS"
! grep -q "$(printf '\033')" "$dir/out"; ok "no colours where the output is no terminal"
"$prog" --out "$dir/a/b" --threads 2 | cmp -s - "$dir/out"; ok "two threads print the same"
grep -v '^#' examples/data/nile.csv | "$prog" --out "$dir/o" - > "$dir/in"; ok "standard input"
grep -q '^-: 100 points, year 1871 to 1970' "$dir/in"; ok "standard input has the Nile's 100 points"
printf '\357\273\277"a";"b"\r\n# c\r\n3;1\r\n\r\n"1";2\r\n 2 ; -1e1' | "$prog" --out "$dir/o" - > "$dir/out"
grep -q '^-: 3 points, a 1 to 3' "$dir/out"
ok "byte order mark, quotes, semicolons, CRLF, comments, empty lines, no end of line"
printf '4\n5\n4\n6\n' | "$prog" --out "$dir/o" - | grep -q '^-: 4 points, row 1 to 4'; ok "one column"

bad "missing in the middle" 'x,y\n1,2\n2,\n3,4\n' '3:3: missing value'
bad "NA" '1,2\n2, NA\n3,4\n' '2:4: missing value'
bad "nan" '1,2\n2,nan\n3,4\n' '2:3: missing value'
bad "word" 'x,y\n1,2\n2,3\n3,4x\n' '4:3: not a number: 4x'
bad "two headers" 'x,y\nx,y\n1,2\n' '2:1: not a number: x'
bad "header with a number" 'x,1\n1,2\n' '1:3: not a number: 1'
bad "infinity" '1,2\n2,inf\n3,4\n' '2:3: out of range: inf'
bad "too many columns" '1,2\n2,3,4\n3,4\n' '2:5: only 2 columns are expected'
bad "too few columns" '1,2\n2\n3,4\n' '2:2: missing value: 2 columns are expected'
bad "too few rows" 'x,y\n1,2\n' '3:1: 3 rows of numbers or more are needed, here are 1'
bad "empty file" '' '1:1: 3 rows of numbers or more are needed, here are 0'
bad "zero byte" '1,2\n2,\0003\n3,4\n' '2:3: a zero byte'
bad "one x" '1,2\n1,3\n1,4\n' '1:1: every x is the same'

"$prog" --help > "$dir/out"; ok "--help exits with 0"
grep -q '^usage: ' "$dir/out"; ok "--help prints the usage"
for args in "--nonsense" "--isa" "--isa 8086" "--threads x" "$dir/none.csv" "$dir" "--notes x.csv" "a.csv b.csv" \
    "--notes --consistency" "--consistency --notes" "--out $(printf %01000d 0)"; do
    "$prog" $args > /dev/null 2> "$dir/err"; [ $? -eq 2 ] && [ -s "$dir/err" ]; ok "$args: exit code 2 and a message"
done
for file in "$dir/none.csv" "$dir/bad.csv"; do
    "$prog" --out "$dir/left/behind" "$file" > /dev/null 2>&1; [ $? -eq 2 ] && [ ! -e "$dir/left" ]
    ok "$(basename "$file"): no folder is left behind"
done
: > "$dir/file"
"$prog" --out "$dir/file/o" > /dev/null 2> "$dir/err"
[ $? -eq 1 ] && grep -q "^$dir/file/o/bandwidth.svg: cannot be written" "$dir/err"; ok "no such folder: exit code 1"
if [ -c /dev/full ]; then
    "$prog" --out "$dir/o" > /dev/full 2> /dev/null; [ $? -eq 1 ]; ok "a full disk under the output: exit code 1"
fi
if command -v python3 > /dev/null 2>&1; then
    for args in "" none "data more"; do
        python3 examples/python/notes.py $args > "$dir/out" 2> "$dir/err"
        [ $? -eq 2 ] && [ ! -s "$dir/out" ] && grep -q '^usage: ' "$dir/err"; ok "notes.py $args: usage and exit code 2"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
