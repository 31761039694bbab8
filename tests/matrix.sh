#!/bin/sh
# matrix.sh [WORD...] - attn.h on other processors (cross compilers, qemu) and by other compilers. A row compiles the
# short tests and the vectors, runs them, prints one line for each program; what this machine lacks is skipped and
# named. A word chooses the rows whose name holds it. JOBS is honoured.
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}
cd "$(dirname "$0")/.." || exit 2
B=build/matrix
export LC_ALL=C PATH="$PATH:/usr/lib/wine" WINEDEBUG=-all WINEPREFIX="$PWD/$B/wine"

# name | compiler and flags | how to run, one row for each ("" = here) | rounds of the sweeps
# The x87 of i686 rounds to 64 bits at will, so that row asks for SSE2.
rows() {
    cat <<'END'
aarch64-a53|aarch64-linux-gnu-gcc -O2 -static|qemu-aarch64 -cpu cortex-a53|40
aarch64-a72|same as aarch64-a53|qemu-aarch64 -cpu cortex-a72|40
aarch64-max|same as aarch64-a53|qemu-aarch64 -cpu max|40
aarch64-clang|clang --target=aarch64-linux-gnu -O2 -static|qemu-aarch64 -cpu max|20
armhf|arm-linux-gnueabihf-gcc -O2 -static|qemu-arm -cpu cortex-a15|30
armhf-neon|arm-linux-gnueabihf-gcc -O2 -static -mfpu=neon-vfpv4|qemu-arm -cpu cortex-a15|30
riscv64|riscv64-linux-gnu-gcc -O2 -static|qemu-riscv64|30
riscv64-simde|riscv64-linux-gnu-gcc -O2 -static -DATTN_USE_SIMDE -DATTN_SIMDE_NEON|qemu-riscv64|20
s390x-big-endian|s390x-linux-gnu-gcc -O2 -static|qemu-s390x|30
i686|i686-linux-gnu-gcc -O2 -static -msse2 -mfpmath=sse||150
x86-64-nehalem|gcc -O2|qemu-x86_64 -cpu Nehalem|30
x86-64-haswell|same as x86-64-nehalem|qemu-x86_64 -cpu Haswell|30
x86-64-clang|clang -O2||150
cxx11|g++ -x c++ -std=c++11 -O2||100
cxx20-clang|clang++ -x c++ -std=c++20 -O2||100
tcc|tcc||100
windows|x86_64-w64-mingw32-gcc -O2|wine64|60
wasm|clang --target=wasm32-wasi -O2|python3 tests/wasi.py|60
END
}
has() { command -v "$1" >/dev/null 2>&1; }

row() { # name
    line=$(rows | grep "^$1|")
    cc=$(echo "$line" | cut -d'|' -f2) run=$(echo "$line" | cut -d'|' -f3) rounds=$(echo "$line" | cut -d'|' -f4)
    binaries=$1 end=
    case $cc in 'same as '*) binaries=${cc#same as }; cc=$(rows | sed -n "s/^$binaries|\([^|]*\)|.*/\1/p") ;; esac
    set -- $cc
    has "$1" || { echo "skipped $name: no $1 (apt-get install)"; return; }
    case $name in *windows) end=.exe ;; esac
    case $name in x86-64*)
        [ "$(uname -m)" = x86_64 ] || { echo "skipped $name: another processor here"; return; } ;; esac
    case $cc in *SIMDE*)
        [ -e /usr/include/simde ] || { echo "skipped $name: no SIMDe (apt-get install libsimde-dev)"; return; }
        mkdir -p "$B/include"; [ -e "$B/include/simde" ] || ln -sf /usr/include/simde "$B/include/simde"
        set -- "$@" -I "$B/include" ;; esac
    mkdir -p "$B/$binaries"
    echo 'int main(void) { return 0; }' >"$B/$binaries/works.c"
    "$@" "$B/$binaries/works.c" -o "$B/$binaries/works$end" >/dev/null 2>&1 ||
        { echo "skipped $name: $cc has no C library here"; return; }
    runs=1
    [ -z "$run" ] || has ${run%% *} || runs=0
    [ $runs = 0 ] || $run "./$B/$binaries/works$end" >/dev/null 2>&1 || runs=0
    programs='test_base test_attention test_matmul test_norm test_tensor test_tape conformance'
    case $name in aarch64-a53|s390x*|i686|x86-64-clang|cxx11|windows|riscv64-simde)
        programs="$programs test_axes" ;; esac
    # test_ops and test_softmax compare with sums in long double, which must be wider than a double: not on armhf
    case $name in aarch64-a53|s390x*) programs="$programs test_draw test_rows test_vec test_ops test_softmax" ;;
    armhf) programs="$programs test_draw test_rows test_vec test_attention_misuse" ;;
    tcc) programs="$programs test_axes test_draw test_vec test_ops test_softmax test_attention_misuse" ;; esac
    # qemu's masked loads of AVX touch what is masked, so not the tests whose arrays end at a forbidden page
    case $name in *haswell) programs='test_base test_tensor test_tape conformance' ;; esac
    for t in $programs; do
        p=$B/$binaries/$t n=$rounds words=
        case $t in
        test_vec) n=$((rounds / 10)) ;;                     # every sample costs ten functions in double
        test_ops|test_softmax) n=$((rounds / 4)) ;;
        test_rows) words=any ;;                             # the sweep alone: the others take minutes in an emulator
        conformance) words=$(ls tests/conformance/*.safetensors) ;;
        esac
        if [ "$p" -nt attn.h ] && [ "$p" -nt "tests/$t.c" ]; then :
        elif ! "$@" -DROUNDS=$n -I. "tests/$t.c" -o "$p$end" >"$p.err" 2>&1; then
            echo "FAILED  $name: $t does not compile"; head -n 5 "$p.err" | sed 's/^/        /'; continue
        fi
        if [ $runs = 0 ]; then echo "skipped $name: $t compiles; not run: no $run"; continue; fi
        log=$B/$name.$t.log
        (timeout 900 $run "./$p$end" $words; echo "exit $?") >"$log" 2>&1
        set -- "$@"
        sum=$(tail -n 2 "$log" | head -n 1) status=$(tail -n 1 "$log")
        case "$sum/$status" in
        *' passed, 0 failed'*'/exit 0') echo "ok      $name: $t: $sum" ;;
        *) echo "FAILED  $name: $t: $sum, $status"; grep -v '^ok' "$log" | head -n 8 | sed 's/^/        /' ;;
        esac
    done
}

if [ "$1" = --one ]; then
    name=$2; row "$name" | tee "$B/$name.out"
    exit 0
fi
mkdir -p "$B"
[ $# != 0 ] || set -- ''
chosen=$(rows | cut -d'|' -f1 | while read -r n; do
    for w in "$@"; do case $n in *"$w"*) echo "$n"; break ;; esac; done; done)
first=$(for n in $chosen; do rows | grep "^$n|" | grep -q '|same as ' || echo "$n"; done)
second=$(for n in $chosen; do rows | grep "^$n|" | grep -q '|same as ' && echo "$n"; done)
for group in "$first" "$second"; do
    [ -z "$group" ] || printf '%s\n' $group | xargs -P "$JOBS" -I @ sh tests/matrix.sh --one @
done
for n in $chosen; do cat "$B/$n.out"; done |
    awk '/^ok / { p++ } /^FAILED / { f++ } /^skipped / { s++ }
        END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }'
