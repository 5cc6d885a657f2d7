#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Generates C code and a manual from a QAPI schema.

    main.py [-o DIR] [-p PREFIX] [--depfile FILE] SCHEMA
    main.py [-o DIR] [-p PREFIX] --recode SCHEMA
    main.py --check SCHEMA

docs/devel/qapi.rst describes what the generated code looks like.
"""

import argparse
import os
import sys

# The package's directory is no place to import from: its modules would hide
# those of the standard library.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from qapi import gen_commands, gen_doc, gen_events  # noqa: E402
from qapi import gen_introspect, gen_recode, gen_types  # noqa: E402
from qapi import gen_visit  # noqa: E402
from qapi.cgen import Output  # noqa: E402
from qapi.error import SchemaError  # noqa: E402
from qapi.schema import Schema  # noqa: E402

GENERATORS = (gen_types, gen_visit, gen_commands, gen_events, gen_introspect,
              gen_doc)


def parse_arguments():
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(
        description='Generate C code and a manual from a QAPI schema')
    parser.add_argument('-o', '--output-dir', default='.',
                        help='write the files there (default: %(default)s)')
    parser.add_argument('-p', '--prefix', default='',
                        help='begin the names of files and tables with this')
    parser.add_argument('--depfile',
                        help='write a make rule with all schema files there')
    parser.add_argument('--recode', action='store_true',
                        help='only make the table with which tests send'
                        ' every type through decoder and encoder')
    parser.add_argument('--check', action='store_true',
                        help='only check the schema')
    parser.add_argument('schema', help='the root of the schema')
    return parser.parse_args()


def main():
    """Returns the exit status."""
    args = parse_arguments()
    try:
        schema = Schema(args.schema)
    except SchemaError as err:
        print(err, file=sys.stderr)
        return 1
    if args.check:
        return 0
    output = Output(args.output_dir, args.prefix)
    for generator in (gen_recode,) if args.recode else GENERATORS:
        generator.generate(schema, output)
    output.write()
    if args.depfile:
        output.write_depfile(args.depfile, schema.files)
    return 0


if __name__ == '__main__':
    sys.exit(main())
