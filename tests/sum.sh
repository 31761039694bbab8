#!/bin/sh
# sum.sh LOG... - adds up what test programs printed. A log ends with "N passed, N failed[, N skipped]" and "exit
# STATUS"; one without the first, or with a status that does not go with it, counts as a failure. Prints what failed
# and what was skipped, then the sum. sum.sh --line LOG prints one line for one log.
one() {
    tail -n 2 "$1" | awk -v log_="$1" '
        /^[0-9]+ passed, [0-9]+ failed/ { p = $1; f = $3; s = $5 + 0; seen = 1 }
        /^exit [0-9]+$/ { status = $2; ended = 1 }
        END {
            if (!seen) { p = s = 0; f = 1; why = "ended without a sum" }
            else if (!ended) { f++; why = "did not end" }
            else if (status != 0 && f == 0) { f = 1; why = "exit status " status }
            printf "%d %d %d %s\n", p, f, s, why
        }'
}
name() { echo "$1" | sed 's|^build/||; s|\.log$||'; }

if [ "$1" = --line ]; then
    one "$2" | while read -r p f s why; do
        printf '%-28s %5d passed, %d failed%s%s\n' "$(name "$2")" "$p" "$f" "$([ "$s" = 0 ] || echo ", $s skipped")" \
            "${why:+  ($why)}"
    done
    exit 0
fi
passed=0 failed=0 skipped=0
for log in "$@"; do
    set -- $(one "$log")
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    if [ "$2" != 0 ]; then echo "---- $(name "$log"): failed"; tail -n 60 "$log"; fi
    grep '^skipped ' "$log"
    more=$(($3 - $(grep -c '^skipped ' "$log")))
    [ $more -le 0 ] || echo "$(name "$log"): $more skipped, with reasons by operation in \`make $(name "$log")\`"
done
[ "$skipped" = 0 ] && echo "$passed passed, $failed failed" || echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
