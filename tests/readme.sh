#!/bin/sh
# readme.sh [FILE] - every C program in README.md (or FILE) compiles with the line that stands there, as C and as C++,
# and runs. A program is a block between ```c and ``` that has `int main`. CC and CXX are honoured.
# The first block of plain text after a program is its output and is compared with what the program prints.
CC=${CC:-cc} CXX=${CXX:-c++}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
case ${1:-README.md} in /*) file=$1 ;; *) file=$PWD/$1 ;; esac
[ $# -gt 0 ] || file=$root/README.md
[ -r "$file" ] || { echo "FAILED  $file cannot be read"; echo '0 passed, 1 failed'; exit 1; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 2

awk '/^```c$/ { code = 1; text = ""; next }
     /^```text$/ && open { said = 1; next }
     /^```/ { if (code && text ~ /int main/) { n++; printf "%s", text > n ".c"; open = 1 }
              if (said) open = 0
              code = said = 0; next }
     code { text = text $0 "\n" }
     said { print > n ".txt" }' "$file"

passed=0 failed=0 skipped=0
ok() { echo "ok      $1"; passed=$((passed + 1)); }
bad() { echo "FAILED  $1"; sed 's/^/        /' log | head -n 8; failed=$((failed + 1)); }
try() { # language, words that compile, source
    if ! "$2" -O2 -I"$root" "$3" -o program >log 2>&1; then bad "program $i, $1: does not compile"
    elif ! ./program >said 2>log; then bad "program $i, $1: exit status not 0"
    elif [ ! -s said ]; then bad "program $i, $1: prints nothing"
    elif [ -f "$i.txt" ] && ! diff "$i.txt" said >log; then bad "program $i, $1: prints something else"
    else ok "program $i, $1"; fi
}
i=1
while [ -f "$i.c" ]; do
    try C "$CC" "$i.c"
    if command -v "$CXX" >/dev/null 2>&1; then cp "$i.c" "$i.cpp"; try C++ "$CXX" "$i.cpp"
    else echo "skipped program $i, C++: no $CXX here"; skipped=$((skipped + 1)); fi
    i=$((i + 1))
done
if [ "$i" = 1 ]; then : >log; bad 'no program found'; fi
[ "$skipped" = 0 ] && echo "$passed passed, $failed failed" || echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
