#!/bin/sh
# counts.sh [--update] - instructions of attn_fwd under valgrind's callgrind, compared with tests/expected/counts.txt:
# what stages cost that are off, and what some cost that are on. 8x512x64 (plain) must stay within 0.5 % of the number
# kept, the others within 3 %. Counts belong to one compiler, which the file names: by another, or without valgrind,
# this is skipped. --update writes the numbers that are counted now. About a minute.
CC=${CC:-cc}
cd "$(dirname "$0")/.." || exit 2
kept=tests/expected/counts.txt
passes='scalar avx2'                       # valgrind has no AVX-512
cases='plain small causal window lengths keep bias alibi softcap sink lse weights short decode decode-gqa'
export LC_ALL=C
skip() { echo "skipped counts: $1"; echo '0 passed, 0 failed, 1 skipped'; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip 'another processor than the numbers are of'
command -v valgrind >/dev/null 2>&1 || skip 'no valgrind (apt-get install)'
compiler=$($CC --version | head -n 1 | sed 's/^[^ ]*cc /gcc /')     # cc, gcc, x86_64-linux-gnu-gcc: the same one
was=$(sed -n 's/^# compiler: //p' $kept 2>/dev/null)
[ "$1" = --update ] || [ "$compiler" = "$was" ] || skip "the numbers are of $was, here is $compiler"

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
printf '#define ATTN_IMPLEMENTATION\n#include "attn.h"\n' >"$work/attn.c"
$CC -O2 -I. -c "$work/attn.c" -o "$work/attn.o" && $CC -O2 -I. tests/counts.c "$work/attn.o" -o "$work/counts" || exit 1
for p in $passes; do for c in $cases; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no --toggle-collect=attn_fwd \
        "$work/counts" $p $c >"$work/log" 2>&1; status=$?
    n=$(sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' "$work/log")
    [ $status = 0 ] || n=0
    [ $status != 77 ] || n=-
    echo "$p $c $n"
done; done >"$work/now"
if [ "$1" = --update ]; then
    if grep ' [0-]$' "$work/now"; then echo 'counts.sh: not counted here, so nothing is written'; exit 1; fi
    { echo '# Instructions of one attn_fwd: pass, case of tests/counts.c, count. Written by sh tests/counts.sh --update'
      echo "# compiler: $compiler"; cat "$work/now"; } >$kept
fi
awk '
    NR == FNR { if (!/^#/) kept[$1 " " $2] = $3; next }
    {
        name = $1 " " $2; have[name] = 1; part = $2 == "plain" ? 0.005 : 0.03; w = kept[name]
        if ($3 == "-") { printf "skipped counts %s: valgrind has not these instructions here\n", name; s++; next }
        off = w > 0 ? ($3 - w) / w : 1
        ok = $3 > 0 && w > 0 && off <= part && off >= -part
        if (ok) p++; else f++
        printf "%-8s%-20s %12d  kept %12d  %+.2f %%\n", ok ? "ok" : "FAILED", name, $3, w, 100 * off
    }
    END {
        for (name in kept) if (!(name in have)) { printf "FAILED  %s is kept and not counted\n", name; f++ }
        printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""
        exit f > 0
    }' $kept "$work/now"
