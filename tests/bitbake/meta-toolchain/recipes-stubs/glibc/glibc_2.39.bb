SUMMARY = "The cross C library of Debian, for package QA to find"
LICENSE = "CLOSED"
INHIBIT_DEFAULT_DEPS = "1"
PROVIDES = "virtual/libc virtual/libiconv virtual/libintl"
INSANE_SKIP:${PN} = "already-stripped ldflags libdir file-rdeps useless-rpaths"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_install() {
    install -d ${D}${base_libdir}
    for library in libc.so.6 libm.so.6 libgcc_s.so.1 ld-linux-aarch64.so.1; do
        install -m 0755 /usr/aarch64-linux-gnu/lib/$library ${D}${base_libdir}/
    done
}

FILES:${PN} = "${base_libdir}"
FILES:${PN}-dev = ""
