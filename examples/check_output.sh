#!/bin/bash
# check_output.sh PROGRAM EXPECTED: fails, with a diff, if the program's output
# is not the expected one.
set -eu
"$1" | diff -u "$2" -
