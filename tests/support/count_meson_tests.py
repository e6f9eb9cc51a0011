"""Count what `meson test` ran: "PASSED FAILED SKIPPED" on stdout.

A program of the check library tells how many cases it ran ("100%: Checks: 12, Failures: 0, Errors: 0"), which are counted;
any other program is one test.
"""

import json
import re
import sys

SUMMARY = re.compile(r'^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)', re.M)


def count(test):
    if test['result'] == 'SKIP':
        return 0, 0, 1
    is_good = test['result'] in ('OK', 'EXPECTEDFAIL')
    # a program may run several suites, each with its own summary
    summaries = SUMMARY.findall(test.get('stdout') or '')
    checks = sum(int(checks) for checks, _, _ in summaries)
    bad = sum(int(failures) + int(errors) for _, failures, errors in summaries)
    if not checks:
        return int(is_good), int(not is_good), 0
    if not is_good and not bad:
        bad = 1             # a sanitizer spoke, or it died, after its last case
    return max(checks - bad, 0), bad, 0


with open(sys.argv[1], encoding='utf-8') as log:
    totals = [count(json.loads(line)) for line in log]
print(*(sum(column) for column in zip(*totals)))
