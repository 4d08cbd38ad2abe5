SUMMARY = "The pseudo of the host, which useradd is run with"
LICENSE = "CLOSED"
INHIBIT_DEFAULT_DEPS = "1"
PROVIDES = "virtual/fakeroot-native"
inherit native

do_install() {
    install -d ${D}${bindir}
    ln -s /usr/bin/pseudo ${D}${bindir}/pseudo
}
