SUMMARY = "Authentication server of the Opentrons Flex"
DESCRIPTION = "Manages the robot's accounts, access control and audit log. Serves HTTP under \
/auth: to the robot's other servers over a Unix socket, and to the apps through nginx."
SECTION = "net"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

require ${BPN}-crates.inc
require ${BPN}-license.inc
# scarthgap's common licences lack Unicode-3.0. In layer.conf, this would change the signatures of other
# recipes.
# nooelint: oelint.vars.outofcontext - see above
LICENSE_PATH += "${THISDIR}/licenses"

# The distribution's SQLite, which receives security updates, instead of the one bundled with the crate.
DEPENDS += "sqlite3"

inherit features_check pkgconfig cargo cargo-update-recipe-crates systemd useradd
require ${BPN}-source.inc

# The units, the socket activation and the sandbox need systemd.
REQUIRED_DISTRO_FEATURES = "systemd"

CARGO_BUILD_FLAGS += "--no-default-features"
# do_package strips the binary itself and puts the symbols into the -dbg package.
export CARGO_PROFILE_RELEASE_STRIP = "none"

CVE_PRODUCT = "opentrons-auth-server"

# cargo.bbclass would install only the binary.
do_install() {
    oe_runmake -f ${S}/Makefile -C ${S} install \
        DESTDIR=${D} \
        BINARY=${B}/target/${CARGO_TARGET_SUBDIR}/opentrons-auth-server \
        bindir=${bindir} \
        datadir=${datadir} \
        libdir=${nonarch_libdir} \
        mandir=${mandir} \
        sysconfdir=${sysconfdir} \
        unitdir=${systemd_system_unitdir}

    # The units contain the default path of the binary.
    sed -i 's,/usr/bin/,${bindir}/,g' ${D}${systemd_system_unitdir}/*.service

    install -d ${D}/opentrons_versions
    printf '{"auth_server_version": "%s", "auth_server_sha": "%s", "auth_server_branch": "%s"}\n' \
        "${PV}" "$(cat ${B}/commit)" "$(cat ${B}/branch)" \
        > ${D}/opentrons_versions/opentrons-auth-server-version.json
}

SYSTEMD_SERVICE:${PN} = "opentrons-auth-server.socket opentrons-auth-server.service opentrons-remote-access-allowed.service"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home \
    --home-dir ${localstatedir}/lib/opentrons-auth-server \
    --shell ${base_sbindir}/nologin opentrons-auth-server"

PACKAGES =+ "${PN}-completions"
# nooelint: oelint.var.filesoverride - a new package has no FILES yet
FILES:${PN}-completions = "\
    ${datadir}/bash-completion \
    ${datadir}/fish \
    ${datadir}/zsh \
"
FILES:${PN} += "\
    ${nonarch_libdir}/sysusers.d \
    ${systemd_system_unitdir} \
"
# The image build reads this from the sysroot; images do not install -dev.
FILES:${PN}-dev += "/opentrons_versions"
SYSROOT_DIRS += "/opentrons_versions"
