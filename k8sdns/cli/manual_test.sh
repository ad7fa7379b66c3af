#!/usr/bin/env bash
# manual_test.sh PROGRAM: its manual page and completions know every command and
# flag that --help knows, and the shells take them.
set -uo pipefail
program=$1
man_page=$TEST_TMPDIR/k8sdns.1
bash_completion=$TEST_TMPDIR/k8sdns.bash
zsh_completion=$TEST_TMPDIR/_k8sdns
failures=0
"$program" help --man >"$man_page" || exit
"$program" help --bash >"$bash_completion" || exit
"$program" help --zsh >"$zsh_completion" || exit

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

expect_in() { # TEXT FILE
  grep -qF -e "$1" "$2" || fail "$2 lacks: $1"
}

# complete WORDS...: what bash offers for the last word.
complete_words() {
  bash -c '
    source "$0"
    COMP_WORDS=(k8sdns "$@") COMP_CWORD=$#
    _k8sdns
    printf "%s\n" "${COMPREPLY[@]}"' "$bash_completion" "$@"
}

expect_completion() { # EXPECTED WORDS...
  local expected=$1
  shift
  local found
  found="$(complete_words "$@" | sort | tr '\n' ' ')"
  [[ " $found" == *" $expected "* ]] || fail "k8sdns $* offers $found, not $expected"
}

commands="$("$program" --help | awk '/^  [a-z]/ { print $1 }')"
[[ "$(wc -w <<<"$commands")" -ge 9 ]] || fail "the overview lists too few commands"
for command in $commands; do
  expect_in ".SS ${command//-/\\-}" "$man_page"
  expect_in "    $command)" "$bash_completion"
  expect_in "    $command)" "$zsh_completion"
  expect_completion "$command" "${command:0:1}"
  help="$("$program" "$command" --help)" || fail "k8sdns $command --help"
  [[ "$help" == *$'\nExample:\n  '*"k8sdns $command"* ]] || fail "k8sdns $command --help has no example"
  for flag in $(grep -oE '^ +(-[a-z], )?--[a-z0-9-]+' <<<"$help" | grep -oE -e '--[a-z0-9-]+'); do
    [[ "$flag" == --help ]] && continue
    expect_in "${flag//-/\\-}" "$man_page"
    expect_in "$flag" "$zsh_completion"
    expect_completion "$flag" "$command" --
  done
done
expect_completion fmt rules ""
expect_completion 6 compile --family ""

bash -n "$bash_completion" || fail "bash does not take $bash_completion"
if command -v zsh >/dev/null; then
  zsh -n "$zsh_completion" || fail "zsh does not take $zsh_completion"
fi
if command -v groff >/dev/null; then
  warnings="$(groff -man -ww -z "$man_page" 2>&1)"
  [[ -z "$warnings" ]] || fail "groff: $warnings"
fi
"$program" help --fly 2>/dev/null && fail "help --fly is taken"
[[ "$("$program" --version)" == "k8sdns "* ]] || fail "k8sdns --version"
((failures == 0))
