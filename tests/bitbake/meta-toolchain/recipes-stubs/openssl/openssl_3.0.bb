SUMMARY = "OpenSSL of Debian for the target, in packages like the distribution's"
LICENSE = "CLOSED"
INSANE_SKIP:libcrypto = "already-stripped ldflags"
INSANE_SKIP:libssl = "already-stripped ldflags"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_install() {
    install -d ${D}${libdir}/pkgconfig ${D}${includedir}
    for library in libcrypto libssl; do
        install -m 0755 ${OPENSSL_AARCH64}/lib/$library.so.3 ${D}${libdir}/
        ln -s $library.so.3 ${D}${libdir}/$library.so
    done
    cp -r --no-preserve=ownership ${OPENSSL_AARCH64}/include/openssl ${D}${includedir}/
    # Debian has the libraries in a directory of the architecture.
    for file in libcrypto libssl openssl; do
        sed 's,^libdir=.*,libdir=${libdir},' ${OPENSSL_AARCH64}/lib/pkgconfig/$file.pc \
            > ${D}${libdir}/pkgconfig/$file.pc
    done
}

PACKAGES =+ "libcrypto libssl"
FILES:libcrypto = "${libdir}/libcrypto.so.3"
FILES:libssl = "${libdir}/libssl.so.3"
