# Has nginx pass /auth on by the snippets of the package opentrons-auth-server, when the distribution
# asks for it: AUTH_SERVER_NGINX = "1". The robot's does by being there. Else nothing is changed.
AUTH_SERVER_NGINX ?= "${@bb.utils.contains('BBFILE_COLLECTIONS', 'meta-opentrons', '1', '0', d)}"

require ${@'include-auth-server.inc' if bb.utils.to_boolean(d.getVar('AUTH_SERVER_NGINX')) else ''}
