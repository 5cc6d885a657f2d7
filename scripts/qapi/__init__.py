# SPDX-License-Identifier: GPL-2.0-or-later
"""Generator of C code and documentation from the QAPI schema."""
