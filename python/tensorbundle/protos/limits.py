"""How large and how deep a serialized message may be: protobuf's own limits."""

MOST_BYTES = 2**31 - 1
#: Messages inside each other below the outermost one.
MOST_LEVELS = 100
