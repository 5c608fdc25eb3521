"""
Values, errors and ports that all packages of the server share.

Knows no protobuf, no database driver and no transport.
"""
