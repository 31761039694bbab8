#!/bin/sh
# version.sh - the version is the same in line 1 of attn.h, in its macros and at the head of CHANGELOG.md.
cd "$(dirname "$0")/.." || exit 2
macros=$(awk '/define ATTN_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $3; s = "." } END { print v }' attn.h)
line=$(sed -n '1s|^// attn\.h - v\([0-9.]*\) - .*|\1|p' attn.h)
log=$(sed -n 's/^## v\{0,1\}\([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
if [ "$macros" = "$line" ] && [ "$macros" = "$log" ]; then echo "version $macros"; exit 0; fi
echo "versions differ: macros $macros, line 1 $line, CHANGELOG.md $log"
exit 1
