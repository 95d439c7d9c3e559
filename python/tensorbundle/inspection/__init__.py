"""What is in files of tensors: compared, summed up, rescued, averaged.

The functions are public names of :mod:`tensorbundle`: ``diff``, ``stats``, ``salvage`` and ``average``.
"""
