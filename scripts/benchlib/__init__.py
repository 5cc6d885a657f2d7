"""The cases of scripts/bench, by subject.

SPDX-License-Identifier: GPL-2.0-or-later
"""
