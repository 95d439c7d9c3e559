"""Finds the names of tensors in what a program printed."""

import re


def tensor_names(output):
    return sorted(set(re.findall(r"\b\w+:\d+\b", output)))
