#!/bin/sh
# hygiene.sh - what attn.h promises about names, macros, warnings, configurations and compiler options; length of lines.
#     sh tests/hygiene.sh quick         what make test runs
#     sh tests/hygiene.sh all           with the builds that take minutes
#     sh tests/hygiene.sh seen          breaks copies of the header on purpose: each check must fail at least once
#     sh tests/hygiene.sh CHECK...      only these
# A check prints one line: ok, FAILED or skipped, its name, what it says. ATTN=path checks another header. CC, CXX and
# JOBS are honoured; gcc and clang are used where they are there, else CC. What needs a C++ compiler is
# left out, and named, where there is none. A check runs in a directory of its own that holds attn.h, impl.c and
# impl.cpp (ATTN_IMPLEMENTATION, attn.h) and decl.c, decl.cpp (attn.h alone).

CC=${CC:-cc} CXX=${CXX:-c++}
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}
tests=$(cd "$(dirname "$0")" && pwd)
ATTN=${ATTN:-$tests/../attn.h}
export ATTN CC CXX LC_ALL=C

quick='lines declarations four_times two_units two_static renamed pasted elsewhere hostile_words hostile_letters
after_headers symbols state macros_declarations macros_implementation no_stdlib configs contradictions warnings_c
warnings_cxx warnings_everything'
slow='warnings_optimised contraction_gcc contraction_clang pairs_kernels pairs_tensors no_stdlib_more
alone:examples alone:tests alone:bench alone:docs
build:gcc:-O0 build:gcc:-O1 build:gcc:-O2 build:gcc:-O3 build:gcc:-Os build:gcc:-Ofast build:gcc:-O2:-ffast-math
build:gcc:-O2:-flto=auto build:gcc:-O3:-march=native build:gcc:-Ofast:-march=native build:gcc:-O2:-std=gnu11:-mfma
build:clang:-O0 build:clang:-O1 build:clang:-O2 build:clang:-O3 build:clang:-Os build:clang:-Ofast
build:clang:-O2:-ffast-math build:clang:-O2:-flto build:clang:-O3:-march=native build:clang:-Ofast:-march=native
build:gcc:-O2:-DATTN_NO_DISPATCH build:gcc:-O2:-DATTN_STATIC build:clang:-O2:-DATTN_NO_SIMD'

# The list of style 6.3. In C++ the implementation casts in C's way; the declarations, which users see, do not cast.
COMMON='-Wall -Wextra -pedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Wdouble-promotion -Wcast-qual
-Wcast-align -Wwrite-strings -Wredundant-decls -Wformat=2 -Wvla -Wpointer-arith'
WARN_C="$COMMON -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wc++-compat"
WARN_CXX="$COMMON -Wno-old-style-cast"
STD_C='c99 c11 c2x' STD_CXX='c++11 c++14 c++17 c++20'
# clang's -Weverything, less
#   padded                          the fields of a descriptor stand in the order in which they are explained
#   declaration-after-statement     the language is C99
#   used-but-marked-unused          functions are marked unused because some configuration does not call them
#   float-equal                     a comparison with 0 or with a bound is exact and meant so
#   comma                           `a = b, c = d` after an if: two short acts of one thought
#   bad-function-cast               (double)f(x) is how a number changes its type
#   conditional-uninitialized       an array that a loop of fixed length fills
#   unsafe-buffer-usage             wants C++ containers in place of pointers
#   unknown-warning-option          a clang that does not know one of these
EVERYTHING='-Weverything -Wno-padded -Wno-declaration-after-statement -Wno-used-but-marked-unused -Wno-float-equal
-Wno-comma -Wno-bad-function-cast -Wno-conditional-uninitialized -Wno-unsafe-buffer-usage -Wno-unknown-warning-option'

has() { command -v "$1" >/dev/null 2>&1; }
works() { has "$1" && echo 'int main(void) { return 0; }' >works.c && "$@" works.c -o works.out >/dev/null 2>&1; }
either() { found=; for c in $1 $2; do has "$c" && found="${found:+$found }$c"; done; echo "${found:-$3}"; }
has "${CXX%% *}" || { CXX=$(either g++ clang++); CXX=${CXX%% *}; }
c_compilers=$(either gcc clang "$CC") cxx_compilers=$(either g++ clang++ "$CXX")
no_cxx=; [ -n "$CXX" ] || no_cxx=', C++ not here'
is_clang() { "$1" --version 2>/dev/null | grep -q clang; }

# Words for the failure, then a command that must succeed and print nothing.
silent() {
    words=$1; shift
    if "$@" >log 2>&1 && [ ! -s log ]; then return 0; fi
    { echo "$words"; grep -E 'error|warning|undefined|note' log | awk '!seen[$0]++' | head -n 4
      [ -s log ] || echo 'failed'; } >>wrong
    return 1
}
in_cxx() { [ -z "$CXX" ] || silent "$@"; }
# Words for the failure; what comes in must be empty.
empty() { cat >log; if [ -s log ]; then { echo "$1"; head -n 6 log; } >>wrong; fi; }
verdict() {
    if [ -s wrong ]; then echo "FAILED  $check: $(head -n 1 wrong)"; sed 1d wrong | head -n 30 | sed 's/^/        /'
    else echo "ok      $check: $*"; fi
    rm -f wrong
}
skipped() { echo "skipped $check: $*"; }
now() { date +%s%N | cut -c1-13; }

# ---- text

# Rooms of attn.h whose lines may still be longer than 120 columns.
wide=''
lines() { # a tab goes to the next multiple of 8, the later bytes of a UTF-8 character take no column
    n=0 top=$tests/..
    for f in attn.h "$top"/Makefile "$top"/.ci/run "$top"/tests/*.sh "$top"/tests/*.py "$top"/examples/*/*.py \
        "$top"/tests/*.[ch] "$top"/bench/*.[ch] "$top"/docs/*.c "$top"/examples/*.c; do
        [ -f "$f" ] || continue
        n=$((n + 1))
        tr -d '\200-\277' <"$f" | expand | awk -v file="${f#"$top"/}" -v wide="$wide" '
            BEGIN { split(wide, w); for (i in w) may[w[i]] = 1 }
            /^\/\/ >>/ && file == "attn.h" { room = substr($2, 3) }
            length > 120 && !(room in may) { print file ":" NR ": " length " columns" }'
    done >long
    empty 'longer than 120 columns:' <long
    verdict "$n files, 120 columns at most${wide:+, but for attn.h's rooms $wide}"
}

# ---- inclusion

declarations() {
    for c in $c_compilers; do for s in $STD_C; do
        silent "$c $s" "$c" -std=$s $WARN_C -I. -fsyntax-only decl.c; done; done
    for c in $cxx_compilers; do
        more='-Wold-style-cast -Wzero-as-null-pointer-constant'
        is_clang "$c" || more="$more -Wuseless-cast"
        for s in $STD_CXX; do silent "$c $s" "$c" -std=$s $COMMON $more -I. -fsyntax-only decl.cpp; done
    done
    : >nothing.c
    for f in nothing decl; do
        t=$(now); for i in 1 2 3 4 5 6 7 8; do $CC -c -I. $f.c -o o.o; done; eval "$f=$((($(now) - t) / 8))"
    done
    verdict "silent in $STD_C ${CXX:+$STD_CXX}$no_cxx, $((decl - nothing)) ms (an empty file: $nothing ms)"
}
main_of() { # a whole program: one query, two keys, o = the mean of v
    cat <<'END'
#include <stdio.h>
static int mean(void) {
    static const float q[1] = { 0 }, k[2] = { 1, 2 }, v[2] = { 3, 5 };
    static double work[1 << 14];
    float o = 0;
    attn_desc d = ATTN_ZERO;
    attn_status s;
    d.q = q; d.k = k; d.v = v; d.o = &o; d.heads = 1; d.queries = 1; d.keys = 2; d.dim = 1;
    d.workspace = work; d.workspace_bytes = sizeof work;
    s = attn_fwd(&d);
    if (s != ATTN_OK || o < 3.99f || o > 4.01f) { printf("status %d, o = %g\n", (int)s, (double)o); return 1; }
    return attn_version() != ATTN_VERSION;
}
END
}
four_times() {
    for order in 'd d i d' 'd i i d' 'i d d d' 'i i i i' 'd d d i'; do
        for w in $order; do
            [ $w = i ] && echo '#define ATTN_IMPLEMENTATION'
            echo '#include "attn.h"'
            [ $w = i ] && echo '#undef ATTN_IMPLEMENTATION'
        done >four.c
        { main_of; echo 'int main(void) { return mean(); }'; } >>four.c
        cp four.c four.cpp
        silent "in the order $order" $CC -O0 -I. -Wall -Wextra four.c -o four && silent "run $order" ./four
        in_cxx "in the order $order, C++" $CXX -I. -Wall -Wextra -fsyntax-only four.cpp
    done
    verdict "included four times in one file, in five orders$no_cxx"
}
two_units() {
    { echo '#include "attn.h"'; main_of; echo 'int main(void) { return mean(); }'; } >user.c
    cp user.c user.cpp
    silent 'two units' $CC -O0 -I. -Wall -Wextra user.c impl.c -o two && silent 'run' ./two
    $CC -O0 -I. -c impl.c -o impl.o 2>/dev/null
    in_cxx 'C++ with C' $CXX -O0 -I. -Wall -Wextra user.cpp impl.o -o two && silent 'run' ./two
    silent 'the header as a file of its own' $CC -O0 -x c -DATTN_IMPLEMENTATION -c attn.h -o own.o
    silent 'and linked' $CC -I. user.c own.o -o two && silent 'run' ./two
    verdict "two files, one with the implementation, link without -lm and -pthread${CXX:+; C++ with C too}$no_cxx"
}
two_static() {
    for f in 1 2; do
        [ $f = 2 ] && echo '#define ATTN_NO_SIMD' && echo '#define ATTN_ONLY_KERNELS'
        printf '#define ATTN_STATIC\n#define ATTN_IMPLEMENTATION\n#include "attn.h"\n'
        main_of
        echo "int mean$f(void); int mean$f(void) { return mean(); }"
        [ $f = 1 ] && echo 'int mean2(void); int main(void) { return mean1() + mean2(); }'
    done >both.c
    awk '/define ATTN_NO_SIMD/ { n = 1 } { print > (n ? "two.c" : "one.c") }' both.c
    silent 'two static units' $CC -O0 -I. -Wall -Wextra one.c two.c -o two && silent 'run' ./two
    for c in $c_compilers $cxx_compilers; do
        case $c in *++*) f=impl.cpp ;; *) f=impl.c ;; esac
        silent "$c, nothing used" "$c" -O0 -DATTN_STATIC -Wall -Wextra -I. -c $f -o static.o
        nm -g --defined-only static.o | grep -v DW.ref.__gxx | empty "$c: names that a static build gives away"
    done
    verdict "two static copies with different configurations link; nothing is exported; silent when unused$no_cxx"
}
renamed() {
    mkdir -p other && cp attn.h other/attention_library.h
    { printf '#define ATTN_FILENAME "attention_library.h"\n#define ATTN_IMPLEMENTATION\n'
      echo '#include "attention_library.h"'; main_of
      echo 'int main(void) { puts(attn_build_info()); return mean(); }'; } >renamed.c
    mv attn.h away.h
    silent 'renamed' $CC -O0 -Iother -Wall -Wextra renamed.c -o renamed && ./renamed >info ||
        echo 'wrong result' >>wrong
    mv away.h attn.h
    verdict 'renamed, with ATTN_FILENAME'
}
pasted() {
    mkdir -p alone
    { printf '#define ATTN_NO_DISPATCH\n#define ATTN_IMPLEMENTATION\n'; cat attn.h; main_of
      echo 'int main(void) { return mean(); }'; } >alone/game.c
    cp alone/game.c alone/game.cpp
    (cd alone && silent 'pasted into a file' $CC -O0 -Wall -Wextra game.c -o game && silent 'run' ./game
     in_cxx 'pasted, C++' $CXX -Wall -Wextra -fsyntax-only game.cpp; [ ! -s wrong ] || cat wrong >>../wrong)
    verdict "pasted into another file, with ATTN_NO_DISPATCH$no_cxx"
}
elsewhere() {
    mkdir -p deep/src deep/lib/attn away
    cp attn.h deep/lib/attn/attn.h; mv attn.h away.h
    for name in '../lib/attn/attn.h' 'attn.h' 'attn/attn.h' '<attn.h>' '<attn/attn.h>'; do
        case $name in '<'*) i=$name ;; *) i="\"$name\"" ;; esac
        { printf '#define ATTN_IMPLEMENTATION\n#include %s\n' "$i"; main_of
          echo 'int main(void) { return mean(); }'; } >deep/src/m.c
        for c in $c_compilers; do
            (cd away && silent "$c: #include $i" "$c" -fsyntax-only -I ../deep/lib -I ../deep/lib/attn ../deep/src/m.c
             [ ! -s wrong ] || cat wrong >>../wrong; rm -f wrong)
        done
    done
    mv away.h attn.h
    verdict 'found by -I, below a directory, by a relative path, from another working directory'
}

# ---- names of others

hostile() {
    for c in $c_compilers; do silent "$c" "$c" -Wall -I. -include hostile.h -fsyntax-only impl.c; done
    for c in $cxx_compilers; do silent "$c" "$c" -Wall -I. -include hostile.h -fsyntax-only impl.cpp; done
}
hostile_words() {
    { for m in 'min(a, b)' 'max(a, b)' 'swap(a, b)' 'near' 'far' 'NEAR' 'FAR' 'small' 'interface' 'IN' 'OUT' 'ERROR' \
        'TRUE' 'FALSE' 'CONST' 'VOID' 'OPTIONAL' 'EPS' 'PI' 'M_PI' 'complex' 'I' 'BYTE' 'Status' 'Bool' 'None' 'CHECK' \
        'COUNT' 'SIZE' 'LANES' 'KEEP' 'INF' 'NAN' 'INFINITY' 'MIN' 'ABS' 'ALIGN' 'UNUSED' 'LIKELY' 'RESTRICT' 'TARGET' \
        'TEST' 'DEBUG' 'NDEBUG' 'VERSION' 'MALLOC' 'FREE' 'U' 'L' 'u8' 'f32'; do
            echo "#define $m @ hostile @"; done
        # and whatever the header itself writes in capitals
        sed 's|//.*||; s/"[^"]*"//g' attn.h | grep -oE '\b[A-Z][A-Z0-9_]+\b' | grep -v '^ATTN_' | sort -u |
            sed 's/.*/#define & @ hostile @/'; } | awk '!seen[$2]++' >names
    # what the system's own headers need cannot be hostile: each word is tried against them first
    : >hostile.h; : >words
    sed -n 's/.*#include <\(.*\)>.*/\1/p' attn.h | sort -u | grep -v -E 'windows|intrin.h|arm_neon|simde|auxv' >system
    sed 's/.*/#include <&>/' system >system.c
    echo '#include <immintrin.h>' >>system.c
    $CC -include names -fsyntax-only system.c >/dev/null 2>sys.log && cp names hostile.h ||
    while read -r line; do
        echo "$line" >one.h
        if $CC -include one.h -fsyntax-only system.c >/dev/null 2>&1; then echo "$line" >>hostile.h
        else echo "$line" | awk '{ print $2 }' >>words; fi
    done <names
    hostile
    [ ! -s words ] || broken="; the system's headers break on $(tr '\n' ' ' <words)"
    verdict "$(wc -l <hostile.h) words defined as nonsense before the header$broken$no_cxx"
}
hostile_letters() {
    for l in A B C D E F G H I J K L M N O P Q R S T U V W X Y Z; do echo "#define $l @ hostile @"; done >all.h
    cp all.h hostile.h
    hostile
    if [ -s wrong ]; then # which one is it?
        rm wrong
        while read -r line; do echo "$line" >hostile.h; hostile; [ ! -s wrong ] || { echo "$line"; break; }; done <all.h
    fi
    verdict "each capital letter defined as nonsense before the header$no_cxx"
}
after_headers() {
    for h in complex.h termios.h sys/param.h math.h errno.h sys/socket.h curses.h X11/Xlib.h; do
        if echo "#include <$h>" | $CC -x c -fsyntax-only - >/dev/null 2>&1; then list="$list $h"
        else absent="$absent $h"; fi
    done
    for c in $c_compilers $cxx_compilers; do
        case $c in *++*) f=impl.cpp h=$list ;; *) f=impl.c h="$list tgmath.h" ;; esac
        for h in $h; do echo "#include <$h>"; done >hostile.h
        silent "$c" "$c" -Wall -Wextra -I. -include hostile.h -fsyntax-only $f
    done
    verdict "after$list, tgmath.h$no_cxx"
    [ -z "$absent" ] || skipped "not here:$absent"
}

# ---- objects

exported() { # o.o gives away names that begin with attn_ only, none with attn__
    nm -g --defined-only o.o | awk '$3 !~ /^(attn_[a-z0-9]|DW\.ref\.__gxx_personality_v0$)/ { print $3 }' |
        empty "$1: exported"
}
symbols() { # of the whole header: state, which has those objects
    for c in $c_compilers $cxx_compilers; do
        case $c in *++*) f=impl.cpp ;; *) f=impl.c ;; esac
        for m in -DATTN_ONLY_KERNELS -DATTN_NO_DISPATCH; do
            silent "$c $m" "$c" -O0 $m -I. -c $f -o o.o && exported "$c $m"
        done
    done
    verdict "$(nm -g --defined-only o.o | wc -l) exported names with ATTN_NO_DISPATCH, all attn_, none attn__$no_cxx"
}
state() {
    for c in $c_compilers $cxx_compilers; do
        case $c in *++*) f=impl.cpp ;; *) f=impl.c ;; esac
        for pic in -fPIC -fno-pic; do
            silent "$c" "$c" -O0 $pic -I. -c $f -o o.o || continue
            exported "$c $pic"
            objdump -t o.o | awk '$(NF - 2) ~ /^\.(t?bss|t?data)/ && $(NF - 2) !~ /^\.data\.rel\.ro/ && $NF !~ /^\./ &&
                $NF !~ /^(attn__isa_word)$/ { print $(NF - 2), $NF }' | empty "$c $pic: mutable statics"
            size -A o.o | awk '($1 ~ /^\.(t?bss|t?data)/ && $1 !~ /^\.data\.rel\.(ro|local\.DW\.ref\.__gxx)/ &&
                 $2 > ($1 ~ /^\.bss/ ? 4 : 0)) ||
                ($1 ~ /^\.(ctors|init_array|dtors|fini_array)/) { print $1, $2, "bytes" }' | empty "$c $pic: sections"
        done
    done
    verdict "one mutable static, attn__isa_word; no constructors; every exported name is attn_$no_cxx"
}
macros_between() { # before.h after.h -> macros that after has more, less or different
    $CC -I. -dM -E -x c $1 2>/dev/null | sort >before.txt; $CC -I. -dM -E -x c $2 2>/dev/null | sort >after.txt
    comm -23 before.txt after.txt | awk '{ print "lost or changed:", $2 }'
    comm -13 before.txt after.txt | awk '{ sub(/\(.*/, "", $2); print $2 }' |
        grep -v -E '^ATTN_' | awk '{ print "left behind:", $0 }'
    comm -13 before.txt after.txt | awk '{ sub(/\(.*/, "", $2); print $2 }' |
        grep -E "^($private)\$" | awk '{ print "left behind:", $0 }'
}
private='attn__.*|ATTN__(ISA|LANES|AGAIN|DOUBLE|OVERLAY|HAS_.*|BY_SIMDE|FN|ROW|R1|PACKET)'
macros_declarations() {
    printf '#include <stddef.h>\n#include <stdint.h>\n' >before.h
    macros_between before.h decl.c | empty 'the declarations:'
    verdict 'the declarations leave ATTN_ macros only and change none of others'
}
macros_implementation() {
    # the same system headers, in the order in which the implementation takes them
    $CC -I. -H -fsyntax-only impl.c 2>&1 | sed -n 's/^\.\. \(.*\)/\1/p' | grep -v 'attn\.h$' |
        sed 's/.*/#include "&"/' >before.h
    { echo '#define ATTN_IMPLEMENTATION'; echo '#include "attn.h"'; } >after.h
    macros_between before.h after.h | grep -v ' ATTN_IMPLEMENTATION$' | empty 'the implementation:'
    verdict 'the implementation leaves ATTN_ macros only, no word of the vocabulary, and changes none of others'
}
allowed() { # what the table of >>config says that such a build needs: a row, and one that continues it
    sed -n '\|^//     ATTN_NO_STDLIB |{ N; s|\n//  \{20,\}| |; s|\n.*||; s|.* only ||p; }' attn.h |
        grep -o '[a-z]\{3,\}' | tr '\n' '|'
}
needs() { # compiler and flags: what a build without stdlib needs
    silent "$*" "$@" -fno-stack-protector -DATTN_NO_STDLIB -I. -c impl.c -o o.o || return
    nm -u o.o | awk '{ print $NF }' | grep -v -x -E "$(allowed)_GLOBAL_OFFSET_TABLE_" | empty "$*: needs"
}
no_stdlib() {
    needs $CC -Os -DATTN_NO_SIMD
    needs $CC -O2 -DATTN_ONLY_KERNELS -DATTN_NO_SIMD
    verdict "ATTN_NO_STDLIB needs nothing but $(allowed | tr '|' ' ')"
}
no_stdlib_more() {
    for c in $c_compilers; do
        for m in -Os '-Os -DATTN_NO_SIMD' '-Os -DATTN_ONLY_KERNELS' -O2 -O3; do needs "$c" $m; done
        if works "$c" -m32; then for m in -O2 -Os; do
            silent "$c -m32 $m" "$c" -m32 $m -fno-pic -fno-stack-protector -DATTN_NO_STDLIB -I. -c impl.c -o o.o ||
                continue
            # 64-bit divisions are calls into the compiler's own library there
            nm -u o.o | awk '{ print $NF }' | grep -v -x -E "$(allowed)__u?(div|mod|divmod)di[34]" |
                empty "$c -m32 $m: needs"
        done; fi
    done
    verdict "the same by $c_compilers at -Os, -O2 and -O3$(works gcc -m32 && echo ' and with -m32')"
}
contraction_of() { # a compiler: no fused instruction in a build without vector passes, whatever the flags
    has "$1" || { skipped "no $1 here"; return; }
    case $(uname -m) in x86_64) ;; *) skipped 'reads x86-64 code'; return ;; esac
    for m in '-O3 -mfma' '-O2 -std=gnu11 -march=haswell' "${2:--Os -mfma}"; do
        silent "$m" $1 $m -DATTN_NO_SIMD -I. -c impl.c -o o.o || continue
        objdump -d --no-show-raw-insn o.o | awk '/^[0-9a-f]+ <.*>:/ { f = $2 } /vf(n?m)(add|sub)/ { print f, $2 }' |
            sort | uniq -c | empty "$1 $m: fused where nothing fused is written"
    done
    verdict "no fused multiply-add in the scalar passes under -mfma, gnu11${2:+, $2}"
}
contraction_gcc() { contraction_of gcc '-O3 -mfma -ffp-contract=fast'; } # clang's code generator fuses under that flag
contraction_clang() { contraction_of clang; }

# ---- configurations

simde_here() { echo '#include <simde/x86/avx2.h>' | $CC -x c -fsyntax-only - >/dev/null 2>&1; }
macro_names() {
    awk '/^\/\/ >>config/ { on = 1 } /^#/ { if (on) exit }
        on && /^\/\/     ATTN_/ { sub(/\(.*/, "", $2); print $2 }' attn.h
}
configured() { # macro name -> flags, one word a line
    case $1 in
    ATTN_MALLOC)
        printf '%s\n' '-DATTN_MALLOC(n)=malloc(n)' '-DATTN_REALLOC(p,n)=realloc(p,n)' '-DATTN_FREE(p)=free(p)' ;;
    ATTN_DEF) printf '%s\n' '-DATTN_DEF=extern __attribute__((visibility("default")))' ;;
    ATTN_ASSERT) printf '%s\n' '-DATTN_ASSERT(x)=assert(x)' '-include' 'assert.h' ;;
    ATTN_FILENAME) printf '%s\n' '-DATTN_FILENAME="attn.h"' ;;
    ATTN_SIMDE_NEON) printf '%s\n' '-DATTN_USE_SIMDE' '-DATTN_SIMDE_NEON' ;;
    ATTN_IMPLEMENTATION) printf '%s\n' '-DATTN_SET_BY_THE_FILE' ;;
    *) echo "-D$1" ;;
    esac
}
configs() {
    n=0
    [ "$DEPTH" = all ] && config_compilers="$c_compilers $cxx_compilers" ||
        config_compilers="${c_compilers%% *} ${cxx_compilers##* }"
    for m in $(macro_names); do
        case $m in ATTN_USE_SIMDE|ATTN_SIMDE_NEON) simde_here || { without=1; continue; } ;; esac
        n=$((n + 1))
        for c in $config_compilers; do
            case $c in *++*) f=impl.cpp w=$WARN_CXX ;; *) f=impl.c w=$WARN_C ;; esac
            case $m in *SIMDE*) w='-Wall -Wextra' ;; esac # SIMDe is not silent under more
            (IFS='
'; set -- $(configured $m); IFS=' 
'; silent "$c $*" "$c" $w -I. -fsyntax-only "$@" $f)
        done
    done
    [ $n -ge 15 ] || echo "only $n macros found in the table of >>config" >>wrong
    verdict "$n macros of the table, each alone, silent$no_cxx"
    [ -z "$without" ] || skipped 'ATTN_USE_SIMDE, ATTN_SIMDE_NEON: no SIMDe here'
}
pairs() { # flags that all pairs share
    set -- "$1" ATTN_NO_STDLIB ATTN_NO_STDIO ATTN_NO_THREADS ATTN_NO_SIMD ATTN_NO_F64 ATTN_NO_AVX512 ATTN_NO_AVX2 \
        ATTN_NO_DISPATCH ATTN_STATIC ATTN_ASSERT ATTN_MALLOC ATTN_USE_SIMDE ATTN_SIMDE_NEON
    shared=$1; shift; n=0
    { echo '#define ATTN_IMPLEMENTATION'; echo '#include "attn.h"'; main_of
      echo 'int main(void) { return mean(); }'; } >pair.c
    echo '#include <stdlib.h>' | cat - pair.c >pair2.c; mv pair2.c pair.c
    for a in "$@"; do for b in "$@"; do
        [ "$a" \< "$b" ] || continue
        case "$a $b" in
        'ATTN_MALLOC ATTN_NO_STDLIB'|'ATTN_NO_SIMD ATTN_USE_SIMDE'|'ATTN_NO_SIMD ATTN_SIMDE_NEON') continue ;;
        'ATTN_NO_DISPATCH ATTN_USE_SIMDE'|'ATTN_NO_DISPATCH ATTN_SIMDE_NEON') continue ;;
        *SIMDE*) simde_here || continue ;;
        esac
        n=$((n + 1))
        { configured $a; configured $b; } >flags
        (IFS='
'; set -- $(cat flags); IFS=' 
'; silent "$*" $CC -O0 -Wall -Wextra -Wno-psabi $shared -I. "$@" pair.c -o pair && silent "run $*" ./pair)
    done; done
    verdict "$n pairs of macros compile, link, run"
}
pairs_kernels() { pairs -DATTN_ONLY_KERNELS; }
pairs_tensors() { pairs ''; }
contradictions() {
    : >fired
    while read -r flags; do
        if $CC $flags -I. -fsyntax-only impl.c >log 2>&1; then echo "no error: $flags" >>wrong
        else grep -o '#error "attn.h: .*"' log | sort -u >one
             [ -s one ] || { echo "no #error of the header: $flags"; head -n 3 log; } >>wrong
             cat one >>fired; fi
    done <<'END'
-DATTN_MALLOC(n)=malloc(n)
-DATTN_REALLOC(p,n)=realloc(p,n) -DATTN_FREE(p)=free(p)
-DATTN_MALLOC(n)=malloc(n) -DATTN_REALLOC(p,n)=realloc(p,n) -DATTN_FREE(p)=free(p) -DATTN_NO_STDLIB
-DATTN_USE_SIMDE -DATTN_NO_SIMD
-DATTN_SIMDE_NEON
-DATTN_USE_SIMDE -DATTN_NO_DISPATCH
-DATTN_STATIC -DATTN_DEF=extern
END
    # a machine without SIMDe: the system's headers but that one
    if has gcc && [ "$(uname -s)" = Linux ]; then
        mkdir -p include; for f in /usr/include/*; do [ "${f##*/}" = simde ] || ln -sf "$f" include/; done
        triple=$(gcc -print-multiarch 2>/dev/null)
        gcc -nostdinc -isystem "$(gcc -print-file-name=include)" -isystem include ${triple:+-isystem include/$triple} \
            -DATTN_USE_SIMDE -I. -fsyntax-only impl.c >log 2>&1
        grep -o '#error "attn.h: ATTN_USE_SIMDE: .* not found; .*"' log | sort -u >one
        [ -s one ] || { echo 'without SIMDe the header does not say what to install:'; head -n 3 log; } >>wrong
        cat one >>fired
    fi
    grep -o '#error "attn.h: .*"' attn.h | sort -u >said; sort -u fired >fired.txt
    comm -23 said fired.txt | empty '#error lines that no row of this check fires:'
    verdict "$(wc -l <said) #error lines, each fired"
}

# ---- warnings

warnings_c() {
    for c in $c_compilers; do for s in $STD_C; do
        silent "$c $s" "$c" -std=$s $WARN_C -I. -fsyntax-only impl.c; done; done
    verdict "$c_compilers: $STD_C"
}
warnings_cxx() {
    [ -n "$CXX" ] || { skipped 'no C++ compiler here, nor for the C++ half of the other checks'; return; }
    for c in $cxx_compilers; do for s in $STD_CXX; do
        silent "$c $s" "$c" -std=$s $WARN_CXX -fno-exceptions -fno-rtti -I. -fsyntax-only impl.cpp; done; done
    verdict "$cxx_compilers: $STD_CXX"
}
warnings_everything() {
    has clang || { skipped 'no clang here, nor for the other checks'; return; }
    for s in c99 c11 c2x; do silent "clang $s" clang -std=$s $EVERYTHING -I. -fsyntax-only impl.c; done
    verdict "clang $(echo $EVERYTHING)"
}
warnings_optimised() { # some warnings need the optimiser's eyes
    for c in $c_compilers; do for o in -O2 -O3 -Os; do silent "$c $o" "$c" $o $WARN_C -I. -c impl.c -o o.o; done; done
    for c in $cxx_compilers; do silent "$c -O2" "$c" -O2 $WARN_CXX -I. -c impl.cpp -o o.o; done
    verdict "silent at -O2, -O3, -Os$no_cxx"
}

# ---- programs

alone() { # folder: each program compiles by cc -O2 -I. file.c -o name and nothing else, in silence
    n=0 folder=$1
    ln -sf "$tests/../$1" here
    for f in here/*.c; do
        name=$(basename "$f" .c)
        case $name in
        attn|counts) continue ;; # parts of programs
        esac
        n=$((n + 1))
        silent "$1/$name.c" $CC -O2 -I. "$f" -o program || break
    done
    [ $n -gt 0 ] || echo "no program in $1" >>wrong
    verdict "$n programs of $1, each by one command"
}

# ---- compiler options

build() { # compiler, options: builds and runs two test programs
    c=$1; shift
    has "$c" || { skipped "no $c here"; return; }
    rounds=150
    case "$*" in *-O0*) rounds=25 ;; esac
    case "$*" in *fast*) # the library alone: the tests' own oracle needs infinities, and links without flush to zero
        silent 'attn.h' "$c" "$@" -I. -c impl.c -o impl.o
        sed '/^#define ATTN_IMPLEMENTATION/d' "$tests/test_attention.c" >fast.c
        silent test_attention "$c" -O2 -w -DROUNDS=$rounds -I. -I"$tests" fast.c impl.o -o fast
        # clang's code generator believes -ffast-math whatever the pragmas say: that hidden NaN stays hidden is not
        # promised there (docs/decisions.md)
        words='sweep empty property'
        is_clang "$c" || words="$words poison"
        for w in $words; do
            timeout 600 ./fast $w >log 2>&1 || { echo "$w: exit $?"; tail -n 5 log; } >>wrong
        done
        sed '/^#define ATTN_IMPLEMENTATION/d' "$tests/test_axes.c" >axes.c
        silent test_axes "$c" -O2 -w -DROUNDS=$rounds -I. -I"$tests" axes.c impl.o -o axes
        timeout 900 ./axes >log 2>&1 || { echo "test_axes: exit $?"; tail -n 5 log; } >>wrong
        verdict "$words, test_axes: $(tail -n 1 log)"
        return ;;
    esac
    for t in test_base test_attention; do
        silent "$t" "$c" "$@" -DROUNDS=$rounds -I. "$tests/$t.c" -o $t || continue
        timeout 900 ./$t >log 2>&1 || { echo "$t: exit $?"; grep -v '^ok' log | tail -n 8; } >>wrong
    done
    verdict "$(tail -n 1 log)"
}

# ---- breaking the header on purpose: check | what is broken | sed script. A line that begins with a space continues
breakages() {
    awk '/^ / { sub(/^ */, ""); row = row $0; next } { if (NR > 1) print row; row = $0 } END { print row }' <<'END'
lines|a line twice as long|s|^// A record is the list of nodes.*|&&|
declarations|a float literal|s|^typedef struct attn_tile {|static const float attn_x = 1.0;&|
four_times|a second definition|s/^#define ATTN__DONE$//
two_units|a definition among the declarations|
    s|^ATTN_DEF int attn_version(void);|int attn_version(void) { return 100; }|
two_static|an exported function|
    s|^ATTN_DEF const char \*attn_type_str(int type) *{|extern &|;s|^#define ATTN_DEF static.*|#define ATTN_DEF static|
renamed|its own name is fixed|s|^#include ATTN_FILENAME|#include "attn.h"|
pasted|it includes itself all the same|s|^#ifndef ATTN_NO_DISPATCH|#if 1|
elsewhere|it is found in the working directory only|s|^#include ATTN_FILENAME|#include "../attn.h"|
hostile_words|a local named small|s|^ATTN_DEF int attn_version(void) *{|&int small = 0; (void)small;|
hostile_letters|a parameter named N|s|^ATTN_DEF int attn_isa_has(int isa);|ATTN_DEF int attn_isa_has(int N);|
after_headers|a field named I|s|^    ptrdiff_t b, h, i0|    int I; &|
symbols|a function without static|
    s|^ATTN_DEF int attn_version(void) *{|int attn__more(void); int attn__more(void) { return 1; }&|
state|a counter|s|^ATTN_DEF int attn_version(void) *{|&static int calls; calls++;|
macros_declarations|a macro|s|^#define ATTN_H$|&@#define EPS 1|
macros_implementation|a word of the vocabulary stays|/^#undef attn__v_hsum/d
no_stdlib|a call of abs|s|^ATTN_DEF int attn_version(void) *{|int puts(const char *);&puts("");|
configs|a row for a macro that does not compile|s|^#define ATTN_H$|&@#ifdef ATTN_NO_STDIO@static int x = ;@#endif|
contradictions|a contradiction that nobody notices|s|defined(ATTN_STATIC) && defined(ATTN_DEF)|0|
warnings_c|a conversion|s|^ATTN_DEF int attn_version(void) *{|&unsigned x = (unsigned)attn_isa(); int y = x; (void)y;|
warnings_cxx|an implicit conversion of a pointer|s|^ATTN_DEF int attn_version(void) *{|&int *p = (void *)0; (void)p;|
warnings_everything|a macro that nobody uses|
    s|^ATTN_DEF int attn_version(void) *{|&switch (1) { case 1: if (0) return 1; break; default: ; }|
contraction_gcc|the mode is not set|s|^#pragma GCC optimize.*||
contraction_clang|the mode is not set|s|^#pragma clang fp contract(off)||;s|^#pragma float_control.*||
warnings_optimised|a value that is not set|
    s|^ATTN_DEF int attn_version(void) *{|&int x[4]; if (x[attn_isa() \& 3]) return 1;|
pairs_kernels|a pair|
    s|^#define ATTN_H$|&@#if defined(ATTN_NO_F64) \&\& defined(ATTN_NO_THREADS)@static int x = ;@#endif|
pairs_tensors|a pair|
    s|^#define ATTN_H$|&@#if defined(ATTN_NO_F64) \&\& defined(ATTN_NO_THREADS)@static int x = ;@#endif|
no_stdlib_more|a call of puts|s|^ATTN_DEF int attn_version(void) *{|int puts(const char *);&puts("");|
alone:examples|a function that another file holds|
    s|^ATTN_DEF int attn_version(void) *{|int attn_held(void);&attn_held();|
build:gcc:-O2|a wrong word|s|^    ROW(OK, "done") |    ROW(OK, "dome") |
END
}
seen() {
    p=0 f=0
    breakages >"$work/breakages"
    while IFS='|' read -r name what script; do
        mkdir -p "$work/broken"
        sed "$script" "$ATTN" | awk '/@#|;@/ { gsub(/@/, "\n") } { print }' >"$work/broken/attn.h"
        if cmp -s "$work/broken/attn.h" "$ATTN"; then
            echo "FAILED  $name: the breakage \"$what\" changes nothing"; f=$((f + 1)); continue; fi
        if ATTN=$work/broken/attn.h sh "$tests/hygiene.sh" "$name" >"$work/seen.log" 2>&1; then
            echo "FAILED  $name: did not notice: $what"; f=$((f + 1))
        else
            echo "ok      $name notices: $what ($(sed -n 's/^FAILED  [^ ]* //p' "$work/seen.log" | cut -c1-60))"
            p=$((p + 1))
        fi
    done <"$work/breakages"
    for name in $quick $slow; do
        case $name in build:*|alone:*) continue ;; esac
        grep -q "^$name|" "$work/breakages" ||
            { echo "FAILED  $name: no breakage of the header is listed for it"; f=$((f + 1)); }
    done
    echo "$p passed, $f failed"
    [ $f = 0 ]
}

# ---- running

if [ "$1" = --one ]; then
    check=$2 dir=$3/$(echo "$2" | tr -c 'A-Za-z0-9\n' _)
    mkdir -p "$dir" && cd "$dir" || exit 2
    cp "$ATTN" attn.h
    printf '#define ATTN_IMPLEMENTATION\n#include "attn.h"\n' | tee impl.c >impl.cpp
    echo '#include "attn.h"' | tee decl.c >decl.cpp
    (IFS=:; set -- $2; IFS=' 
'; "$@"; times >"$dir.times") >"$dir.out" 2>"$dir.err"
    [ -s "$dir.out" ] || { echo "FAILED  $check: no verdict"; head -n 5 "$dir.err"; } >"$dir.out"
    [ "$4" != loud ] || cat "$dir.out"
    exit 0
fi
work=$(mktemp -d) || exit 2
cp "$ATTN" "$work/attn.h" || exit 2
ATTN=$work/attn.h
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
case $1 in
seen) seen; exit ;;
all) checks="$slow $quick" DEPTH=all; export DEPTH ;;
''|quick) checks=$quick ;;
*) checks=$* ;;
esac
printf '%s\n' $checks | xargs -P "$JOBS" -I @ sh "$tests/hygiene.sh" --one @ "$work"
for c in $checks; do cat "$work/$(echo "$c" | tr -c 'A-Za-z0-9\n' _).out"; done >"$work/out"
cat "$work/out"
[ -z "$TIMES" ] || for c in $checks; do echo "$c $(tail -n 1 "$work/$(echo "$c" | tr -c 'A-Za-z0-9\n' _).times")"; done
awk '/^ok / { p++ } /^FAILED / { f++ } /^skipped / { s++ }
    END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }' "$work/out"
