# Has nginx include the snippets that the package opentrons-auth-server installs. A configuration
# that has /auth already is left alone.

FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI:append = " file://include-auth-server"

do_install:append() {
    sh ${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/include-auth-server ${D} ${sysconfdir}/nginx
}
