SUMMARY = "The SQLite of the crate that wraps it, as a library like the distribution's"
LICENSE = "CLOSED"
SRC_URI = "crate://crates.io/libsqlite3-sys/0.28.0"
SRC_URI[libsqlite3-sys-0.28.0.sha256sum] = "0c10584274047cb335c23d3e61bcef8e323adae7c5c8c760540f73610177fc3f"
S = "${WORKDIR}/cargo_home/bitbake/libsqlite3-sys-0.28.0/sqlite3"
B = "${WORKDIR}/build"

do_compile() {
    ${CC} ${CFLAGS} ${LDFLAGS} -O1 -shared -fPIC -Wl,-soname,libsqlite3.so.0 \
        -o libsqlite3.so.0 ${S}/sqlite3.c -lm
}

do_install() {
    install -Dm 0755 libsqlite3.so.0 ${D}${libdir}/libsqlite3.so.0
    ln -s libsqlite3.so.0 ${D}${libdir}/libsqlite3.so
    install -Dm 0644 ${S}/sqlite3.h ${D}${includedir}/sqlite3.h
    install -d ${D}${libdir}/pkgconfig
    cat > ${D}${libdir}/pkgconfig/sqlite3.pc <<EOF
prefix=${prefix}
libdir=${libdir}
includedir=${includedir}

Name: SQLite
Description: SQL database engine
Version: ${PV}
Libs: -L${libdir} -lsqlite3
Cflags: -I${includedir}
EOF
}
