#!/bin/sh
# readme.sh [FILE...] - the C programs in README.md (or FILE) compile with the line that stands there, as C and as C++,
# and run. A program is a block between ```c and ``` that has `int main`. CC and CXX are honoured.
# The first block of plain text after a program is its output and is compared with what the program prints.
# Where a program has the line `/* here */`, each ```c block without main after it is a recipe: it is put there, runs,
# and the program returns 0. A block that begins with a function is put before main.
CC=${CC:-cc} CXX=${CXX:-c++}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
start=$PWD
[ $# -gt 0 ] || set -- "$root/README.md"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

passed=0 failed=0 skipped=0
ok() { echo "ok      $1"; passed=$((passed + 1)); }
bad() { echo "FAILED  $1"; sed 's/^/        /' log | head -n 8; failed=$((failed + 1)); }
try() { # language, words that compile, source
    if ! "$2" -O2 -I"$root" "$3" -o program >log 2>&1; then bad "$name program $i, $1: does not compile"
    elif ! ./program >said 2>log; then bad "$name program $i, $1: exit status not 0"
    elif [ ! -s said ]; then bad "$name program $i, $1: prints nothing"
    elif [ -f "$i.txt" ] && ! diff "$i.txt" said >log; then bad "$name program $i, $1: prints something else"
    else ok "$name program $i, $1"; fi
}
has_cxx() { command -v "$CXX" >/dev/null 2>&1; }
skip() { echo "skipped $1: no $CXX here"; skipped=$((skipped + 1)); }
cook() { # language, words that compile, source: all recipes are one program, which runs the one of its argument
    if ! "$2" -O0 -I"$root" "$3" -o program >log 2>&1; then bad "$name recipes, $1: do not compile"; return; fi
    n=1
    while read -r line text; do
        if ./program "$n" >log 2>&1; then ok "$name:$line, $1: $text"; else bad "$name:$line, $1: $text"; fi
        n=$((n + 1))
    done <recipes
}
for file; do
    case $file in /*) ;; *) file=$start/$file ;; esac
    name=${file##*/}
    rm -rf "$work/in" && mkdir "$work/in" && cd "$work/in" || exit 2
    [ -r "$file" ] || { : >log; bad "$file cannot be read"; cd /; continue; }
    awk 'function put() {
             if (text ~ /\/\* here \*\//) { host = text; return }
             if (text ~ /int main/) { n++; printf "%s", text > n ".c"; open = 1; return }
             if (host == "") return
             if (text ~ /^static [^\n;=]*\) *{/) { before = before text; return }
             recipes++
             main_ = substr(host, index(host, "int main"))
             sub(/int main\(void\)/, "static int recipe_" recipes "(void)", main_)
             at = index(main_, "/* here */")
             bodies = bodies substr(main_, 1, at - 1) text substr(main_, at + 10)
             calls = calls "    case " recipes ": return recipe_" recipes "();\n"
             print first, title > "recipes"
         }
         /^```c$/ { code = 1; text = ""; first = FNR + 1; next }
         /^```text$/ && open { said = 1; next }
         /^```/ { if (code) put()
                  if (said) open = 0
                  code = said = 0; next }
         code { text = text $0 "\n"; next }
         said { print > n ".txt"; next }
         /^\*\*/ { split($0, part, /[.:]?\*\*/); title = part[2] }
         END {
             if (host != "")
                 printf "%s%s%s#include <stdlib.h>\nint main(int count, char **word) {\n" \
                        "    switch (count > 1 ? atoi(word[1]) : 0) {\n%s    default: return 2;\n    }\n}\n",
                        substr(host, 1, index(host, "int main") - 1), before, bodies, calls > "recipes.c"
         }' "$file"
    i=1
    while [ -f "$i.c" ]; do
        try C "$CC" "$i.c"
        if has_cxx; then cp "$i.c" "$i.cpp"; try C++ "$CXX" "$i.cpp"; else skip "$name program $i, C++"; fi
        i=$((i + 1))
    done
    if [ -f recipes ]; then
        cook C "$CC" recipes.c
        if has_cxx; then cp recipes.c recipes.cpp; cook C++ "$CXX" recipes.cpp; else skip "$name recipes, C++"; fi
    elif [ "$i" = 1 ]; then : >log; bad "$name: no program found"; fi
    cd /
done
[ "$skipped" = 0 ] && echo "$passed passed, $failed failed" || echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
