#!/bin/sh
# integration.sh - takes the files and the shell sessions out of docs/integration.md and runs each session in a
# directory that holds attn.h and the files above it. One line for each: ok, FAILED, or skipped when a tool is not here.
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
ATTN_SOURCE=$top; export ATTN_SOURCE
cp "$top/attn.h" "$work/"
cd "$work" || exit 2
# `name` on a line of its own names the next block; a block of sh is session N under the last heading
awk '/^## / { title = substr($0, 4) }
    /^```/ && inside { inside = 0; close(to); next }
    /^```sh/ { inside = 1; to = "session" ++n; print title >("title" n); close("title" n); next }
    /^```/ { inside = 1; to = name; next }
    inside { print >to; next }
    /^`[A-Za-z_.]*`$/ { name = substr($0, 2, length($0) - 2) }' "$top/docs/integration.md"
passed=0 failed=0 skipped=0 n=1
while [ -f session$n ]; do
    title=$(cat title$n) missing=
    case $title in
    CMake*) tools='cmake make' ;;
    Meson*) tools='meson ninja' ;;
    *pkg-config*) tools='pkg-config make' ;;
    Python*) tools='python3 make' ;;
    *) tools= ;;
    esac
    for t in $tools; do command -v $t >/dev/null 2>&1 || missing=$t; done
    cp "$top/attn.h" attn.h
    if [ -n "$missing" ]; then echo "skipped $title: no $missing"; skipped=$((skipped + 1))
    elif sh -e session$n >log 2>&1; then echo "ok      $title"; passed=$((passed + 1))
    else echo "FAILED  $title"; tail -n 12 log | sed 's/^/        /'; failed=$((failed + 1)); fi
    n=$((n + 1))
done
# the two lines of attn.h's manual for a debug build, on the first program without its ATTN_IMPLEMENTATION
mkdir debug && cp "$top/attn.h" debug/ && sed '/^#define ATTN_IMPLEMENTATION/d' game.c >debug/game.c
awk '/^\/\/ -O0 / { on = 1 } /^\/\/ >>/ { on = 0 } on && /^\/\/ +cc / { sub("^// +", ""); sub(/ +\(.*/, ""); print }' \
    "$top/attn.h" >debug/session
if (cd debug && [ "$(grep -c . session)" = 2 ] && grep -q -e '-O0' session && sh -e session && ./a.out) >log 2>&1 &&
    ./game | cmp -s - log; then echo 'ok      -O0: the two lines of the manual'; passed=$((passed + 1))
else echo 'FAILED  -O0: the two lines of the manual'; tail -n 12 log | sed 's/^/        /'; failed=$((failed + 1)); fi
[ $n -gt 5 ] || { echo "FAILED  only $((n - 1)) sessions found in docs/integration.md"; failed=$((failed + 1)); }
[ $skipped = 0 ] && echo "$passed passed, $failed failed" || echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
