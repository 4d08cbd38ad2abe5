SUMMARY = "Access of the Opentrons Flex's auth server to a lab's directory"
DESCRIPTION = "Verifies passwords and looks people up in a lab's LDAP directory, such as Active \
Directory, for the auth server, which has no network. Listens on a Unix socket of that server alone."
SECTION = "net"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# Both recipes build the same crate: -c update_crates of opentrons-auth-server is for this one too.
require recipes-connectivity/opentrons-auth-server/opentrons-auth-server-crates.inc
require ${BPN}-license.inc
# scarthgap's common licences lack Unicode-3.0.
# nooelint: oelint.vars.outofcontext - as in the auth server's recipe
LICENSE_PATH += "${THISDIR}/../opentrons-auth-server/licenses"

# The distribution's libraries, which receive security updates. The crate's library needs SQLite to
# link, but this program does not use it.
DEPENDS += "openssl sqlite3"

inherit features_check pkgconfig cargo systemd useradd
require recipes-connectivity/opentrons-auth-server/opentrons-auth-server-source.inc

# The units, the socket activation and the sandbox need systemd.
REQUIRED_DISTRO_FEATURES = "systemd"

CARGO_BUILD_FLAGS += "--no-default-features --features directory --bin opentrons-auth-directory"
# do_package strips the binary itself and puts the symbols into the -dbg package.
export CARGO_PROFILE_RELEASE_STRIP = "none"

CVE_PRODUCT = "opentrons-auth-directory"

# cargo.bbclass would install only the binary.
do_install() {
    oe_runmake -f ${S}/Makefile -C ${S} install-directory \
        DESTDIR=${D} \
        DIRECTORY_BINARY=${B}/target/${CARGO_TARGET_SUBDIR}/opentrons-auth-directory \
        bindir=${bindir} \
        libdir=${nonarch_libdir} \
        unitdir=${systemd_system_unitdir}

    # The units contain the default path of the binary.
    sed -i 's,/usr/bin/,${bindir}/,g' ${D}${systemd_system_unitdir}/*.service
}

# The socket starts the service.
SYSTEMD_SERVICE:${PN} = "opentrons-auth-directory.socket"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir / \
    --shell ${base_sbindir}/nologin opentrons-auth-directory"

FILES:${PN} += "\
    ${nonarch_libdir}/opentrons-auth-directory \
    ${nonarch_libdir}/sysusers.d \
    ${systemd_system_unitdir} \
"
# The socket belongs to the auth server's user.
RDEPENDS:${PN} += "opentrons-auth-server"
