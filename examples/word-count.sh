#!/bin/sh
# One item: a file comes in, lines of JSON say how it goes, exit code 0 says that it went well.
set -eu
file=$1 words=$2 least=$3

tr -cs '[:alpha:]' '\n' < "$file" | awk -v least="$least" 'length($0) >= least' | sort -u > "$words"
echo '{"progress":0.5}'
printf '{"result":{"lines":%d,"words":%d}}\n' "$(wc -l < "$file")" "$(wc -w < "$file")"
