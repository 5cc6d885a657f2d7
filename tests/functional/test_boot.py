"""What the other tests rely on: a guest whose clock is wrong boots again.

A script stands for QEMU; it appends a line to the file TRACE for each start.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import pytest

from lib.guest import Guest

# Its clock is wrong as often as its first argument says.
SCRIPT = r'''
echo started >> "$TRACE"
printf '@@ready\n'
while read -r id command; do
    if [ "$(wc -l < "$TRACE")" -le "$0" ]; then
        echo 1000.00 1.00
    else
        echo 0.00 0.00
    fi
    printf '@@%s 0\n' "$id"
done
'''


@pytest.mark.parametrize('wrong, boots, starts', [
    (0, 4, 1), (2, 4, 3), (9, 4, 4), (9, 1, 1)])
def test_a_guest_with_a_wrong_clock_boots_again(tmp_path, recwarn, wrong, boots,
                                                starts):
    trace = tmp_path / 'trace'
    guest = Guest('vm', ('kernel', 'initrd'), ['sh', '-c', SCRIPT, str(wrong)],
                  [], env={'TRACE': str(trace), 'PATH': '/usr/bin:/bin'},
                  boots=boots)
    try:
        guest.wait_ready()
        assert guest.run('true').ok
    finally:
        guest.stop()
    assert trace.read_text() == 'started\n' * starts
    assert len(recwarn) == starts - 1
