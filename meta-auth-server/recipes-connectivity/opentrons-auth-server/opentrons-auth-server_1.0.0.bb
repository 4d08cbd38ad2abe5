SUMMARY = "Authentication server of the Opentrons Flex"
DESCRIPTION = "Answers under /auth who may do what on the robot: over a Unix socket \
to the robot's other servers, and through nginx to its apps."
HOMEPAGE = "https://github.com/Opentrons/auth-server"
BUGTRACKER = "https://github.com/Opentrons/auth-server/issues"
SECTION = "net"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

require ${BPN}-crates.inc

# The distribution's, which it mends, in place of the SQLite that comes with the crate.
DEPENDS += "sqlite3"

# By default the sources are the checkout that this layer lies in. With a tag, such as "v1.0.0",
# they are fetched from git.
AUTH_SERVER_TAG ?= ""
AUTH_SERVER_GIT ?= "git://github.com/Opentrons/auth-server.git;protocol=https"

SRC_URI += "${@'${AUTH_SERVER_GIT};nobranch=1;destsuffix=git;tag=${AUTH_SERVER_TAG}' if d.getVar('AUTH_SERVER_TAG') else ''}"
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/git"

inherit pkgconfig cargo cargo-update-recipe-crates systemd useradd externalsrc

# Empty: externalsrc does nothing.
EXTERNALSRC = "${@'' if d.getVar('AUTH_SERVER_TAG') else os.path.realpath(os.path.join(d.getVar('FILE_DIRNAME'), '..', '..', '..'))}"
# cargo.bbclass's own build folder, and no links left in the checkout.
EXTERNALSRC_BUILD = "${WORKDIR}/build"
EXTERNALSRC_SYMLINKS = ""

CARGO_BUILD_FLAGS += "--no-default-features"
# Package QA wants to strip by itself, into the -dbg package.
export CARGO_PROFILE_RELEASE_STRIP = "none"

CVE_PRODUCT = "opentrons-auth-server"

# The answers to "which version is this": in the binary, and in the robot's /etc/VERSION.json.
# nooelint: oelint.task.docstrings - a function, no task
auth_server_git() {
    git -c safe.directory=${S} -C ${S} rev-parse "$@" 2>/dev/null || echo unknown
}
# BitBake does not see a call within quotes.
do_compile[vardeps] += "auth_server_git"
do_install[vardeps] += "auth_server_git"

do_compile:prepend() {
    AUTH_SERVER_GIT_SHA="$(auth_server_git HEAD)"
    export AUTH_SERVER_GIT_SHA
}

# The class would install what cargo built and nothing else.
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

    install -d ${D}/opentrons_versions
    branch="${@d.getVar('AUTH_SERVER_TAG') or '$(auth_server_git --abbrev-ref HEAD)'}"
    printf '{"auth_server_version": "%s", "auth_server_sha": "%s", "auth_server_branch": "%s"}\n' \
        "${PV}" "$(auth_server_git HEAD)" "$branch" \
        > ${D}/opentrons_versions/opentrons-auth-server-version.json
}

SYSTEMD_SERVICE:${PN} = "opentrons-auth-server.socket opentrons-auth-server.service"

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
# For the image build, which reads it from the sysroot; no image installs -dev.
FILES:${PN}-dev += "/opentrons_versions"
SYSROOT_DIRS += "/opentrons_versions"
