# Makes nginx pass /auth to the auth server with the snippets of the package opentrons-auth-server, if
# AUTH_SERVER_NGINX is "1": the default if the robot's distro layer is present. Otherwise the recipe
# is not changed.
AUTH_SERVER_NGINX ?= "${@bb.utils.contains('BBFILE_COLLECTIONS', 'meta-opentrons', '1', '0', d)}"

require ${@'include-auth-server.inc' if bb.utils.to_boolean(d.getVar('AUTH_SERVER_NGINX')) else ''}
