"""Pure decisions and frozen values: no I/O, no clock, no distribution's addresses or commands.

Families (`snapproxy.families`) and histories (`snapproxy.archives.histories`) supply what differs between
distributions. Comments name a client if its behaviour is the reason for a rule.
"""
