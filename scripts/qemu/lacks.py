"""Lists what one QEMU has and another lacks, asking both.

    lacks.py WITH WITHOUT

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import subprocess
import sys
import textwrap


def devices(text):
    """Of lines such as: name "e1000", bus PCI, alias "e1000-82540em"."""
    return re.findall(r'^name "([^"]+)"', text, re.M)


def formats(text):
    """Of lines such as: Supported formats (read-only): raw qcow2."""
    return ' '.join(re.findall(r'^Supported formats[^:]*:(.*)', text, re.M)).split()


def lines(text):
    """The first word of each line but the heading."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.strip()]


KINDS = (
    ('accelerators', ('-accel', 'help'), lines),
    ('netdevs', ('-netdev', 'help'), lines),
    ('devices', ('-device', 'help'), devices),
    ('displays', ('-display', 'help'), lines),
    ('audio drivers', ('-audiodev', 'help'), lines),
    ('block drivers', ('-drive', 'format=help'), formats),
    ('character devices', ('-chardev', 'help'), lines),
    ('objects', ('-object', 'help'), lines),
)


def names(program, arguments, parse):
    """What @program says that it has."""
    run = subprocess.run((program,) + arguments, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                         encoding='utf-8', errors='replace', timeout=60,
                         check=False)
    return set(parse(run.stdout))


def main():
    """Entry point."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    full, small = sys.argv[1:]
    for kind, arguments, parse in KINDS:
        lacking = names(full, arguments, parse) - names(small, arguments, parse)
        if lacking:
            print(textwrap.fill('%s: %s' % (kind, ' '.join(sorted(lacking))),
                                width=78, initial_indent='  ',
                                subsequent_indent='    ', break_on_hyphens=False,
                                break_long_words=False))


if __name__ == '__main__':
    main()
