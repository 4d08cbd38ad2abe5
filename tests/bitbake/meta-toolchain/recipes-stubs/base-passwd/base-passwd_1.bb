SUMMARY = "The user and group files that useradd edits, and the names of what they come with"
LICENSE = "CLOSED"
INHIBIT_DEFAULT_DEPS = "1"
PROVIDES += "base-files shadow"
RPROVIDES:${PN} += "base-files shadow"
ALLOW_EMPTY:${PN} = "1"
SYSROOT_DIRS += "${sysconfdir}"

do_install() {
    install -d ${D}${sysconfdir}
    install -m 0644 /usr/share/base-passwd/passwd.master ${D}${sysconfdir}/passwd
    install -m 0644 /usr/share/base-passwd/group.master ${D}${sysconfdir}/group
}
