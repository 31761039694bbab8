#!/bin/sh
# cost.sh size | time - what attn.h costs: bytes of the object, seconds of compilation. CC is honoured. Prints the
# bounds and aims of docs/decisions.md beside the numbers, OVER after one that is passed. The exit status is 1 when a
# bound is passed; a budget or an aim ("wanted") that is passed leaves it 0. What bounds the time is the compiler's
# count of instructions against its count for a yardstick, by valgrind: seconds depend on the machine and its guests.
CC=${CC:-cc}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
printf '#define ATTN_IMPLEMENTATION\n#include "attn.h"\n' >"$work/impl.c"
echo '#include "attn.h"' >"$work/decl.c"
: >"$work/nothing.c"
over=0
kernels='-DATTN_ONLY_KERNELS'
tiny="$kernels -DATTN_NO_SIMD -DATTN_NO_F64 -DATTN_NO_STDLIB -DATTN_NO_STDIO -DATTN_NO_THREADS"

bytes() { # flags -> bytes of code and constants
    $CC $1 -fno-asynchronous-unwind-tables -I"$here" -c "$work/impl.c" -o "$work/o.o" || exit 1
    size "$work/o.o" | awk 'NR == 2 { print $1 + $2 }'
}
row() { # words, flags, bound in KB (0 = none), what is wanted in KB (0 = none, or the bound)
    b=$(bytes "$2") || exit 1
    kb=$(((b + 1023) / 1024)) verdict=
    if [ "$3" != 0 ]; then verdict="bound $3 KB"; [ $kb -le "$3" ] || { verdict="$verdict, OVER"; over=1; }; fi
    if [ "$4" != 0 ]; then verdict="$verdict${verdict:+; }wanted $4"; [ $kb -le "$4" ] || verdict="$verdict, OVER"; fi
    printf '%-58s %6d KB  %s\n' "$1" $kb "$verdict"
}
if [ "$1" = size ]; then
    case $(uname -m) in
    aarch64|arm*) one=-DATTN_NO_NEON82 name='scalar and neon' ;;
    *) one=-DATTN_NO_AVX512 name='scalar and avx2' ;;
    esac
    $CC --version | head -n 1
    row 'the least: kernels, scalar f32, no stdlib, -Os' "-Os $tiny" 64 32
    row 'the same at -O2' "-O2 $tiny" 0 0
    row 'kernels, scalar, -Os' "-Os $kernels -DATTN_NO_SIMD" 0 64
    row 'kernels, scalar, -O2' "-O2 $kernels -DATTN_NO_SIMD" 0 64
    row "kernels, $name, -O2" "-O2 $kernels $one" 0 64
    row 'kernels, every pass, -O2' "-O2 $kernels" 400 0
    row 'everything, scalar, -Os' "-Os -DATTN_NO_SIMD" 0 0
    row 'everything, scalar, -O2' "-O2 -DATTN_NO_SIMD" 0 0
    row "everything, $name, -O2" "-O2 $one" 0 0
    row 'everything, every pass, -O2' "-O2" 0 0
    exit $over
fi

# The yardstick: 150 plain functions. Budgets are seconds of a machine that compiles them in 1.65 s (gcc 12, Zen 5); on
# another, or on one that others keep busy, they grow and shrink with it.
awk 'BEGIN { for (i = 0; i < 150; i++) printf "float f%d(float *a, const float *b, int n, int s) { float x = %d, y[8]; \
    for (int k = 0; k < 8; k++) y[k] = b[k * s]; for (int j = 0; j < n; j++) { switch (s %% 5) { \
    case 0: x += a[j] * b[j]; break; case 1: x -= a[j] * y[j & 7]; break; \
    case 2: a[j] = x * b[j] + y[(j + %d) & 7]; break; default: a[j] += b[j] > x ? x : b[j]; } \
    if (a[j] < 0) { for (int k = 0; k < n; k++) a[k] = a[k] * x + b[n - 1 - k]; x = x / 2; } } \
    return x + a[n / 2]; }\n", i, i, i }' >"$work/yard.c"
seconds() { # flags, file -> hundredths of a second of processor time, the best of three
    for i in 1 2 3; do
        ($CC $1 -I"$here" -c "$work/$2.c" -o "$work/o.o"; times) |
            awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, a, "m"); t += a[1] * 60 + a[2] }
                printf "%d\n", t * 100 + 0.5 }'
    done | sort -n | head -n 1
}
yard=$(seconds -O2 yard)
line() { # words, hundredths, budget in hundredths (0 = none)
    verdict=
    if [ "$3" != 0 ]; then
        verdict=$(echo "$3" "$yard" | awk '{ printf "budget %.2f, here %.2f", $1 / 100, $1 * $2 / 16500 }')
        [ "$2" -le $(($3 * yard / 165)) ] || verdict="$verdict, OVER"
    fi
    printf '%-44s %6s s  %s\n' "$1" "$(echo "$2" | awk '{ printf "%.2f", $1 / 100 }')" "$verdict"
}
$CC --version | head -n 1
line 'the yardstick' "$yard" 0
scalar=$(seconds "-O2 $kernels -DATTN_NO_SIMD -DATTN_NO_F64" impl)
line 'kernels: scalar pass and what is compiled once' "$scalar" 0
f64=$(seconds "-O2 $kernels -DATTN_NO_SIMD" impl)
line '  and the f64 pass' $((f64 - scalar)) 40
case $(uname -m) in
x86_64)
    a=$(seconds "-O2 $kernels -DATTN_NO_AVX512" impl); line '  and immintrin.h, the avx2 pass' $((a - f64)) 150
    b=$(seconds "-O2 $kernels -DATTN_NO_AVX512V" impl); line '  and the avx512 pass' $((b - a)) 200 ;;
aarch64)
    b=$(seconds "-O2 $kernels -DATTN_NO_NEON82" impl); line '  and arm_neon.h, the neon pass' $((b - f64)) 150 ;;
*) b=$f64 ;;
esac
all=$(seconds "-O2 $kernels" impl)
line '  and the overlays' $((all - b)) 60
again=$(seconds -O2 yard); [ "$again" -le "$yard" ] || yard=$again      # what others do may have changed meanwhile
line 'kernels, every pass (ATTN_ONLY_KERNELS)' "$all" 520
line '  the same against what is wanted' "$all" 400
whole=$(seconds -O2 impl)
line '  and tensors, tape, drawing' $((whole - all)) 0
line 'everything at -O2' "$whole" 800
line 'everything at -O0' "$(seconds -O0 impl)" 0
d=$(now=$(date +%s%N); for i in 1 2 3 4 5 6 7 8 9 10; do $CC -I"$here" -c "$work/decl.c" -o "$work/o.o"; done
    echo $((($(date +%s%N) - now) / 100000000)))
n=$(now=$(date +%s%N); for i in 1 2 3 4 5 6 7 8 9 10; do $CC -c "$work/nothing.c" -o "$work/o.o"; done
    echo $((($(date +%s%N) - now) / 100000000)))
line 'the declarations alone, less an empty file' $((d - n > 0 ? d - n : 0)) 3
if ! command -v valgrind >/dev/null 2>&1; then
    echo 'the bound on instructions is not looked at: no valgrind (apt-get install)'; exit 0
fi
instructions() { # flags, file -> millions of instructions of the compiler and all that it starts
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --trace-children=yes \
        $CC $1 -I"$here" -c "$work/$2.c" -o "$work/o.o" 2>&1 |
        awk '/I +refs:/ { gsub(",", "", $NF); n += $NF } END { printf "%d\n", n / 1e6 }'
}
y=$(instructions -O2 yard) all=$(instructions "-O2 $kernels" impl) verdict=
[ "$y" -gt 0 ] && [ "$all" -gt "$y" ] || { echo 'cost.sh: valgrind counted nothing'; exit 1; }
[ $((all * 100)) -le $((y * 330)) ] || { verdict=', OVER'; over=1; }
printf '%-44s %5d G  %s\n' 'instructions for the kernels, every pass' $((all / 1000)) \
    "$(echo "$all" "$y" | awk '{ printf "%.2f yardsticks, bound 3.30", $1 / $2 }')$verdict"
exit $over
